"""Steps that go on elsewhere or on many hosts at once: checkpoints that outlive their host, commands for each rank."""

import json
import shutil
import time

import e2e
import flows

MEET = """
import json, os, pathlib, socket, sys, time
rank, master = int(os.environ["RANK"]), (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if rank == 0:
    with socket.create_server(master) as server:
        server.settimeout(60)
        said = server.accept()[0].recv(100).decode()
else:
    said, end = "", time.monotonic() + 60
    while True:
        try:
            with socket.create_connection(master, 1) as peer:
                peer.sendall(b"here is rank 1")
            break
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
names = ["RANK", "WORLD_SIZE", "LOCAL_RANK", "GNNFLOW_RANK", "GNNFLOW_PARTS"]
parts = sorted(path.name for path in pathlib.Path(sys.argv[1]).glob("part-*") if path.is_dir())
told = {"said": said, "parts": parts, **{name: os.environ[name] for name in names}}
pathlib.Path("told.json").write_text(json.dumps(told))
"""


def test_training_goes_on_on_other_hosts_from_the_copy_here(place):
    place.write(flows.tiny(epochs=flows.LONG))
    epoch = flows.interrupt_when_a_copy_is_here(place)
    place.check_nothing_left()
    for root in place.roots():
        if root.name in ("node1", "node2"):
            shutil.rmtree(root)

    place.write(place.workflow.read_text().replace("node1", "node3").replace("node2", "node4"))
    done = place.run("run", place.workflow, "--set", f"epochs={epoch + 2}")
    assert f"goes on from epoch {epoch}, from the checkpoint on controller" in done.output, done.output
    assert flows.epochs_of_model(place) == list(range(1, epoch + 3)), done.output
    assert f"{place.state()}/results/model/best/model.safetensors" in done.stdout, done.stdout
    assert not flows.copies_here(place), "the result is there, and so are the checkpoints"
    place.check_nothing_left()
    place.check_invariants()


def test_a_command_runs_once_for_each_rank_and_they_meet(place):
    (place.folder / "meet.py").write_text(MEET)
    place.write(f"""
gnnflow: 1
name: meet
{flows.TWO_HOSTS}
steps:
  - name: graph
    generate: {{ preset: tiny, seed: 1 }}
  - name: parts
    partition: {{ graph: "${{steps.graph}}", parts: 2, method: random, seed: 7 }}
  - name: data
    copy: {{ partition: "${{steps.parts}}" }}
  - name: meet
    exec:
      command: [python3, meet.py, "${{steps.data}}"]
      inputs: [meet.py]
      outputs: {{ told: told.json }}
      per: rank
    timeout: 2m
  - name: show
    exec:
      command: [cp, "${{steps.meet.told-0}}", "${{steps.meet.told-1}}", .]
      outputs: {{ first: told.json }}
""".replace("[cp,", "[sh, -c, 'cat \"$0\" \"$1\" > told.json',").replace(", .]", "]"))
    place.run("run", place.workflow)
    shown = [p for root in place.roots() for p in root.glob("outputs/show/*/*/first/told.json")]
    assert len(shown) == 1, shown
    first, second = [json.loads("{" + one) for one in shown[0].read_text().split("{")[1:]]
    assert first == {"said": "here is rank 1", "parts": ["part-0"], "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0",
                     "GNNFLOW_RANK": "0", "GNNFLOW_PARTS": "0"}, first
    assert second["RANK"] == "1" and second["parts"] == ["part-1"] and second["LOCAL_RANK"] == "0", second
    second_run = place.run("run", place.workflow)
    assert "nothing to do" in second_run.output, second_run.output
    place.check_nothing_left()


def test_what_can_be_run_can_be_run_on_every_host(place):
    for name in ["run.sh", "tools/inner.sh"]:
        script = place.folder / name
        script.parent.mkdir(exist_ok=True)
        script.write_text("#!/bin/sh\necho '#!/bin/sh' > made; chmod +x made\n")
        script.chmod(0o755)
    place.write(f"""
gnnflow: 1
name: programs
{flows.TWO_HOSTS}
steps:
  - name: makes
    exec: {{ command: [./run.sh], inputs: [run.sh], outputs: {{ program: made }}, host: node1 }}
  - name: inner
    exec: {{ command: [tools/inner.sh], inputs: [tools], host: node1 }}
  - name: runs
    exec: {{ command: ["${{steps.makes.program}}"], host: node2 }}
""")
    place.run("run", place.workflow)
    place.check_nothing_left()


def test_a_stop_does_not_wait_for_a_long_input_to_be_read(place):
    with open(place.folder / "long", "wb") as file:
        file.truncate(200 << 30)  # takes no disk, and minutes to read
    place.write("""
gnnflow: 1
name: long
steps:
  - name: reads
    exec: { command: ["true"], inputs: [long] }
""")
    controller = place.start("run", place.workflow)
    e2e.wait_until("the controller", lambda: list((place.folder / ".gnnflow").glob("*/gnnflow.db")), 30)
    time.sleep(0.5)
    assert controller.poll() is None, place.log()
    controller.send_signal(2)
    flows.end_with(controller, place, 130, 20)
    place.check_nothing_left()


if __name__ == "__main__":
    e2e.main(globals())
