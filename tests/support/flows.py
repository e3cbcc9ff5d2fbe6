"""Workflows that the end-to-end tests run, and what they ask of a training."""

import contextlib
import json

import e2e

LONG = 100000  # epochs: more than any test waits for
TRAINER, SERVER = ("gnnflow-trainer", "--task"), ("gnnflow-worker", "serve")
DAEMON, RELAY = ("gnnflow-worker", "daemon"), ("gnnflow-worker", "relay")

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


def end_with(controller, place, code, within=60):
    """The controller's end, with this exit code."""
    ended = controller.wait(within)
    assert ended == code, f"exit {ended}, expected {code}\n{place.log()}"


def checkpoints(roots):
    """The folders of the epochs of which these hold a checkpoint in the making of a model."""
    return [p for root in roots for p in root.glob("checkpoints/*/*/*") if p.name.isdigit()]


def start_training(place, roots=None):
    """A controller in the middle of training: two checkpoints more lie in the roots that `roots()` finds."""
    roots = roots or place.roots
    before = set(checkpoints(roots()))
    controller = place.start("run", place.workflow)

    def came():
        with contextlib.suppress(FileNotFoundError):  # the old ones are removed meanwhile
            return controller.poll() is not None or len(set(checkpoints(roots())) - before) >= 2

    e2e.wait_until("a checkpoint", came, 120)
    assert controller.poll() is None, place.log()
    return controller


def copies_here(place):
    """The epochs of the complete copies of checkpoints on the controller."""
    return [int(p.name) for p in checkpoints(r for r in place.roots() if r.name == "controller")
            if (p / "checkpoint.json").exists()]


def interrupt_when_a_copy_is_here(place):
    """A training that Ctrl-C ends; the epoch of the newest copy on the controller."""
    controller = place.start("run", place.workflow)
    e2e.wait_until("a copy of a checkpoint", lambda: controller.poll() is not None or copies_here(place), 120)
    assert controller.poll() is None, place.log()
    controller.send_signal(2)
    end_with(controller, place, 130)
    return max(copies_here(place))


def epochs_of_model(place):
    """The epochs that stand in the history of the trained model."""
    history = json.loads((place.state() / "results/model/metrics.json").read_text())["history"]
    return [one["epoch"] for one in history]
