"""Runs in the background, watched, stopped, tried again; and what a controller that was killed has left."""

import json
import os
import signal
import subprocess
import time

import e2e
import flows

SLEEPS = f"""
gnnflow: 1
name: sleeps
params: {{ seconds: 600 }}
{flows.TWO_HOSTS}
defaults: {{ lease: 60s, grace: 2s }}
steps:
  - name: quick
    exec: {{ command: ["true"] }}
  - name: long
    exec: {{ command: [sh, -c, "echo begun; sleep $0; echo ended", "${{params.seconds}}"], host: node1 }}
"""


def detach(place, *arguments):
    """A run in the background; its process."""
    done = place.run("run", place.workflow, "--detach", *arguments)
    assert "goes on in the background (process " in done.stdout, done.output
    return int(done.stdout.split("(process ")[1].split(")")[0])


def wait_for_sleep(place):
    e2e.wait_until("the long step", lambda: place.process_of("sleep"), 60)


def background(place, *arguments, **options):
    """gnnflow ARGUMENTS, whose output is read at its end."""
    return subprocess.Popen([e2e.BIN / "gnnflow", *map(str, arguments)], cwd=place.folder, env=place.environment,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            **options)


def watch_from_the_start(place):
    """gnnflow status --watch that has shown the run as it is now."""
    watch = background(place, "status", "--watch", "--exit-code")
    assert ": running, " in watch.stdout.readline()
    return watch


def end_of(process, seconds=120):
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


def codes(place):
    return place.query("select command, exit_code from run order by id")


def attempts(place):
    return dict(place.query("select step, count(*) from attempt group by step"))


def test_a_detached_run_is_watched_and_stopped(place):
    place.write(SLEEPS)
    pid = detach(place)
    wait_for_sleep(place)
    assert os.getsid(pid) == pid, "it is still in the session of whoever started it"
    place.run("status", place.workflow, "--exit-code", expect=10)
    watch = watch_from_the_start(place)
    done = place.run("stop")
    assert "run 1 has ended: stopped" in done.stdout and f"asked process {pid} on " in done.stderr, done.output
    assert codes(place) == [("run", 8)]
    code, output = end_of(watch)
    assert code == 8 and "long: cancelled" in output and output.endswith("stopped\n"), f"{code}: {output}"
    log = (place.state() / "controller.log").read_text()
    assert "quick: succeeded" in log and "stopped by `gnnflow stop`" in log, log
    place.check_nothing_left()
    place.check_invariants()
    assert "nothing runs in" in place.run("stop", place.workflow).stdout


def test_what_fails_early_is_told_by_whoever_detached(place):
    place.write("gnnflow: 1\nname: wrong\nsteps:\n  - name: a\n    exce: { command: [ls] }\n")
    done = place.run("run", place.workflow, "--detach", expect=3)
    assert "did you mean 'exec'?" in done.stderr, done.output
    place.write("gnnflow: 1\nname: quick\nsteps:\n  - name: a\n    exec: { command: [\"true\"] }\n")
    place.run("run", place.workflow)
    done = place.run("run", place.workflow, "--detach")
    assert done.stdout.startswith("nothing to do"), done.output
    place.check_nothing_left()


def test_a_second_controller_is_refused_with_5_and_a_plan_is_not(place):
    place.write(SLEEPS)
    pid = detach(place)
    wait_for_sleep(place)
    for command in (["run", place.workflow], ["run", place.workflow, "--detach"], ["retry"], ["retry", "--detach"]):
        done = place.run(*command, expect=5)
        assert f"process {pid} on " in done.stderr, done.output
    assert "1 of 2 steps" in place.run("plan", place.workflow).stdout
    place.run("stop", 1)
    place.check_nothing_left()


