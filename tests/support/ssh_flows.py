"""Workflows on hosts that are reached over ssh, and what their tests ask of a run."""

import functools
import time

import flows
import ssh_hosts

EPOCHS = 40


@functools.cache
def pair():
    """Two hosts, set up when a script first asks for them."""
    return ssh_hosts.Hosts("node1", "node2")


def tiny(hosts, **options):
    """The whole line on the tiny graph, a part on each host. One thread a rank: the same weights on any machine."""
    text = flows.tiny(**{"epochs": EPOCHS, **options}).replace(flows.TWO_HOSTS, hosts.yaml())
    return text.replace("      epochs: ${params.epochs}\n", "      epochs: ${params.epochs}\n      threads: 1\n")


def commands(hosts, *lists, defaults="", name="commands"):
    """A workflow of exec steps on the first of the entries, one for each list of words."""
    steps = "".join(f"  - name: step{n}\n    exec: {{ command: {words}, host: node1 }}\n" for n, words in enumerate(lists, 1))
    return f"gnnflow: 1\nname: {name}\n{hosts if isinstance(hosts, str) else hosts.yaml()}\n{defaults}\nsteps:\n{steps}"


def trusted(place, text):
    """The workflow written, and the keys of its hosts recorded."""
    place.write(text)
    place.run("hosts", "trust", place.workflow, "--yes")
    return place


def known_hosts(place):
    """The file of keys that `hosts trust` wrote; None when it wrote none."""
    return next(place.folder.glob(".gnnflow/*/known_hosts"), None)


def roots(hosts):
    """The folders of all host entries that were served on these hosts."""
    return [root for host in hosts for root in host.roots()]


def start_training(place, hosts):
    return flows.start_training(place, lambda: roots(hosts))


def epoch(place, hosts):
    """The last one of which the hosts hold a checkpoint of this place's training."""
    store = place.roots()[0].parent.name
    own = [root for root in roots(hosts) if root.parent.name == store]
    return max((int(p.name) for p in flows.checkpoints(own)), default=0)


def attempts(place, step):
    """The states of a step's attempts, in their order."""
    return [state for state, in place.query("select state from attempt where step = ? order by id", step)]


def check_nothing_left(place, hosts):
    hosts.check_nothing_left()
    end = time.monotonic() + 5
    while place.left_behind() and time.monotonic() < end:
        time.sleep(0.05)
    place.check_nothing_left()
    place.check_invariants()


def check_does_nothing_more(place, hosts):
    """A further run says that there is nothing to do, and connects to no host."""
    before = [host.connections() for host in hosts]
    again = place.run("run", place.workflow)
    assert "nothing to do" in again.output, again.output
    assert [host.connections() for host in hosts] == before, "a run with nothing to do asked a host"
