"""What gc takes away and what it leaves, here and on hosts that are reached over ssh; killed anywhere, the next one finishes."""

import json
import os
import shutil
import signal
import time

import e2e
import ssh_hosts
from ssh_flows import check_nothing_left, pair, trusted

STEPS = """
steps:
  - name: graph
    generate: { preset: tiny, seed: "${params.seed}" }
  - name: parts
    partition: { graph: "${steps.graph}", parts: 2, method: random, seed: 7 }
  - name: data
    copy: { partition: "${steps.parts}", place: { node1: [0], node2: [1] } }
  - name: card
    exec: { command: [cp, "${steps.parts}/partition.json", card.json], outputs: { card: card.json }, host: node1 }
"""


def flow(hosts=None):
    entries = hosts.yaml() if hosts else "\nhosts: { node1: { address: local }, node2: { address: local } }\n"
    return f"gnnflow: 1\nname: tidy\nparams: {{ seed: 1 }}\n{entries}{STEPS}"


def bare():
    """Both hosts with nothing of ours on them."""
    hosts = pair()
    for host in hosts:
        shutil.rmtree(host.workspace(), ignore_errors=True)
    return hosts


def two_results(place, text):
    """Two results of each step: of the first nothing is needed any more."""
    place.write(text)
    place.run("run", place.workflow)
    place.run("run", place.workflow, "--set", "seed=2")
    return place


def results(place):
    """step -> numbers of the attempts whose results lie on a host of this machine."""
    found = {}
    for root in place.roots():
        for folder in (root / "outputs").glob("*/*/*"):
            found.setdefault(folder.parts[-3], []).append(int(folder.name))
    return {step: sorted(numbers) for step, numbers in found.items()}


def bytes_lying(place):
    return sum(p.stat().st_size for root in place.roots() for p in root.rglob("*")
               if p.is_file() and p.relative_to(root).parts[0] in ("outputs", "data", "logs", "checkpoints"))


def test_removes_what_no_kept_run_needs_and_says_how_much(place):
    two_results(place, flow())
    before = bytes_lying(place)
    would = json.loads(place.run("gc", "--dry-run", "--json").stdout)
    assert bytes_lying(place) == before, "a dry run removed something"
    assert results(place) == {"graph": [1, 2], "parts": [1, 2], "card": [1, 2]}, results(place)
    done = json.loads(place.run("gc", "--json").stdout)
    assert {**would, "dry_run": False} == done, f"{would}\n{done}"
    removed = sum(host["bytes"] for host in done["hosts"])
    assert removed > 100_000 and before - bytes_lying(place) == removed, f"{before} - {bytes_lying(place)} is not {removed}"
    assert results(place) == {"graph": [2], "parts": [2], "card": [2]}, results(place)
    for root in place.roots():  # of one partition, placed or whole
        digests = {p.name.split(".")[0] for p in (root / "data").iterdir()}
        assert len(digests) == 1, f"{root.name}: {digests}"
    assert "nothing to remove" in place.run("gc").stdout
    place.check_invariants()
    place.check_nothing_left()
    assert "nothing to do" in place.run("run", place.workflow, "--set", "seed=2").output
    again = place.run("run", place.workflow).output
    assert "graph: running: output graph lies on no host any more" in again, again
    place.check_invariants()
    place.check_nothing_left()


def test_keeps_as_many_results_as_it_is_told(place):
    two_results(place, flow())
    assert "nothing to remove" in place.run("gc", place.workflow, "--keep", "2").stdout
    assert results(place) == {"graph": [1, 2], "parts": [1, 2], "card": [1, 2]}, results(place)
    place.run("run", place.workflow)  # cached: of the first results the last run needs all
    assert "nothing to remove" in place.run("gc", place.workflow, "--keep", "1").stdout, "it removed what the last run needs"


def test_all_leaves_nothing_but_the_history_and_a_run_makes_everything_again(place):
    two_results(place, flow())
    place.run("gc", place.workflow, "--all")
    left = [p for p in (place.home / ".cache").rglob("*")]
    assert not left, f"left: {left}"
    assert sorted(p.name for p in place.state().iterdir() if p.is_dir()) == [], list(place.state().iterdir())
    assert "run 2" in place.run("status", place.workflow).output
    place.run("run", place.workflow)
    assert results(place) == {"graph": [3], "parts": [3], "card": [3]}, results(place)
    place.check_invariants()


def test_killed_anywhere_the_next_one_finishes(place):
    """At twelve moments that are spread over what a gc takes."""
    two_results(place, flow())
    length = place.run("gc", "--dry-run").seconds
    for moment in range(12):
        place.run("run", place.workflow, "--set", f"seed={moment + 3}")
        victim = place.start("gc", place.workflow)
        time.sleep(length * 1.5 * moment / 12)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        place.run("gc", place.workflow)
        assert results(place) == {step: [moment + 3] for step in ("graph", "parts", "card")}, results(place)
        assert "nothing to remove" in place.run("gc", place.workflow, "--dry-run").stdout
        place.check_invariants()
    e2e.wait_until("the end of all daemons", lambda: not place.processes(), 60)
    assert "nothing to do" in place.run("run", place.workflow, "--set", "seed=14").output
    place.check_nothing_left()


def test_beside_a_living_controller_it_does_nothing(place):
    place.write(flow() + "  - name: long\n    exec: { command: [sleep, '600'] }\n")
    controller = place.start("run", place.workflow)
    e2e.wait_until("the step", lambda: place.process_of("sleep", "600"), 60)
    for words in ([], ["--dry-run"]):  # the daemons hear one controller: who only looks would take them over
        refused = place.run("gc", place.workflow, *words, expect=5)
        assert str(controller.pid) in refused.output, refused.output
    controller.send_signal(signal.SIGINT)
    assert controller.wait(60) == 130
    place.check_nothing_left()


