"""Where steps run when hosts are near and far: a training that moves to this machine, parts made far away or removed there,
wrong addresses."""

import shutil

import flows
import ssh_flows
import ssh_hosts
from ssh_flows import check_nothing_left, pair, trusted

HERE = "  here: { address: local }\n"


def test_a_training_moves_from_a_far_host_to_this_machine(place):
    hosts = pair()
    text = ssh_flows.tiny(hosts, epochs=flows.LONG)
    text = text.replace("preset: tiny, seed: 1 }", "preset: tiny, seed: 1, host: node1 }")
    text = text.replace("method: metis, seed: 7 }", "method: metis, seed: 7, host: node2 }")
    assert text.count("host: node") == 2
    trusted(place, text)
    epoch = flows.interrupt_when_a_copy_is_here(place)
    check_nothing_left(place, hosts)

    # node1 is taken out: its part goes to an entry of this machine, which the far host must reach by its address.
    first = hosts[0].entry()
    assert first in text, text
    moved = text.replace(first, HERE).replace("node1: [0]", "here: [0]").replace(", host: node1", "")
    place.write(moved.replace(f"epochs: {flows.LONG}", f"epochs: {epoch + 2}"))
    done = place.run("run", place.workflow)
    assert f"goes on from epoch {epoch}, from the checkpoint on controller" in done.output, done.output
    assert flows.epochs_of_model(place) == list(range(1, epoch + 3)), done.output
    check_nothing_left(place, hosts)
    ssh_flows.check_does_nothing_more(place, hosts)


def test_a_workspace_that_was_removed_by_hand_is_filled_again(place):
    hosts = pair()
    trusted(place, ssh_flows.tiny(hosts, epochs=2)).run("run", place.workflow)
    shutil.rmtree(hosts[0].workspace())
    ssh_flows.check_does_nothing_more(place, hosts)  # the results are here
    missing = place.run("run", place.workflow, "--set", "epochs=3", expect=1)
    assert "server 0 on node1" in missing.output and "is not a partition directory" in missing.output, missing.output
    done = place.run("run", place.workflow, "--set", "epochs=3")
    assert "data: succeeded" in done.output, done.output
    assert flows.epochs_of_model(place) == [1, 2, 3], done.output
    check_nothing_left(place, hosts)


def refused(place, data_address):
    """What a run says of such an address of node2; no server and no trainer is started anywhere."""
    hosts = pair()
    text = ssh_flows.tiny(hosts, epochs=2, defaults="defaults: { lost_retries: 0 }")
    second = hosts[1].entry()
    assert second in text, text
    trusted(place, text.replace(second, hosts[1].entry(data_address=data_address)))
    logs = {p for root in ssh_flows.roots(hosts) for p in root.glob("logs/*")}
    done = place.run("run", place.workflow, expect=6)
    assert ssh_flows.attempts(place, "model") == ["lost"], done.output
    started = {p for root in ssh_flows.roots(hosts) for p in root.glob("logs/*")} - logs
    assert not started, f"started on a far host: {started}"
    check_nothing_left(place, hosts)
    return done.output


@ssh_hosts.needs_namespaces
def test_a_data_address_that_is_not_the_hosts_is_told_before_servers_and_trainers_start(place):
    address = f"{ssh_hosts.NETWORK}.77"
    output = refused(place, address)
    assert f"host node2 cannot listen on {address}: " in output, output
    assert "its `data_address` must be an address of that machine" in output, output


@ssh_hosts.needs_namespaces
def test_a_data_address_that_nobody_reaches_is_told_before_servers_and_trainers_start(place):
    output = refused(place, "192.0.2.77")
    assert "host node1 has no route to node2 (192.0.2.77): give node2 the `data_address`" in output, output


if __name__ == "__main__":
    ssh_hosts.main(globals())
