"""Hosts with an sshd each, for tests: network, mount and PID namespaces when run as root, else ports of the loopback
interface. In namespaces a host has its own address, accounts, homes, /tmp, /dev/shm and /run, and sees nothing of ours but
what a test brings there: source tree and build are hidden, and the libraries that the bundle must bring are empty files.

All namespaces hang on one process: when it ends, whatever way, the kernel takes away processes, interfaces and files."""

import atexit
import contextlib
import fcntl
import getpass
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

import e2e

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""
INSIDE = "GNNFLOW_TEST_NAMESPACES"
BRIDGE, NETWORK = "gnnflow0", "10.213.0"
USER = "gnn"

# Accounts of a host in namespaces: uid, shell, megabytes of the home, what its .bashrc prints.
ACCOUNTS = {
    USER: (1001, "/bin/bash", None, ""),
    "noisy": (1002, "/bin/bash", None, "echo; echo 'gnnflow-ready? Welcome to this machine.'; echo 'and to its stderr' >&2\n"),
    "small": (1003, "/bin/sh", 8, ""),
    **({"csh": (1004, csh, None, "")} if (csh := shutil.which("tcsh") or shutil.which("csh")) else {}),
}
# What a bundle brings must not be found on the host: these of the machine's libraries read as empty files there.
HIDDEN = ("libtorch*", "libc10*", "libgloo*", "libdnnl*", "libzmq*", "libmetis*", "libspdlog*", "libxxhash*", "libssh*")


def enter():
    """As root: goes on in network, mount and PID namespaces of its own, if the machine allows that."""
    if os.geteuid() != 0 or INSIDE in os.environ:
        return
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode == 0:
        sys.stdout.flush()
        os.execvpe("unshare", [*unshare, sys.executable, *sys.argv], {**os.environ, INSIDE: "entered"})
    print("no namespaces to be had here: the hosts are ports of the loopback interface", flush=True)


