"""The whole line on one machine: run, run again, status, logs, plan; what listens, and what is left."""

import json
import time

import e2e
import flows


def test_runs_to_a_scored_model_and_then_does_nothing(place):
    place.write(flows.tiny(extra="""
  - name: card
    exec:
      command: [python3, -c, "import sys; open('card.md','w').write(open(sys.argv[1]).read())", "${steps.score.metrics}"]
      outputs: { card: card.md }
"""))
    first = place.run("run", place.workflow)
    assert "accuracy" in first.output, first.output
    card = place.state() / "results/card.card/card.md"
    assert f"card: {card}\n" in first.stdout and "accuracy" in card.read_text(), first.stdout
    assert f"card: {card}\n" in place.run("status", place.workflow).stdout
    place.check_nothing_left()
    place.check_invariants()
    attempts = place.query("select count(*) from attempt")

    second = place.run("run", place.workflow)
    assert "nothing to do" in second.output, second.output
    assert place.query("select count(*) from attempt") == attempts, "the second run made attempts"
    assert second.seconds < 0.3 or min(place.run("run", place.workflow).seconds for _ in range(3)) < 0.3, \
        f"a run with nothing to do took {second.seconds:.2f} s"

    plan = place.run("plan", place.workflow, "--set", "epochs=4")
    assert "epochs 3 -> 4" in plan.output, plan.output
    status = json.loads(place.run("status", place.workflow, "--json").stdout)
    states = {step["step"]: step["state"] for step in status["steps"]}
    assert states["graph"] in ("cached", "succeeded") and states["servers"] == "idle", states
    assert "epoch" in place.run("logs", place.workflow, "model").output


def test_more_epochs_go_on_from_the_checkpoint(place):
    place.write(flows.tiny(epochs=2))
    place.run("run", place.workflow)
    longer = place.run("run", place.workflow, "--set", "epochs=4")
    assert "epochs 2 -> 4" in longer.output, longer.output
    rows = place.query("select step, count(*) from attempt group by step")
    assert dict(rows)["graph"] == 1 and dict(rows)["parts"] == 1 and dict(rows)["model"] == 2, rows
    epochs = flows.epochs_of_model(place)
    assert epochs == [1, 2, 3, 4], epochs


def test_listens_nowhere_but_on_the_addresses_named(place):
    place.write(flows.tiny(epochs=400))
    controller = place.start("run", place.workflow)
    e2e.wait_until("two trainers", lambda: len(place.process_of(*flows.TRAINER)) == 2, 60)
    seen, end = set(), time.monotonic() + 6
    while time.monotonic() < end and controller.poll() is None:
        seen |= e2e.listeners(place.processes())
        time.sleep(0.02)
    place.run("status", place.workflow, "--exit-code", expect=10)
    controller.send_signal(2)
    flows.end_with(controller, place, 130, 20)
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert seen, "no listener was seen at all: the servers at least must listen"
    assert {address for address, _ in seen} <= loopback, seen
    place.check_nothing_left()


def test_outputs_of_equal_content_all_reach_another_host(place):
    place.write(f"""
gnnflow: 1
name: twins
{flows.TWO_HOSTS}
steps:
  - name: makes
    exec:
      command: [touch, one.txt, two.txt]
      outputs: {{ one: one.txt, two: two.txt }}
  - name: reads
    exec:
      command: [cat, "${{steps.makes.one}}", "${{steps.makes.two}}"]
      host: node1
""")
    place.run("run", place.workflow)
    place.check_nothing_left()


def test_status_is_interrupted_after_the_controller_was_killed(place):
    place.write(flows.tiny(epochs=400, defaults=flows.STRICT))
    controller = place.start("run", place.workflow)
    e2e.wait_until("two trainers", lambda: len(place.process_of(*flows.TRAINER)) == 2, 60)
    controller.kill()
    controller.wait()
    shown = place.run("status", place.workflow, "--exit-code", expect=11)
    assert "interrupted" in shown.output, shown.output


if __name__ == "__main__":
    e2e.main(globals())
