"""examples/two-hosts as a user copies it: their machines are named in ~/.ssh/config, nothing in the file is changed."""

import shutil

import e2e
import ssh_hosts
from ssh_flows import check_nothing_left, pair

EXAMPLE = e2e.SOURCE / "examples/two-hosts"


def copied(place):
    """The example in an empty folder, and its machines as the user's ssh knows them."""
    hosts = pair()
    shutil.copy(EXAMPLE / "workflow.yml", place.workflow)
    ssh = place.home / ".ssh"
    ssh.mkdir(mode=0o700)
    (ssh / "config").write_text("".join(
        f"Host {host.name}.example.org\n  HostName {host.address}\n  Port {host.port}\n  User {host.user}\n"
        f"  IdentityFile {host.key}\n" for host in hosts))
    return hosts


def words_of_readme():
    """The commands of README.md, in their order, each without `$ gnnflow`."""
    lines = (EXAMPLE / "README.md").read_text().splitlines()
    return [line.split("#")[0].split()[2:] for line in lines if line.startswith("$ gnnflow ")]


def test_the_commands_of_its_readme_lead_to_a_model_and_back_to_nothing(place):
    hosts = copied(place)
    wanted = words_of_readme()
    assert [words[:2] for words in wanted[:3]] == [["hosts", "trust"], ["hosts", "check"], ["run", "workflow.yml"]], wanted
    shown = place.run("hosts", "trust", place.workflow, "--yes")
    assert shown.stdout.count("SHA256:") == 2, shown.output
    checked = place.run("hosts", "check", place.workflow)
    assert "nothing would stop a run" in checked.stdout, checked.output
    done = place.run("run", place.workflow)
    assert "test accuracy" in done.output, done.output
    assert "nothing to do" in place.run("run", place.workflow).output
    check_nothing_left(place, hosts)
    assert [words[0] for words in wanted[3:]] == ["status", "logs", "retry"], wanted
    for words in wanted[3:]:
        place.run(*[place.workflow if word == "workflow.yml" else word for word in words])
    check_nothing_left(place, hosts)
    place.run("gc", place.workflow, "--all")
    for host in hosts:
        found = [str(p) for p in host.workspace().rglob("*")]
        assert not found, f"left on {host.name}: {found[:10]}"
    assert not (place.state() / "results").exists(), "links to results that went"
    check_nothing_left(place, hosts)


if __name__ == "__main__":
    ssh_hosts.main(globals())
