"""gnnflow hosts: what is said of each host and each way between them, which keys are recorded, and that nothing of it stays."""

import contextlib
import json
import os
import pty
import select
import shutil
import stat
import subprocess
import time

import e2e
import ssh_hosts
from ssh_flows import check_nothing_left, commands, known_hosts, pair, trusted


def on_a_terminal(place, answer, *arguments):
    """Exit code and text of a command that is answered once it asks."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen([e2e.BIN / "gnnflow", *map(str, arguments)], cwd=place.folder, env=place.environment,
                             stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    text, end = "", time.monotonic() + 60
    with contextlib.suppress(OSError):  # the terminal's end
        while time.monotonic() < end:
            if select.select([ours], [], [], 0.2)[0]:
                text += os.read(ours, 4096).decode(errors="replace")
            if "write yes:" in text and answer:
                os.write(ours, answer.encode() + b"\n")
                answer = None
    os.close(ours)
    return child.wait(60), text


def test_trust_shows_the_keys_and_records_them_only_with_yes(place):
    hosts = pair()
    place.write(commands(hosts, "[hostname]"))
    shown = place.run("hosts", "trust", place.workflow, expect=2)
    assert shown.stdout.count("ssh-ed25519 SHA256:") == 2 and shown.stdout.count("  new") == 2, shown.output
    assert "gnnflow hosts trust FILE --yes" in shown.stderr and not known_hosts(place), shown.output
    place.run("hosts", "trust", place.workflow, "node1", "--yes")
    recorded = known_hosts(place).read_text()
    assert hosts[0].public_key() in recorded and hosts[1].public_key() not in recorded, recorded
    assert stat.S_IMODE(known_hosts(place).stat().st_mode) == 0o600
    rest = place.run("hosts", "trust", place.workflow, "--yes")
    assert "known already" in rest.stdout and rest.stdout.count("  new") == 1, rest.output
    again = place.run("hosts", "trust", place.workflow)
    assert again.stdout.count("known already") == 2, again.output
    wrong = place.run("hosts", "trust", place.workflow, "node3", expect=4)
    assert "no host 'node3'" in wrong.stderr, wrong.output


def test_trust_asks_once_on_a_terminal(place):
    hosts = pair()
    place.write(commands(hosts, "[hostname]"))
    code, text = on_a_terminal(place, "no", "hosts", "trust", place.workflow)
    assert code == 6 and text.count("write yes:") == 1 and "nothing was recorded" in text, f"{code}: {text}"
    assert not known_hosts(place)
    code, text = on_a_terminal(place, "yes", "hosts", "trust", place.workflow)
    assert code == 0 and text.count("write yes:") == 1, f"{code}: {text}"
    recorded = known_hosts(place).read_text()
    assert all(host.public_key() in recorded for host in hosts), recorded


def test_trust_refuses_a_changed_key_and_does_the_rest(place):
    hosts = pair()
    place.write(commands(hosts, "[hostname]"))
    place.run("hosts", "trust", place.workflow, "node1", "--yes")
    other = place.folder / "other_key"
    ssh_hosts.make_key(other)
    file = known_hosts(place)
    changed = file.read_text().replace(hosts[0].public_key(), " ".join(other.with_suffix(".pub").read_text().split()[:2]))
    file.write_text(changed)
    done = place.run("hosts", "trust", place.workflow, "--yes", expect=6)
    assert f"{file}:1" in done.stderr and "has changed" in done.stderr, done.output
    assert file.read_text().startswith(changed.rstrip("\n")), "the line of a changed key was written over"
    assert hosts[1].public_key() in file.read_text(), done.output


def test_check_finds_nothing_wrong_and_leaves_nothing_running(place):
    hosts = pair()
    trusted(place, commands(hosts, "[hostname]"))
    done = place.run("hosts", "check", place.workflow)
    ways = 2 if ssh_hosts.isolated() else 0  # ports of one machine reach each other
    assert f"2 hosts and {ways} ways tried: nothing would stop a run" in done.stdout, done.output
    assert done.stdout.count("Linux") == 2 and done.stdout.count("free") == 2, done.output
    check_nothing_left_of_check(place, hosts)
    told = json.loads(place.run("hosts", "check", place.workflow, "--json").stdout)
    assert told["ok"] and [way["ok"] for way in told["pairs"]] == [True] * ways, told
    assert all(host["free_bytes"] > 0 and abs(host["clock_ahead_s"]) < 5 for host in told["hosts"]), told
    check_nothing_left_of_check(place, hosts)


def check_nothing_left_of_check(place, hosts):
    """The programs stay for the run; nothing else does."""
    hosts.check_nothing_left()
    for host in hosts:
        stores = [p.name for p in host.workspace().iterdir() if len(p.name) == 32]
        assert not stores, f"{host.name}: {stores}"
    assert not place.processes(), place.processes()


def test_check_says_of_each_host_what_is_wrong_with_it(place):
    hosts = pair()
    with ssh_hosts.silent_server() as port:
        extra = "".join([
            hosts[1].entry(user="nobody-here").replace("  node2:", "  stranger:"),
            hosts[1].entry(identity=str(place.folder / "none")).replace("  node2:", "  keyless:"),
            hosts[1].entry(port=1).replace("  node2:", "  closed:"),
            hosts[1].entry(address="no.such.name.invalid").replace("  node2:", "  nameless:"),
            hosts[1].entry(address="127.0.0.1", port=port).replace("  node2:", "  silent:"),
        ])
        place.write(commands(hosts.yaml() + extra, "[hostname]"))
        place.run("hosts", "trust", place.workflow, "node1", "node2", "--yes")
        began = time.monotonic()
        done = place.run("hosts", "check", place.workflow, "--json", expect=7)
        assert time.monotonic() - began < 100, "one host held up the others"
    told = {host["host"]: host for host in json.loads(done.stdout)["hosts"]}
    assert told["node1"]["ok"] and told["node2"]["ok"], done.output
    for name, words in {"stranger": ("nobody-here", "user"), "keyless": ("no such file",), "closed": ("refused",),
                        "nameless": ("no.such.name.invalid",), "silent": (str(port),)}.items():
        text = " ".join(finding["text"] for finding in told[name]["findings"])
        assert not told[name]["ok"] and all(word in text for word in words), f"{name}: {text}"
    ways = {(way["from"], way["to"]): way["ok"] for way in json.loads(done.stdout)["pairs"]}
    both = {("node1", "node2"): True, ("node2", "node1"): True} if ssh_hosts.isolated() else {}
    assert ways == both, ways
    check_nothing_left_of_check(place, hosts)


def test_check_tells_a_data_address_that_is_none_of_the_host(place):
    hosts = pair()
    place.write(commands("\nhosts:\n" + hosts[0].entry() + hosts[1].entry(data_address="192.0.2.77"), "[hostname]"))
    place.run("hosts", "trust", place.workflow, "--yes")
    done = place.run("hosts", "check", place.workflow, expect=7)
    assert "node1 -> node2 at 192.0.2.77  FAIL" in done.stdout, done.output
    assert "`data_address` must be an address of that machine" in done.stdout, done.output
    check_nothing_left_of_check(place, hosts)


def test_check_of_the_only_host_that_answers_says_so_and_blames_it_for_nothing(place):
    place.write(commands("\nhosts:\n  near: { address: local }\n  node1: { address: 127.0.0.1, port: 1 }\n", "[hostname]"))
    done = place.run("hosts", "check", place.workflow, "--json", expect=7)
    told = json.loads(done.stdout)
    assert [(host["host"], host["ok"]) for host in told["hosts"]] == [("near", True), ("node1", False)], done.output
    assert [finding["text"] for finding in told["hosts"][0]["findings"]] == \
        ["no other host answers: no way to or from it was tried"], done.output
    assert not told["pairs"], done.output
    place.check_nothing_left()


@ssh_hosts.needs_namespaces
def test_check_tells_a_host_that_has_no_route_to_another(place):
    hosts = pair()
    trusted(place, commands(hosts, "[hostname]"))
    hosts[0].inside("ip", "route", "add", "prohibit", hosts[1].address)
    try:
        done = place.run("hosts", "check", place.workflow, expect=7)
    finally:
        hosts[0].inside("ip", "route", "del", "prohibit", hosts[1].address)
    assert f"host node1 has no route to node2 ({hosts[1].address}): give node2 the `data_address`" in done.stdout, done.output
    check_nothing_left_of_check(place, hosts)
    place.run("hosts", "check", place.workflow)


@ssh_hosts.needs_namespaces
@ssh_hosts.needs("nft", lambda: shutil.which("nft"))
def test_check_tells_which_way_is_closed(place):
    """As by a firewall: who connects from node1 hears nothing, and answers from there come through."""
    hosts = pair()
    trusted(place, commands(hosts, "[hostname]"))
    hosts[0].inside("nft", "add table inet closed; add chain inet closed out { type filter hook output priority 0; }; "
                    f"add rule inet closed out ip daddr {hosts[1].address} tcp flags & (syn | ack) == syn drop")
    try:
        done = place.run("hosts", "check", place.workflow, expect=7)
    finally:
        hosts[0].inside("nft", "delete table inet closed")
    lines = done.stdout.splitlines()
    assert f"  node2 -> node1 at {hosts[0].address}  ok" in lines, done.output
    fault = lines[lines.index(f"  node1 -> node2 at {hosts[1].address}  FAIL") + 1]
    assert f"host node1 cannot reach host node2 at {hosts[1].address} (port " in fault, done.output
    assert "no answer within 10" in fault and "open the ports of node2 to node1, or give node2 the `data_address`" in fault, fault
    assert "2 hosts and 2 ways tried: 0 hosts and 1 way would stop a run" in done.stdout, done.output
    check_nothing_left_of_check(place, hosts)
    place.run("hosts", "check", place.workflow)


def test_lists_the_hosts_of_a_workflow_and_when_they_were_seen(place):
    hosts = pair()
    trusted(place, commands(hosts, "[hostname]"))
    before = place.run("hosts", "list", place.workflow).stdout
    assert before.count("never used") == 3 and f"{hosts[0].user}@" in before, before
    place.run("run", place.workflow)
    after = {line.split()[0]: line for line in place.run("hosts").stdout.splitlines()[1:]}
    assert "last seen" in after["node1"] and "/.cache/gnnflow/" in after["node1"], after
    assert "never used" in after["node2"], after
    told = json.loads(place.run("hosts", "list", place.workflow, "--json").stdout)
    assert [host["host"] for host in told["hosts"]] == ["controller", "node1", "node2"], told
    check_nothing_left(place, hosts)


if __name__ == "__main__":
    ssh_hosts.main(globals())
