"""The whole line over ssh, on two hosts that have nothing of ours: run, run again, watch, stop, and two at once."""

import time

import e2e
import ssh_flows
import ssh_hosts
from flows import LONG, TRAINER, end_with
from ssh_flows import check_nothing_left, pair, start_training, tiny, trusted


def test_runs_the_whole_line_on_bare_hosts_and_then_asks_no_host(place):
    hosts = pair()
    trusted(place, tiny(hosts, epochs=3))
    began = [host.connections() for host in hosts]
    first = place.run("run", place.workflow)
    assert "accuracy" in first.output, first.output
    for host in hosts:
        assert f"host {host.name}: programs sent: " in first.output, first.output
    print("     first run: " + "; ".join(line for line in first.output.splitlines() if "programs" in line))
    assert all(host.connections() > before for host, before in zip(hosts, began)), "it went past the hosts"
    check_nothing_left(place, hosts)
    for part, host in enumerate(hosts):
        parts = {p.name for root in host.roots() for p in root.glob("data/*/part-*") if p.is_dir()}
        assert parts == {f"part-{part}"}, f"{host.name} has {parts}"
        programs = {p.name for p in host.workspace().glob("bundles/*/bin/*")}
        assert {"gnnflow-worker", "gnnflow-trainer"} <= programs, programs
    ssh_flows.check_does_nothing_more(place, hosts)
    assert "epoch" in place.run("logs", place.workflow, "model").output

    # More epochs: the hosts are prepared, nothing big is sent again.
    received = [host.received() for host in hosts]
    more = place.run("run", place.workflow, "--set", "epochs=5")
    assert "epochs 3 -> 5" in more.output, more.output
    assert ssh_flows.attempts(place, "parts") == ["succeeded"]
    for host, before in zip(hosts, received):
        megabytes = (host.received() - before) / 1e6
        assert megabytes < 5, f"{host.name} received {megabytes:.1f} MB on the second run"
        assert f"host {host.name}: programs were there, nothing sent" in more.output, more.output
    assert "data: cached: every part is where it belongs" in more.output, more.output
    check_nothing_left(place, hosts)


def test_listens_only_on_the_addresses_of_its_hosts_and_ends_with_ctrl_c(place):
    hosts = pair()
    trusted(place, tiny(hosts, epochs=LONG))
    controller = start_training(place, hosts)
    for host in hosts:
        own = "".join(f"{int(b):02X}" for b in reversed(host.address.split(".")))
        found = {address for address, _ in host.listeners()}
        assert found, f"nothing listens on {host.name}: its server at least must"
        assert found <= {own, "0100007F"}, f"{host.name} listens on {found}"
    assert not e2e.listeners(place.processes()), "the controller listens"
    controller.send_signal(2)
    end_with(controller, place, 130)
    check_nothing_left(place, hosts)


def test_two_workflows_share_hosts_and_user_and_do_not_disturb_each_other(place):
    hosts = pair()
    other = e2e.Place("other")
    try:
        trusted(place, tiny(hosts))
        trusted(other, tiny(hosts, epochs=LONG))
        second = other.start("run", other.workflow)
        first = place.start("run", place.workflow)
        end_with(first, place, 0, 120)
        e2e.wait_until("the other one's trainers", lambda: second.poll() is not None or
                       all(host.process_of(*TRAINER) for host in hosts), 120)
        assert second.poll() is None, other.log()
        assert ssh_flows.attempts(other, "model") == ["running"], other.log()
        trainers = [host.process_of(*TRAINER) for host in hosts]
        assert all(len(pids) == 1 for pids in trainers), f"beside the other one's there are {trainers}"
        second.send_signal(15)
        end_with(second, other, 143)
        assert ssh_flows.attempts(place, "model") == ["succeeded"]
        check_nothing_left(place, hosts)
        check_nothing_left(other, hosts)
    finally:
        other.close()


def test_stop_ends_a_detached_run_on_every_host(place):
    hosts = pair()
    trusted(place, tiny(hosts, epochs=LONG))
    begun = place.run("run", "--detach", place.workflow)
    assert begun.seconds < 10, f"run --detach took {begun.seconds:.1f} s"
    e2e.wait_until("trainers", lambda: all(host.process_of(*TRAINER) for host in hosts), 120)
    place.run("status", place.workflow, "--exit-code", expect=10)
    place.run("stop", place.workflow)
    e2e.wait_until("the controller's end", lambda: not place.processes(), 30)
    place.run("status", place.workflow, "--exit-code", expect=8)
    check_nothing_left(place, hosts)


def test_a_detached_run_is_watched_to_its_end(place):
    hosts = pair()
    trusted(place, ssh_flows.commands(hosts, "[sleep, '2']"))
    place.run("run", "--detach", place.workflow)
    began = time.monotonic()
    watched = place.run("status", "--watch", place.workflow, timeout=60)
    assert "step1" in watched.output and "succeeded" in watched.output, watched.output
    assert time.monotonic() - began > 0.5, "status --watch did not wait"
    e2e.wait_until("the controller's end", lambda: not place.processes(), 30)
    check_nothing_left(place, hosts)


if __name__ == "__main__":
    ssh_hosts.main(globals())
