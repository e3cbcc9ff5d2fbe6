"""Each kind of process killed in the middle of training: the run ends in time, leaves nothing, and the next run goes on."""

import time

import e2e
import flows

EPOCHS = 40
TRAINER, SERVER, DAEMON = ("gnnflow-trainer", "train"), ("gnnflow-worker", "serve"), ("gnnflow-worker", "daemon", "node2")


def checkpoints(place):
    return [p for root in place.roots() for p in (root / "checkpoints").glob("*/*/*") if p.name.isdigit()]


_undisturbed = []


def undisturbed():
    """The weights of a run that nobody disturbed, made once."""
    if not _undisturbed:
        place = e2e.Place("undisturbed")
        try:
            place.write(flows.tiny(epochs=EPOCHS)).run("run", place.workflow)
            _undisturbed.append(place.weights())
        finally:
            place.close()
    return _undisturbed[0]


def start_and_wait_for_checkpoint(place):
    controller = place.start("run", place.workflow)
    e2e.wait_until("a checkpoint", lambda: controller.poll() is not None or len(checkpoints(place)) >= 2, 90)
    assert controller.poll() is None, place.log()
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


def killed(place, words):
    """Strict settings: after SIGKILL the run ends within 5 s, with a failure, and leaves nothing."""
    place.write(flows.tiny(epochs=EPOCHS, defaults=flows.STRICT, restarts=0))
    controller = start_and_wait_for_checkpoint(place)
    e2e.kill(place.process_of(*words)[:1])
    began = time.monotonic()
    code = controller.wait(30)
    seconds = time.monotonic() - began
    assert code in (1, 6), f"exit {code}\n{place.log()}"
    assert seconds < 5, f"the run ended {seconds:.1f} s after the kill"
    place.check_nothing_left()
    place.check_invariants()
    return place.log()


def test_killed_trainer_ends_the_run_and_the_next_goes_on(place):
    log = killed(place, TRAINER)
    assert "signal 9" in log, log
    finish_and_compare(place)


def test_killed_server_ends_the_run_and_the_next_goes_on(place):
    log = killed(place, SERVER)
    assert "model: failed" in log and "servers: server" in log and "signal 9" in log, log
    finish_and_compare(place)


def test_killed_daemon_ends_the_run_and_the_next_goes_on(place):
    log = killed(place, DAEMON)
    assert any("model: lost" in line and "node2" in line for line in log.splitlines()), log
    finish_and_compare(place)


def test_killed_controller_leaves_nothing_past_its_lease(place):
    place.write(flows.tiny(epochs=4000, defaults=flows.STRICT, restarts=0))
    controller = start_and_wait_for_checkpoint(place)
    controller.kill()
    controller.wait()
    gone = e2e.seconds_until("everything gone", lambda: not place.processes(), 30)
    assert gone < 5 + 2 + 2, f"the last process went after {gone:.1f} s"
    place.check_nothing_left()
    place.check_invariants()


def test_controller_killed_and_back_goes_on_to_the_same_weights(place):
    place.write(flows.tiny(epochs=EPOCHS, defaults=flows.STRICT, restarts=0))
    controller = start_and_wait_for_checkpoint(place)
    controller.kill()
    controller.wait()
    e2e.wait_until("everything gone", lambda: not place.processes(), 30)
    finish_and_compare(place)


def test_controller_back_within_the_lease_finds_everything_running(place):
    place.write(flows.tiny(epochs=EPOCHS, defaults="defaults: { lease: 60s, grace: 2s }"))
    controller = start_and_wait_for_checkpoint(place)
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
    controller = start_and_wait_for_checkpoint(place)
    e2e.kill(place.process_of(*DAEMON)[:1])
    assert controller.wait(120) == 0, place.log()
    assert place.weights() == undisturbed()
    place.check_nothing_left()


def test_by_default_a_killed_server_is_survived(place):
    place.write(flows.tiny(epochs=EPOCHS))
    controller = start_and_wait_for_checkpoint(place)
    e2e.kill(place.process_of(*SERVER)[:1])
    assert controller.wait(120) == 0, place.log()
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
    e2e.kill(place.process_of("gnnflow-worker", "daemon"))
    began = time.monotonic()
    assert controller.wait(30) in (1, 6), place.log()
    assert time.monotonic() - began < 5, place.log()
    place.check_nothing_left()


def test_ctrl_c_ends_everything(place):
    place.write(flows.tiny(epochs=4000))
    controller = start_and_wait_for_checkpoint(place)
    controller.send_signal(2)
    assert controller.wait(20) == 130, place.log()
    place.check_nothing_left()
    place.check_invariants()


if __name__ == "__main__":
    e2e.main(globals())