def test_retry_repairs_what_failed_with_the_parameters_of_that_run(place):
    place.write("""
gnnflow: 1
name: repairs
params: { mode: unset, tag: none }
steps:
  - name: first
    exec: { command: [sh, -c, "echo $0 > out", "${params.tag}"], outputs: { out: out } }
  - name: second
    exec: { command: [sh, -c, "test $0 = good && cp $1 out", "${params.mode}", "${steps.first.out}"], outputs: { out: out } }
  - name: third
    exec: { command: [cat, "${steps.second.out}"] }
""")
    place.run("run", place.workflow, "--set", "mode=bad", "--set", "tag=x", expect=1)
    assert attempts(place) == {"first": 1, "second": 1}
    place.run("retry", expect=1)
    assert attempts(place) == {"first": 1, "second": 2}, "what was done is done"
    done = place.run("retry", "--set", "mode=good")
    assert attempts(place) == {"first": 1, "second": 3, "third": 1}, done.output
    assert codes(place) == [("run", 1), ("retry", 1), ("retry", 0)]
    params = [json.loads(row) for row, in place.query("select params from run order by id")]
    assert [p["tag"] for p in params] == ["x", "x", "x"] and params[2]["mode"] == "good", params
    assert place.run("logs", "third").stdout == "x\n"
    assert place.run("retry", place.workflow, 3).stdout.startswith("nothing to retry: run 3 succeeded; ")
    assert place.run("retry", "third", "--detach").stdout.startswith("nothing to retry: run 3 succeeded; ")
    assert len(codes(place)) == 3, "a retry of nothing is no run"
    # Of the first run: mode is bad again, and only the step that is named is tried.
    place.run("retry", 1, "second", expect=1)
    assert attempts(place) == {"first": 1, "second": 4, "third": 1}
    place.run("retry", "thrid", expect=4)
    place.run("retry", 99, expect=4)
    place.check_nothing_left()
    place.check_invariants()


def test_a_detached_retry_goes_on_in_the_background(place):
    place.write(SLEEPS)
    place.run("run", place.workflow, "--set", "seconds=wrong", expect=2)
    detach(place)
    wait_for_sleep(place)
    place.run("stop")
    done = place.run("retry", "--detach", "--set", "seconds=1")
    assert done.stdout.startswith("run 2 of sleeps goes on in the background"), done.output
    assert end_of(background(place, "status", "--watch", "--exit-code"))[0] == 0
    assert codes(place) == [("run", 8), ("retry", 0)]
    place.check_nothing_left()


def test_what_a_killed_controller_left_is_seen_and_stopped(place):
    place.write(SLEEPS)
    pid = detach(place)
    wait_for_sleep(place)
    watch = watch_from_the_start(place)
    os.kill(pid, signal.SIGKILL)
    code, output = end_of(watch)
    assert code == 11 and "the controller is gone" in output, f"{code}: {output}"
    assert place.process_of("sleep"), "the job ended before its lease"
    done = place.run("stop")
    assert "what a dead controller had left has ended" in done.stdout, done.output
    place.check_nothing_left()
    place.check_invariants()
    assert place.query("select state from attempt where step = 'long'") == [("cancelled",)]
    assert codes(place) == [("run", 8)]
    assert "nothing runs in" in place.run("stop").stdout
    place.run("run", place.workflow, "--set", "seconds=0")


def test_a_hang_up_ends_a_run_with_129_unless_it_was_to_be_ignored(place):
    place.write(SLEEPS)
    controller = background(place, "run", place.workflow)
    wait_for_sleep(place)
    controller.send_signal(signal.SIGHUP)
    code, output = end_of(controller)
    assert code == 129, f"{code}: {output}"
    place.check_nothing_left()

    ignoring = background(place, "run", place.workflow, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_for_sleep(place)
    ignoring.send_signal(signal.SIGHUP)
    time.sleep(1)
    place.run("status", "--exit-code", expect=10)
    place.run("stop")
    assert end_of(ignoring)[0] == 8
    assert codes(place) == [("run", 129), ("run", 8)]
    place.check_nothing_left()


def test_logs_are_followed_to_the_end_without_the_workflow_file(place):
    place.write(SLEEPS)
    detach(place, "--set", "seconds=3")
    state = place.state()
    follow = background(place, "logs", "long", "--follow", "--state", state)
    place.workflow.unlink()
    code, output = end_of(follow)
    assert code == 0 and output == "begun\nended\n", f"{code}: {output}"
    assert place.run("logs", "long", "--state", state).stdout == "begun\nended\n"
    assert end_of(background(place, "status", "--watch", "--exit-code", "--state", state))[0] == 0
    place.check_nothing_left()


def test_each_command_has_its_own_help(place):
    for command in ("run", "plan", "status", "logs", "retry", "stop", "hosts", "gc", "partition", "graph",
                    "graph import", "graph generate", "graph info", "graph verify", "graph sample", "graph list"):
        done = place.run(*command.split(), "--help")
        assert f"Usage: gnnflow {command} " in done.stdout, done.output


if __name__ == "__main__":
    e2e.main(globals())
