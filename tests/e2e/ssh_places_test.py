"""Where steps run when hosts are near and far: a training that moves to this machine, parts made far away, wrong addresses."""

import json

import e2e
import ssh_flows
from ssh_flows import check_nothing_left, end_with, pair, trusted

HERE = "  here: { address: local }\n"


def copies_here(place):
    return [int(p.parent.name) for root in place.roots() if root.name == "controller"
            for p in root.glob("checkpoints/model/*/*/checkpoint.json")]


def test_a_training_moves_from_a_far_host_to_this_machine(place):
    hosts = pair()
    text = ssh_flows.tiny(hosts, epochs=ssh_flows.LONG)
    text = text.replace("preset: tiny, seed: 1 }", "preset: tiny, seed: 1, host: node1 }")
    text = text.replace("method: metis, seed: 7 }", "method: metis, seed: 7, host: node2 }")
    assert text.count("host: node") == 2
    trusted(place, text)
    controller = place.start("run", place.workflow)
    e2e.wait_until("a copy of a checkpoint", lambda: controller.poll() is not None or copies_here(place), 120)
    assert controller.poll() is None, place.log()
    controller.send_signal(2)
    end_with(controller, place, 130)
    check_nothing_left(place, hosts)
    epoch = max(copies_here(place))

    # node1 is taken out: its part goes to an entry of this machine, which the far host must reach by its address.
    first = hosts[0].entry()
    assert first in text, text
    moved = text.replace(first, HERE).replace("node1: [0]", "here: [0]").replace(", host: node1", "")
    place.write(moved.replace(f"epochs: {ssh_flows.LONG}", f"epochs: {epoch + 2}"))
    done = place.run("run", place.workflow)
    assert f"goes on from epoch {epoch}, from the checkpoint on controller" in done.output, done.output
    history = json.loads((place.state() / "results/model/metrics.json").read_text())["history"]
    assert [one["epoch"] for one in history] == list(range(1, epoch + 3)), history
    check_nothing_left(place, hosts)
    ssh_flows.check_does_nothing_more(place, hosts)


def test_a_data_address_that_is_not_the_hosts_is_told_before_anything_starts(place):
    hosts = pair()
    text = ssh_flows.tiny(hosts, epochs=2, defaults="defaults: { lost_retries: 0 }")
    second = hosts[1].entry()
    assert second in text, text
    trusted(place, text.replace(second, hosts[1].entry(data_address="192.0.2.77")))
    done = place.run("run", place.workflow, expect=6)
    assert "host node2 cannot listen on 192.0.2.77: " in done.output, done.output
    assert "its `data_address` must be an address of that machine" in done.output, done.output
    assert ssh_flows.attempts(place, "model") in ([], ["failed"], ["lost"]), done.output
    check_nothing_left(place, hosts)


if __name__ == "__main__":
    e2e.main(globals())
