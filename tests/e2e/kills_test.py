"""Each kind of process killed in the middle of training: the run ends in time, leaves nothing, and the next run goes on."""

import contextlib
import functools
import time

import e2e
import flows
from flows import SERVER, TRAINER, end_with

EPOCHS = 40
DAEMON = (*flows.DAEMON, "node2")


@functools.cache
def undisturbed():
    """The weights of a run that nobody disturbed, made once."""
    with contextlib.closing(e2e.Place("undisturbed")) as place:
        place.write(flows.tiny(epochs=EPOCHS)).run("run", place.workflow)
        return place.weights()


def start_training(place):
    controller = flows.start_training(place)
    assert any(e2e.socket_folder(root).exists() for root in place.roots()), "the scan looks for sockets in the wrong place"
    return controller


def finish_and_compare(place):
    before = dict(place.query("select step, count(*) from attempt where state = 'succeeded' group by step"))
    done = place.run("run", place.workflow)
    place.check_nothing_left()
    place.check_invariants()
    after = dict(place.query("select step, count(*) from attempt where state = 'succeeded' group by step"))
    for step in before:
        assert after[step] == before[step], f"{step} had succeeded and was run again"
    assert "epoch" in done.output, f"it does not say from which epoch it goes on:\n{done.output}"
    assert place.weights() == undisturbed(), f"{place.weights()} differ from an undisturbed run's {undisturbed()}"
    again = place.run("run", place.workflow)
    assert "nothing to do" in again.output, again.output


def killed(place, words, code):
    """Strict settings: after SIGKILL the run ends within 5 s, with this exit code, and leaves nothing."""
    place.write(flows.tiny(epochs=EPOCHS, defaults=flows.STRICT, restarts=0))
    controller = start_training(place)
    e2e.kill(place.process_of(*words)[:1])
    began = time.monotonic()
    end_with(controller, place, code, 30)
    seconds = time.monotonic() - began
    assert seconds < 5, f"the run ended {seconds:.1f} s after the kill"
    place.check_nothing_left()
    place.check_invariants()
    return place.log()


def test_killed_trainer_ends_the_run_and_the_next_goes_on(place):
    log = killed(place, TRAINER, 1)
    assert "signal 9" in log, log
    finish_and_compare(place)


def test_killed_server_ends_the_run_and_the_next_goes_on(place):
    log = killed(place, SERVER, 1)
    assert "model: failed" in log and "servers: server" in log and "signal 9" in log, log
    finish_and_compare(place)


def test_killed_daemon_ends_the_run_and_the_next_goes_on(place):
    log = killed(place, DAEMON, 6)
    assert any("model: failed" in line and "node2" in line for line in log.splitlines()), log
    finish_and_compare(place)


def test_killed_controller_leaves_nothing_past_its_lease(place):
    place.write(flows.tiny(epochs=4000, defaults=flows.STRICT, restarts=0))
    controller = start_training(place)
    controller.kill()
    controller.wait()
    gone = e2e.seconds_until("everything gone", lambda: not place.processes(), 30)
    assert gone < 5 + 2 + 2, f"the last process went after {gone:.1f} s"
    place.check_nothing_left()
    place.check_invariants()


def test_controller_killed_and_back_goes_on_to_the_same_weights(place):
    place.write(flows.tiny(epochs=EPOCHS, defaults=flows.STRICT, restarts=0))
    controller = start_training(place)
    controller.kill()
    controller.wait()
    e2e.wait_until("everything gone", lambda: not place.processes(), 30)
    finish_and_compare(place)


def test_controller_back_within_the_lease_finds_everything_running(place):
    place.write(flows.tiny(epochs=EPOCHS, defaults="defaults: { lease: 60s, grace: 2s }"))
    controller = start_training(place)
    trainers = set(place.process_of(*TRAINER))
    controller.kill()
    controller.wait()
    assert set(place.process_of(*TRAINER)) == trainers
    place.run("run", place.workflow)
    assert place.query("select count(*) from attempt where step = 'model'") == [(1,)], "training was started anew"
    assert place.weights() == undisturbed()
    place.check_nothing_left()


def test_by_default_a_killed_daemon_is_survived(place):
    place.write(flows.tiny(epochs=EPOCHS))
    controller = start_training(place)
    e2e.kill(place.process_of(*DAEMON)[:1])
    end_with(controller, place, 0, 120)
    assert place.weights() == undisturbed()
    place.check_nothing_left()


def test_by_default_a_killed_server_is_survived(place):
    place.write(flows.tiny(epochs=EPOCHS))
    controller = start_training(place)
    e2e.kill(place.process_of(*SERVER)[:1])
    end_with(controller, place, 0, 120)
    assert place.query("select count(*) from attempt where step = 'model'") == [(1,)], "training was started anew"
    assert place.weights() == undisturbed()
    place.check_nothing_left()


def test_a_session_child_of_an_exec_step_is_found_when_its_daemon_was_killed(place):
    place.write(f"""
gnnflow: 1
name: orphan
{flows.STRICT}
steps:
  - name: leaves
    exec:
      command: [python3, -c, "import subprocess, time; subprocess.Popen(['sleep', '300'], start_new_session=True); open('started', 'w').close(); time.sleep(300)"]
""")
    controller = place.start("run", place.workflow)
    e2e.wait_until("the session child", lambda: place.process_of("sleep", "300"), 30)
    e2e.kill(place.process_of(*flows.DAEMON))
    began = time.monotonic()
    end_with(controller, place, 6, 30)
    assert time.monotonic() - began < 5, place.log()
    place.check_nothing_left()


def test_ctrl_c_ends_everything(place):
    place.write(flows.tiny(epochs=4000))
    controller = start_training(place)
    controller.send_signal(2)
    end_with(controller, place, 130, 20)
    place.check_nothing_left()
    place.check_invariants()


if __name__ == "__main__":
    e2e.main(globals())