def set_up_inside():
    """The first process of the namespaces: splits into one that reaps and one that goes on as the test."""
    if os.environ.get(INSIDE) != "entered":
        return
    os.environ[INSIDE] = "ready"
    test = os.fork()
    if test:
        while True:
            pid, status = os.wait()
            if pid == test:
                os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    tmpfs("/run", "755")
    tmpfs("/dev/shm", "1777")
    if not any(str(p).startswith("/tmp/") for p in (e2e.BIN, e2e.SOURCE, os.environ.get("GNNFLOW_DATA", ""))):
        tmpfs("/tmp", "1777")
    os.mkdir("/run/sshd")
    os.mkdir("/run/tmp", 0o700)
    os.environ["TMPDIR"] = tempfile.tempdir = "/run/tmp"
    ip("link", "set", "lo", "up")
    ip("link", "add", BRIDGE, "address", "02:00:00:d5:00:01", "type", "bridge")  # else it changes with the ports
    ip("addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
    ip("link", "set", BRIDGE, "up")


def isolated():
    return INSIDE in os.environ


def needs_namespaces(test):
    """For a test that loopback ports cannot serve: without namespaces `main` says that it was not run."""
    return needs("root and namespaces", isolated)(test)


def needs(what, there):
    """For a test that is run only where `there()`; else `main` names what it needs."""
    def mark(test):
        test.needs = getattr(test, "needs", []) + [(what, there)]
        return test
    return mark


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def tmpfs(folder, mode, size=None):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode={mode}" + (f",size={size}m" if size else ""), "tmpfs", folder], check=True)


def bind(source, target):
    subprocess.run(["mount", "--bind", source, target], check=True)


class Host:
    """What both kinds of host have. `folder` holds its keys, log and settings; `user` and `key` are let in."""

    def __init__(self, name, address, port, user, folder, key):
        self.name, self.address, self.port, self.user, self.folder, self.key = name, address, port, user, folder, key
        self.log = folder / "sshd.log"
        self.log.touch()
        self.make_host_key()

    def make_host_key(self):
        for file in self.folder.glob("host_key*"):
            file.unlink()
        make_key(self.folder / "host_key")

    def settings(self, folder, *more):
        """The text of sshd_config; `folder` is the host's folder as its sshd sees it."""
        return "\n".join([
            f"ListenAddress {self.address}:{self.port}", f"HostKey {folder}/host_key", "PidFile none", "UsePAM no",
            f"AuthorizedKeysFile {folder}/authorized_keys", "StrictModes no", "PasswordAuthentication no", "UseDNS no",
            "KbdInteractiveAuthentication no", "LogLevel VERBOSE", "Subsystem sftp internal-sftp", *more, ""])

    def entry(self, **options):
        """The host as it stands under `hosts:`."""
        told = {"address": self.address, "port": self.port, "user": self.user, "identity": str(self.key), **options}
        return f"  {self.name}: " + json.dumps({k: v for k, v in told.items() if v is not None}) + "\n"

    def ssh(self, command, user=None, check=True):
        """The command's output, run by the system's ssh."""
        done = subprocess.run(["ssh", *self.ssh_options(), "-p", str(self.port), f"{user or self.user}@{self.address}", command],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, f"ssh {self.name} {command}: {done.returncode}\n{done.stderr}"
        return done.stdout

    def ssh_options(self):
        return ["-F", "none", "-i", str(self.key), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]

    def public_key(self):
        """Kind and key as they stand in known_hosts."""
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def starts(self):
        return self.log.read_text(errors="replace").count("Server listening on ")

    def connections(self):
        """How often somebody connected to its sshd so far."""
        return self.log.read_text(errors="replace").count("Connection from ")

    def process_of(self, *words):
        return e2e.having(self.processes(), words)

    def sessions(self):
        """The pids of sshd's processes for connections."""
        return [pid for pid, line in self.processes().items() if line.startswith("sshd: ")]

    def workspace(self, user=None):
        return self.home(user) / ".cache/gnnflow"

    def roots(self, user=None):
        """The folders of the host entries that were served here: <workspace>/<store id>/<entry>."""
        return [p for p in self.workspace(user).glob("*/*") if len(p.parent.name) == 32 and p.is_dir()]

    def left_in_workspace(self, user=None):
        left = {p for root in self.roots(user) for p in e2e.temporary(root)}
        left |= {p for pattern in ("*.tmp-*", "*.part") for p in self.workspace(user).rglob(pattern)}
        return [f"{self.name}: {p}" for p in sorted(left)]

    def left_behind(self):
        """What no run may leave: processes, sockets, shared memory, temporary files."""
        return [f"{self.name}: process {pid}: {line}" for pid, line in self.processes().items()] + self.left_elsewhere()


class NamespaceHost(Host):
    """A host with all of its own. Its first process is this file, run by `unshare`."""

    def __init__(self, number, name, folder, key):
        super().__init__(name, f"{NETWORK}.{10 + number}", 22, USER, folder, key)
        self.veth, self.ethernet = f"veth-{name}", f"02:00:00:d5:00:{10 + number:02x}"
        etc = folder / "etc"
        etc.mkdir()
        people = [("root", 0, "/bin/bash"), ("sshd", 102, "/usr/sbin/nologin"), ("nobody", 65534, "/usr/sbin/nologin")]
        people += [(name, uid, shell) for name, (uid, shell, _, _) in ACCOUNTS.items()]
        home = {"root": "/root", "sshd": "/run/sshd", "nobody": "/nonexistent"}
        (etc / "passwd").write_text("".join(f"{n}:x:{u}:{u}::{home.get(n, '/home/' + n)}:{s}\n" for n, u, s in people))
        (etc / "shadow").write_text("".join(f"{n}:*:19000:0:99999:7:::\n" for n, _, _ in people))
        (etc / "group").write_text("".join(f"{n}:x:{u}:\n" for n, u, _ in people))
        (folder / "sshd_config").write_text(self.settings("/run/host"))
        self.start()

    def start(self):
        (self.folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
        starts = self.starts()
        self.top = subprocess.Popen(
            ["unshare", "--uts", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL", sys.executable,
             __file__, str(self.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "PYTHONPATH": str(pathlib.Path(__file__).parent),
                 "PYTHONDONTWRITEBYTECODE": "1", "GNNFLOW_BIN": str(e2e.BIN)})
        assert self.top.stdout.readline() == b"set up\n", f"{self.name} was not set up"
        self.init = next(p for p in map(int, filter(str.isdigit, os.listdir("/proc"))) if parent_of(p) == self.top.pid)
        self.namespace = os.readlink(f"/proc/{self.init}/ns/pid")
        ip("link", "add", self.veth, "type", "veth", "peer", "name", "eth0", "address", self.ethernet, "netns", str(self.init))
        ip("link", "set", self.veth, "master", BRIDGE, "up")
        self.inside("ip", "link", "set", "lo", "up")
        self.inside("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.inside("ip", "link", "set", "eth0", "up")
        self.top.stdin.write(b"go\n")
        self.top.stdin.flush()
        e2e.wait_until(f"the sshd of {self.name}", lambda: self.starts() > starts, 20)
        self.quiet = set(self.all_processes())

    def inside(self, *command):
        subprocess.run(["nsenter", "--net", "--target", str(self.init), *command], check=True)

    def reboot(self):
        """As after a power cut, but that homes are kept: every process ends at once."""
        self.stop()
        self.start()

    def link(self, state):
        """`down` cuts the wire at the bridge's end: the host's own routes stay."""
        ip("link", "set", self.veth, state)

    def path(self, absolute):
        """A path of the host as the test sees it."""
        return pathlib.Path(f"/proc/{self.init}/root") / absolute.lstrip("/")

    def home(self, user=None):
        return self.path(f"/home/{user or self.user}")

    def received(self):
        """Bytes that came in over its network so far."""
        lines = pathlib.Path(f"/proc/{self.init}/net/dev").read_text().splitlines()
        return int(next(line for line in lines if "eth0:" in line).split(":")[1].split()[0])

    def all_processes(self):
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/ns/pid") == self.namespace:
                    found[int(pid)] = e2e.command_line(pid)
        return found

    def processes(self):
        """pid (as the test sees it) -> command line of every process but the two that make the host."""
        return {pid: line for pid, line in self.all_processes().items() if pid not in self.quiet and line}

    def listeners(self):
        """(address, port) of every TCP listener but sshd's, addresses as /proc/net/tcp* writes them."""
        found = e2e.listening(f"/proc/{self.init}/net")
        return {(address, port) for address, port, _ in found if port != self.port}

    def left_elsewhere(self):
        left = [line for user in ACCOUNTS for line in self.left_in_workspace(user)]
        left += [f"{self.name}: {p}" for folder in ("/tmp", "/dev/shm", "/var/tmp") for p in self.path(folder).iterdir()]
        left += [f"{self.name}: listener {address}:{port}" for address, port in self.listeners()]
        for line in pathlib.Path(f"/proc/{self.init}/net/unix").read_text().splitlines()[1:]:
            if "gnnflow" in line:
                left.append(f"{self.name}: socket {line.split()[-1]}")
        return left

    def stop(self):
        self.top.kill()
        self.top.wait()
        wait_until_gone = time.monotonic() + 10
        while os.path.exists(f"/sys/class/net/{self.veth}") and time.monotonic() < wait_until_gone:
            time.sleep(0.02)


class LoopbackHost(Host):
    """An sshd of our own account on a port of the loopback interface, with a home of its own."""

    def __init__(self, name, folder, key):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        super().__init__(name, "127.0.0.1", port, getpass.getuser(), folder, key)
        self.mark = f"GNNFLOW_TEST_HOST={folder}"
        self.home().mkdir(exist_ok=True)
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)  # sshd asks for it when root starts it
        (folder / "sshd_config").write_text(self.settings(folder, f"SetEnv HOME={self.home()} {self.mark}"))
        self.server = subprocess.Popen([SSHD, "-D", "-f", folder / "sshd_config", "-E", self.log],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        e2e.wait_until(f"the sshd of {name}", self.starts, 20)

    def home(self, user=None):
        return self.folder / "home"

    def received(self):
        """Not to be had for one port of many: what its home holds comes nearest."""
        return sum(p.lstat().st_size for p in self.home().rglob("*"))

    def processes(self):
        """pid -> command line of what its sessions started, and of the sessions themselves."""
        return {**e2e.marked(self.mark), **descendants(self.server.pid)}

    def listeners(self):
        return e2e.listeners(self.processes())

    def left_elsewhere(self):
        sockets = [folder for root in self.roots() if (folder := e2e.socket_folder(root)).exists()]
        return self.left_in_workspace() + [f"{self.name}: {folder}" for folder in sockets]

    def stop(self):
        self.server.kill()
        self.server.wait()
        for pid in self.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def descendants(pid):
    """pid -> command line of all processes below one."""
    parents = {int(p): parent_of(p) for p in filter(str.isdigit, os.listdir("/proc"))}
    found, fresh = {}, {pid}
    while fresh := {p for p, parent in parents.items() if parent in fresh}:
        for one in fresh:
            with contextlib.suppress(OSError):
                if line := e2e.command_line(one):
                    found[one] = line
    return found


def parent_of(pid):
    with contextlib.suppress(OSError):
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None


@contextlib.contextmanager
def silent_server():
    """A port where connections are taken, by the kernel, and nobody ever says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def make_key(file):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", file], check=True)


class Hosts:
    """Hosts of one test script, and the user key that they let in; gone with the script."""

    def __init__(self, *names, loopback=None):
        remove_leftovers()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"gnnflow-hosts-{os.geteuid()}-"))
        self.lock = open(self.folder / "lock", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.key = self.folder / "user_key"
        make_key(self.key)
        self.hosts, loopback = [], not isolated() if loopback is None else loopback
        atexit.register(self.close)
        for number, name in enumerate(names, 1):
            folder = self.folder / name
            folder.mkdir()
            shutil.copy(f"{self.key}.pub", folder / "authorized_keys")
            self.hosts.append(LoopbackHost(name, folder, self.key) if loopback else NamespaceHost(number, name, folder, self.key))

    def __iter__(self):
        return iter(self.hosts)

    def __getitem__(self, number):
        return self.hosts[number]

    def yaml(self):
        return "\nhosts:\n" + "".join(host.entry() for host in self.hosts)

    def check_nothing_left(self, within=5):
        """The far ends of closed connections may take a moment to go."""
        end = time.monotonic() + within
        while left := [line for host in self.hosts for line in host.left_behind()]:
            assert time.monotonic() < end, "left behind:\n  " + "\n  ".join(left)
            time.sleep(0.05)

    def close(self):
        atexit.unregister(self.close)
        for host in self.hosts:
            host.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_leftovers():
    """What an earlier script left that was killed (on loopback ports only: namespaces leave nothing)."""
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f"gnnflow-hosts-{os.geteuid()}-*"):
        with contextlib.suppress(OSError), open(folder / "lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for host in folder.iterdir():
                for pid in e2e.marked(f"GNNFLOW_TEST_HOST={host}"):
                    os.kill(pid, signal.SIGKILL)
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    if f"{folder}/".encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                        os.kill(int(pid), signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)


def be_a_host(folder):
    """The first process of a host in namespaces: hides what is not its own, starts its sshd, and reaps for ever."""
    folder = pathlib.Path(folder)
    homes = folder / "homes"
    homes.mkdir(exist_ok=True)
    for name in ("passwd", "shadow", "group"):
        bind(folder / "etc" / name, f"/etc/{name}")
    for name, (uid, _, megabytes, rc) in ACCOUNTS.items():
        home = homes / name
        home.mkdir(exist_ok=True)
        if megabytes:
            tmpfs(home, "755", megabytes)
        (home / ".bashrc").write_text(rc)
        os.chown(home, uid, uid)
    for library in {os.path.realpath(p) for h in HIDDEN for p in pathlib.Path("/usr/lib").glob(f"*/{h}.so*")}:
        bind("/dev/null", library)
    bind(folder / "boot_id", "/proc/sys/kernel/random/boot_id")
    socket.sethostname(folder.name)
    subprocess.run(["mount", "--rbind", homes, "/home"], check=True)
    bind(folder, "/mnt")
    for place in (e2e.SOURCE, e2e.BIN):
        if place.exists():  # BIN may lie in what is hidden already
            tmpfs(place, "755")
    for place, mode in (("/tmp", "1777"), ("/dev/shm", "1777"), ("/var/tmp", "1777"), ("/root", "700"), ("/run", "755")):
        tmpfs(place, mode)
    for place in ("/run/sshd", "/run/host"):
        os.mkdir(place)
    subprocess.run(["mount", "--move", "/mnt", "/run/host"], check=True)
    print("set up", flush=True)
    sys.stdin.readline()
    subprocess.Popen([SSHD, "-D", "-f", "/run/host/sshd_config", "-E", "/run/host/sshd.log"], cwd="/")
    os.chdir("/")
    while True:
        os.wait()


def main(tests):
    """As e2e.main, in namespaces where they are to be had."""
    missing = [name for name in ("sshd", "ssh", "ssh-keygen") if not (SSHD if name == "sshd" else shutil.which(name))]
    if missing:
        print(f"not run: {sum(name.startswith('test_') for name in tests)} tests over ssh (no {', '.join(missing)})")
        return
    enter()
    set_up_inside()
    for name in [name for name in tests if name.startswith("test_")]:
        missing = [what for what, there in getattr(tests[name], "needs", []) if not there()]
        if missing:
            print(f"not run: {name} (needs {', '.join(missing)})")
            del tests[name]
    e2e.main(tests)


if __name__ == "__main__":
    be_a_host(sys.argv[1])