def test_leaves_the_jobs_of_an_interrupted_run_alone_and_all_ends_them(place):
    place.write(flow() + "  - name: long\n    exec: { command: [sleep, '600'] }\n")
    controller = place.start("run", place.workflow)
    job = e2e.wait_until("the step", lambda: place.process_of("sleep", "600"), 60)
    controller.send_signal(signal.SIGKILL)
    controller.wait()
    place.run("gc", place.workflow)
    assert place.process_of("sleep", "600") == job, "gc ended the job of a run that had not ended"
    place.run("gc", place.workflow, "--all")
    place.check_nothing_left()
    assert place.query("select state from attempt where step = 'long'") == [("cancelled",)]


def test_a_host_that_cannot_be_reached_is_named_and_the_rest_is_done(place):
    hosts = bare()
    two_results(trusted(place, flow(hosts)), flow(hosts))
    before = len(list(place.state().glob("*/controller/outputs/*/*/*")))
    known = place.state() / "known_hosts"
    keys = known.read_text()
    known.write_text("\n".join(line for line in keys.splitlines() if hosts[1].public_key() not in line) + "\n")
    done = place.run("gc", place.workflow, expect=6)
    assert "node2" in done.stderr and "gnnflow hosts trust" in done.stderr, done.output
    assert len(list(place.state().glob("*/controller/outputs/*/*/*"))) == before - 2, done.output
    assert len(list(hosts[0].workspace().glob("*/*/data/*/part-*/part.json"))) == 1, done.output
    assert len(list(hosts[1].workspace().glob("*/*/data/*/part-*/part.json"))) == 2, "it went past the host's key"
    known.write_text(keys)
    place.run("gc", place.workflow)
    assert len(list(hosts[1].workspace().glob("*/*/data/*/part-*/part.json"))) == 1
    assert "nothing to do" in place.run("run", place.workflow, "--set", "seed=2").output
    check_nothing_left(place, hosts)


def test_a_host_that_no_run_has_reached_is_passed_over(place):
    far = "node2: { address: local }, far: { address: 127.0.0.1, port: 1 }"
    text = flow().replace("node2: { address: local }", far) + "defaults: { lost_retries: 0 }\n"
    place.write(text)
    place.run("run", place.workflow)
    done = place.run("gc", place.workflow)
    assert "  far         never used\n" in done.stdout and "nothing to remove" in done.stdout, done.output
    place.write(text.replace("\ndefaults", "\n  - name: there\n    exec: { command: [ls], host: far }\ndefaults"))
    place.run("run", place.workflow, expect=6)
    done = place.run("gc", place.workflow)
    assert "  far         never reached: host far (" in done.stdout and "refused" in done.stdout, done.output
    told = json.loads(place.run("gc", place.workflow, "--all", "--json").stdout)
    assert {host["host"]: host.get("passed_over", "")[:13] for host in told["hosts"]} == \
        {"controller": "", "node1": "", "node2": "", "far": "never reached"}, told
    place.check_nothing_left()


def test_over_ssh_all_leaves_nothing_of_ours_on_any_host(place):
    hosts = bare()
    two_results(trusted(place, flow(hosts)), flow(hosts))
    done = place.run("gc", place.workflow, "--all")
    assert "all programs of gnnflow" in done.stdout, done.output
    for host in hosts:
        left = [str(p) for p in host.workspace().rglob("*")]
        assert not left, f"left on {host.name}: {left}"
    check_nothing_left(place, hosts)
    place.run("run", place.workflow)
    check_nothing_left(place, hosts)


def test_programs_stay_for_another_workflow_that_shares_the_host(place):
    hosts = bare()
    other = e2e.Place("other")
    try:
        trusted(other, flow(hosts))
        other.run("run", other.workflow)
        trusted(place, flow(hosts))
        place.run("run", place.workflow)
        place.run("gc", place.workflow, "--all")
        for host in hosts:
            assert list(host.workspace().glob("bundles/*/bin/gnnflow-worker")), f"{host.name} lost its programs"
        assert "nothing to do" in other.run("run", other.workflow).output
        assert "nothing to remove" in other.run("gc", other.workflow).stdout
        other.run("gc", other.workflow, "--all")
        for host in hosts:
            assert not list(host.workspace().rglob("*")), f"{host.name}: {list(host.workspace().rglob('*'))[:9]}"
        check_nothing_left(place, hosts)
    finally:
        other.close()


def test_an_old_bundle_goes_and_the_one_in_use_stays(place):
    hosts = bare()
    trusted(place, flow(hosts))
    place.run("run", place.workflow)
    for host in hosts:
        bundles = host.workspace() / "bundles"
        program = bundles / ("0" * 32) / "bin/gnnflow-worker"
        program.parent.mkdir(parents=True)
        program.write_text("old")
        owner = bundles.stat()
        for path in (program, program.parent, program.parent.parent):
            os.chown(path, owner.st_uid, owner.st_gid)
        for path in bundles.iterdir():  # the one that runs is as old
            os.utime(path, (time.time() - 3 * 86400,) * 2)
    done = place.run("gc", place.workflow)
    assert done.stdout.count("programs 00000000") == 2, done.output
    for host in hosts:
        assert not (host.workspace() / "bundles" / ("0" * 32)).exists()
        assert list(host.workspace().glob("bundles/*/bin/gnnflow-worker")), f"{host.name} lost its programs"
    check_nothing_left(place, hosts)


if __name__ == "__main__":
    ssh_hosts.main(globals())
