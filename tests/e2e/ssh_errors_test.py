"""What can be wrong with a host that ssh leads to: each a clear message with the host in it, and the documented exit code."""

import contextlib
import re
import signal
import socket
import time

import ssh_hosts
from flows import end_with
from ssh_flows import check_nothing_left, commands, known_hosts, pair, trusted

ONCE = "defaults: { lost_retries: 0 }"


def one_host(**options):
    """A `hosts:` of node1 alone, with other options than it has."""
    return "\nhosts:\n" + pair()[0].entry(**options)


def refused(place, text, *words, code=6, trust=True):
    """The run ends with the code, says all words about node1, and leaves nothing."""
    (trusted(place, text) if trust else place.write(text))
    done = place.run("run", place.workflow, expect=code, timeout=120)
    for word in ("node1", *words):
        assert re.search(word, done.output), f"nothing about {word!r}:\n{done.output}"
    check_nothing_left(place, pair())
    return done


def test_an_unknown_host_key_is_refused_with_the_way_to_trust_it(place):
    hosts = pair()
    began = [host.connections() for host in hosts]
    done = refused(place, commands(hosts, "[hostname]", defaults=ONCE), "SHA256:", "gnnflow hosts trust", trust=False)
    assert "not known" in done.output or "unknown" in done.output, done.output
    assert not list(hosts[0].home().glob(".cache/gnnflow")), "something was sent to a host whose key is not known"
    assert hosts[0].connections() > began[0]
    # Without a terminal nothing is asked: it must be said on the command line.
    place.run("hosts", "trust", place.workflow, expect=2)
    place.run("run", place.workflow, expect=6)
    shown = place.run("hosts", "trust", place.workflow, "--yes")
    assert "SHA256:" in shown.output, shown.output
    assert "nothing" not in place.run("run", place.workflow).output
    check_nothing_left(place, hosts)


def test_a_changed_host_key_is_refused_with_both_fingerprints_and_the_line(place):
    hosts = pair()
    trusted(place, commands(hosts, "[hostname]", defaults=ONCE))
    known = known_hosts(place)
    other = place.folder / "other_key"
    ssh_hosts.make_key(other)
    right = hosts[0].public_key()
    assert right in known.read_text(), known.read_text()
    known.write_text(known.read_text().replace(right, " ".join(other.with_suffix(".pub").read_text().split()[:2])))
    done = place.run("run", place.workflow, expect=6)
    assert re.search(r"known_hosts:\d+", done.output), done.output
    assert len(set(re.findall(r"SHA256:[\w+/]+", done.output))) == 2, f"not both fingerprints:\n{done.output}"
    check_nothing_left(place, hosts)


def test_a_wrong_user_and_a_wrong_key_are_told(place):
    hosts = pair()
    refused(place, commands(one_host(user="nobodyhere"), "[hostname]", defaults=ONCE), "nobodyhere")
    other = place.folder / "other_key"
    ssh_hosts.make_key(other)
    refused(place, commands(one_host(identity=str(other)), "[hostname]", defaults=ONCE), hosts[0].user)
    refused(place, commands(one_host(identity=str(place.folder / "no_key")), "[hostname]", defaults=ONCE), "no_key")


def test_a_host_that_cannot_be_reached_is_told_in_time(place):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    refused(place, commands(one_host(address="127.0.0.1", port=port), "[hostname]", defaults=ONCE), f"{port}", trust=False)
    refused(place, commands(one_host(address="no-such-host.invalid"), "[hostname]", defaults=ONCE), "no-such-host.invalid",
            trust=False)


@ssh_hosts.needs_namespaces
def test_a_host_that_is_off_is_told_in_time(place):
    off = f"{ssh_hosts.NETWORK}.77"
    done = refused(place, commands(one_host(address=off), "[hostname]", defaults=ONCE), off, trust=False)
    assert done.seconds < 60, f"after {done.seconds:.0f} s"


def test_a_host_that_accepts_and_stays_silent_is_told_in_time(place):
    with ssh_hosts.silent_server() as port:
        place.write(commands(one_host(address="127.0.0.1", port=port), "[hostname]", defaults=ONCE))
        trust = place.start("hosts", "trust", place.workflow, "--yes")
        done = refused(place, place.workflow.read_text(), f"{port}", trust=False)
        assert done.seconds < 60, f"after {done.seconds:.0f} s"
        print(f"     told after {done.seconds:.1f} s")
        end_with(trust, place, 6)
        assert "node1" in place.log(), place.log()


