"""Workflows that the end-to-end tests run."""

TWO_HOSTS = """
hosts:
  node1: { address: local }
  node2: { address: local }
"""


def tiny(epochs=3, defaults="", train="", restarts=None, extra=""):
    """The whole line on the tiny graph: 2 parts, 2 host entries, 2 ranks."""
    service = "" if restarts is None else f"\n      restarts: {restarts}"
    return f"""
gnnflow: 1
name: tiny
params: {{ epochs: {epochs} }}
{TWO_HOSTS}
{defaults}
steps:
  - name: graph
    generate: {{ preset: tiny, seed: 1 }}
  - name: parts
    partition: {{ graph: "${{steps.graph}}", parts: 2, method: metis, seed: 7 }}
  - name: data
    copy: {{ partition: "${{steps.parts}}", place: {{ node1: [0], node2: [1] }} }}
  - name: servers
    launch:
      partition: ${{steps.data}}{service}
  - name: model
    train:
      servers: ${{steps.servers}}
      model: {{ kind: sage, layers: 2, hidden: 32, dropout: 0.2 }}
      sample: {{ fanout: [10, 5], batch: 64 }}
      optimizer: {{ kind: adam, lr: 0.005 }}
      epochs: ${{params.epochs}}
      seed: 1
    {train}
  - name: score
    evaluate: {{ model: "${{steps.model}}", split: test, how: full }}
{extra}
"""


STRICT = "defaults: { lease: 5s, grace: 2s, retries: 0, lost_retries: 0 }"
