"""Faults of hosts over ssh: every kind of process killed, links cut, a step retried. Nothing is left, and it goes on."""

import contextlib
import functools
import time

import e2e
import flows
import ssh_flows
import ssh_hosts
from flows import DAEMON, LONG, RELAY, SERVER, TRAINER, end_with
from ssh_flows import attempts, check_nothing_left, epoch, pair, start_training, tiny, trusted

LEASE, GRACE = 5, 2  # of flows.STRICT

@functools.cache
def undisturbed():
    """The weights of a run over ssh that nobody disturbed, made once."""
    with contextlib.closing(e2e.Place("undisturbed")) as place:
        trusted(place, tiny(pair())).run("run", place.workflow)
        return place.weights()


def check_finished(place, hosts):
    """All done, once each, with the weights of an undisturbed run."""
    check_nothing_left(place, hosts)
    for step in ("graph", "parts", "model", "score"):
        assert attempts(place, step).count("succeeded") == 1, f"{step}: {attempts(place, step)}"
    assert place.weights() == undisturbed(), f"{place.weights()} differ from an undisturbed run's {undisturbed()}"
    ssh_flows.check_does_nothing_more(place, hosts)


def strict(place, hosts, **options):
    return trusted(place, tiny(hosts, defaults=flows.STRICT, restarts=0, **options))


def test_a_failed_training_is_retried_alone_and_from_its_checkpoint(place):
    hosts = pair()
    strict(place, hosts)
    controller = start_training(place, hosts)
    e2e.kill(hosts[1].process_of(*TRAINER)[:1])
    end_with(controller, place, 1)
    assert "signal 9" in place.log(), place.log()
    check_nothing_left(place, hosts)
    earlier = {step: attempts(place, step) for step in ("graph", "parts", "data")}
    done = place.run("retry", place.workflow)
    assert "epoch" in done.output, f"it does not say from which epoch it goes on:\n{done.output}"
    assert {step: attempts(place, step) for step in earlier} == earlier, "an earlier step was run again"
    assert attempts(place, "model") == ["failed", "succeeded"]
    check_finished(place, hosts)


def killed(place, words, code):
    """Strict settings: after SIGKILL of a process on node2 the run ends with the code, leaves nothing, and the next goes on."""
    hosts = pair()
    strict(place, hosts)
    controller = start_training(place, hosts)
    e2e.kill(hosts[1].process_of(*words)[:1])
    began = time.monotonic()
    end_with(controller, place, code)
    print(f"     ended {time.monotonic() - began:.1f} s after the kill")
    check_nothing_left(place, hosts)
    place.run("run", place.workflow)
    check_finished(place, hosts)


def test_a_killed_server_ends_the_run_and_the_next_goes_on(place):
    killed(place, SERVER, 1)


def test_a_killed_daemon_ends_the_run_and_the_next_goes_on(place):
    killed(place, DAEMON, 6)


def test_a_killed_controller_leaves_empty_hosts_past_its_lease_and_the_next_run_goes_on(place):
    hosts = pair()
    strict(place, hosts)
    controller = start_training(place, hosts)
    controller.kill()
    controller.wait()
    gone = e2e.seconds_until("empty hosts", lambda: not any(host.processes() for host in hosts), 60)
    print(f"     the last process went after {gone:.1f} s")
    assert gone < LEASE + GRACE + 2, f"the last process went after {gone:.1f} s"
    check_nothing_left(place, hosts)
    place.run("run", place.workflow)
    check_finished(place, hosts)


def test_a_killed_relay_and_a_killed_sshd_session_are_survived(place):
    hosts = pair()
    trusted(place, tiny(hosts, epochs=LONG))
    controller = start_training(place, hosts)
    e2e.kill(hosts[1].process_of(*RELAY))
    e2e.wait_until("another relay", lambda: controller.poll() is not None or hosts[1].process_of(*RELAY), 60)
    killed = hosts[0].sessions()
    e2e.kill(killed)
    e2e.wait_until("another session", lambda: controller.poll() is not None or
                   set(hosts[0].sessions()) - set(killed) and hosts[0].process_of(*RELAY), 60)
    reached = epoch(place, hosts)
    e2e.wait_until("more epochs", lambda: controller.poll() is not None or epoch(place, hosts) > reached + 2, 60)
    assert controller.poll() is None, place.log()
    assert attempts(place, "model") == ["running"], place.log()
    controller.send_signal(2)
    end_with(controller, place, 130)
    check_nothing_left(place, hosts)


@ssh_hosts.needs_namespaces
def test_a_link_cut_for_20_seconds_in_training_is_survived(place):
    hosts = pair()
    trusted(place, tiny(hosts, epochs=200))
    controller = start_training(place, hosts)
    hosts[1].link("down")
    try:
        time.sleep(20)
    finally:
        hosts[1].link("up")
    assert controller.poll() is None, place.log()
    assert all(host.process_of(*TRAINER) for host in hosts), "a trainer ended while the link was cut"
    end_with(controller, place, 0, 150)
    assert attempts(place, "model") == ["succeeded"], place.log()
    check_nothing_left(place, hosts)


@ssh_hosts.needs_namespaces
def test_a_link_cut_for_longer_than_the_lease_ends_the_run_and_the_next_goes_on(place):
    hosts = pair()
    strict(place, hosts)
    controller = start_training(place, hosts)
    hosts[1].link("down")
    try:
        gone = e2e.seconds_until("the far daemon's end", lambda: not hosts[1].process_of("gnnflow-worker"), 60)
        print(f"     the daemon that was cut off went after {gone:.1f} s")
        assert gone < LEASE + GRACE + 4, f"the daemon that was cut off went after {gone:.1f} s"
        began = time.monotonic()
        end_with(controller, place, 6, 240)
        print(f"     the run ended {time.monotonic() - began:.1f} s later")
    finally:
        hosts[1].link("up")
    assert "node2" in place.log(), place.log()
    hosts.check_nothing_left(within=60)
    check_nothing_left(place, hosts)
    place.run("run", place.workflow)
    check_finished(place, hosts)


@ssh_hosts.needs_namespaces
def test_a_rebooted_host_is_found_out_and_the_next_run_goes_on(place):
    hosts = pair()
    strict(place, hosts)
    controller = start_training(place, hosts)
    hosts[1].reboot()
    end_with(controller, place, 6, 60)
    place.run("run", place.workflow)
    check_finished(place, hosts)


if __name__ == "__main__":
    ssh_hosts.main(globals())