def test_a_stop_does_not_wait_for_a_host_that_stays_silent(place):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place.write(commands(one_host(address="127.0.0.1", port=silent.getsockname()[1]), "[hostname]"))
        for stop, code in ((lambda run: run.send_signal(signal.SIGINT), 130), (lambda _: place.run("stop"), 8)):
            silent.settimeout(60)
            controller = place.start("run", place.workflow)
            with silent.accept()[0]:
                began = time.monotonic()
                stop(controller)
                end_with(controller, place, code)
                took = time.monotonic() - began
            assert took < 8, f"{took:.1f} s\n{place.log()}"
            silent.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                silent.accept()
                raise AssertionError("a host that never answered was asked again, to clean up there")
        assert "failed" not in place.log(), place.log()
    assert place.query("select exit_code from run order by id") == [(130,), (8,)]
    place.check_nothing_left()
    place.check_invariants()


def test_hosts_check_names_what_is_wrong_and_ends_with_7(place):
    hosts = pair()
    trusted(place, commands(hosts, "[hostname]"))
    place.run("hosts", "check", place.workflow)
    place.write(commands(hosts.yaml() + '  off: { address: 127.0.0.1, port: 1 }\n', "[hostname]"))
    done = place.run("hosts", "check", place.workflow, expect=7)
    assert "off" in done.output and "127.0.0.1" in done.output, done.output
    hosts.check_nothing_left()


def test_a_login_shell_that_prints_is_passed_over(place):
    hosts = pair()
    if not ssh_hosts.isolated():  # bash reads it for a command that sshd started
        (hosts[0].home() / ".bashrc").write_text("echo 'Welcome to this machine.'\n")
    trusted(place, commands(one_host(user="noisy" if ssh_hosts.isolated() else hosts[0].user), "[sh, -c, 'id; echo done']"))
    done = place.run("run", place.workflow)
    assert "done" in place.run("logs", place.workflow, "step1").output, done.output
    check_nothing_left(place, hosts)


@ssh_hosts.needs_namespaces
@ssh_hosts.needs("tcsh or csh", lambda: "csh" in ssh_hosts.ACCOUNTS)
def test_a_login_shell_of_another_kind_serves(place):
    trusted(place, commands(one_host(user="csh"), "[sh, -c, 'echo done']"))
    place.run("run", place.workflow)
    assert "done" in place.run("logs", place.workflow, "step1").output
    check_nothing_left(place, pair())


@ssh_hosts.needs_namespaces
def test_a_full_disk_is_told_with_13(place):
    home = pair()[0].home("small")
    trusted(place, commands(one_host(user="small"), "[hostname]", defaults=ONCE))
    done = place.run("run", place.workflow, expect=13)
    assert "node1" in done.output and re.search("are free there|No space", done.output), done.output
    assert not list(home.glob(".cache/gnnflow/bundles/*/bin/*")), "a bundle that did not fit was put together"
    for part in home.rglob("*.part"):  # what came so far is kept, to go on from
        part.unlink()
    check_nothing_left(place, pair())


def test_a_bundle_with_a_flipped_byte_is_found_and_sent_again(place):
    hosts = pair()
    trusted(place, commands(hosts, "[hostname]"))
    place.run("run", place.workflow)
    for name in ("gnnflow-worker", "libzmq*"):
        file = next(p for p in hosts[0].workspace().glob(f"bundles/*/*/{name}") if p.is_file())
        original = file.read_bytes()
        flipped = bytearray(original)
        flipped[len(flipped) // 2] ^= 1
        file.chmod(0o755)
        file.write_bytes(flipped)
        place.write(commands(hosts, "[hostname]", f"[echo, '{name}']"))
        done = place.run("run", place.workflow)
        now = [p for p in hosts[0].workspace().glob(f"bundles/*/*/{file.name}") if p.is_file()]
        assert all(p.read_bytes() == original for p in now), f"{file} is damaged still:\n{done.output}"
    check_nothing_left(place, hosts)


if __name__ == "__main__":
    ssh_hosts.main(globals())
