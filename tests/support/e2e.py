"""What end-to-end tests share: a throw-away home and state, the programs, and a scan for what a run left behind."""

import contextlib
import ctypes
import hashlib
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback

BIN = pathlib.Path(os.environ.get("GNNFLOW_BIN", pathlib.Path(__file__).parents[2] / "build/dev/bin"))
SOURCE = pathlib.Path(__file__).resolve().parents[2]
SHARED_MEMORY = "/dev/shm"
UNFINISHED = ("intent", "running", "publishing")


class Place:
    """A home, a folder with a workflow, and its state; gone with the test unless it failed."""

    def __init__(self, name):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"gnnflow-e2e-{name}-"))
        self.home = self.folder / "home"
        self.home.mkdir()
        self.workflow = self.folder / "flow.yml"
        self.shared_memory = set(os.listdir(SHARED_MEMORY))  # of others, from before
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("GNNFLOW_TOKEN", "OMP_"))},
            "HOME": str(self.home), "GNNFLOW_TEST_PLACE": str(self.folder), "NO_COLOR": "1",
        }

    def write(self, text):
        self.workflow.write_text(text)
        return self

    def state(self):
        states = list((self.folder / ".gnnflow").glob("*/gnnflow.db"))
        assert len(states) == 1, f"one state expected, found {states}"
        return states[0].parent

    def run(self, *arguments, expect=0, timeout=240):
        """gnnflow ARGUMENTS to its end; the exit code must be `expect` (None: any)."""
        began = time.monotonic()
        done = subprocess.run([BIN / "gnnflow", *map(str, arguments)], cwd=self.folder, env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        done.seconds = time.monotonic() - began
        done.output = done.stdout + done.stderr
        if expect is not None:
            assert done.returncode == expect, \
                f"gnnflow {' '.join(map(str, arguments))}: exit {done.returncode}, expected {expect}\n{done.output}"
        return done

    def start(self, *arguments):
        log = open(self.folder / "controller.log", "ab")
        return subprocess.Popen([BIN / "gnnflow", *map(str, arguments)], cwd=self.folder, env=self.environment,
                                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def log(self):
        return (self.folder / "controller.log").read_text(errors="replace")

    def states(self):
        """The folders of all states: of workflows in this place and in a folder of it."""
        return [p.parent for pattern in (".gnnflow/*", "*/.gnnflow/*") for p in self.folder.glob(pattern + "/gnnflow.db")]

    def query(self, sql, *values):
        return answer(self.state(), sql, *values)

    def roots(self):
        """The folders of all host entries of this place."""
        found = [p for state in self.states() for p in state.glob("*/controller")]
        return found + list((self.home / ".cache/gnnflow").glob("*/*"))

    def processes(self):
        """pid -> command line of every living process of this place's home."""
        return marked(f"GNNFLOW_TEST_PLACE={self.folder}")

    def process_of(self, *words):
        return having(self.processes(), words)

    def left_behind(self):
        """What a run may not leave: processes, sockets, shared memory, temporary files."""
        left = [f"process {pid}: {line}" for pid, line in self.processes().items()]
        left += [str(p) for root in self.roots() for p in temporary(root)]
        left += [str(folder) for root in self.roots() if (folder := socket_folder(root)).exists()]
        new = {f"{SHARED_MEMORY}/{name}" for name in set(os.listdir(SHARED_MEMORY)) - self.shared_memory}
        left += sorted(new - in_use(new))  # what a test beside this one uses is its own
        return left + self.unknown_outputs()

    def unknown_outputs(self):
        """Folders of outputs that no attempt of the store has made, or one that came to nothing."""
        folders = [p for root in self.roots() for p in (root / "outputs").glob("*/*/*")]
        if not folders:
            return []
        made = "select step, key, number from attempt where state not in ('failed', 'cancelled')"
        known = {row for state in self.states() for row in answer(state, made)}
        return [str(p) for p in folders if (p.parts[-3], p.parts[-2], int(p.name)) not in known]

    def check_nothing_left(self):
        left = self.left_behind()
        assert not left, "left behind:\n  " + "\n  ".join(left)

    def check_invariants(self):
        """Of orchestration's list: integrity, final states kept, artifacts whole, nothing partial."""
        assert self.query("pragma integrity_check") == [("ok",)]
        assert self.query("pragma foreign_key_check") == []
        rows = self.query(f"select step, count(*) from attempt where state in {UNFINISHED} group by step having count(*) > 1")
        assert rows == [], f"more than one unfinished attempt: {rows}"
        self.run("plan", "--verify", self.workflow)
        began = time.monotonic()
        self.run("status", self.workflow)
        assert time.monotonic() - began < 1, "status took over a second"

    def weights(self):
        """Digests of the files of the final weights, optimiser and all, from the copy that the controller holds."""
        folders = sorted(self.state().glob("*/controller/**/model/last"), key=lambda p: p.stat().st_mtime)
        assert folders, "the controller has no trained weights"
        found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folders[-1].glob("*.safetensors"))}
        assert found, f"no weights in {folders[-1]}"
        return found

    def close(self):
        for pid in self.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for root in self.roots():  # a killed daemon leaves its socket
            shutil.rmtree(socket_folder(root), ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def answer(state, sql, *values):
    """What the store in the folder of this state answers."""
    database = sqlite3.connect(f"file:{state}/gnnflow.db?mode=ro", uri=True)
    try:
        return database.execute(sql, values).fetchall()
    finally:
        database.close()


def marked(mark):
    """pid -> command line of every process in whose environment the mark stands."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if mark.encode() in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found[int(pid)] = command_line(pid)
    return found


def command_line(pid):
    """Empty for what has ended and only waits for its parent."""
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()


def having(processes, words):
    """The pids of those among whose arguments all words stand; of a path the last name counts."""
    return [pid for pid, line in processes.items()
            if set(words) <= {argument.rsplit("/", 1)[-1] for argument in line.split()}]


def in_use(paths):
    """Those of these files that a living process has open or mapped."""
    used = set()
    for pid in filter(str.isdigit, os.listdir("/proc")) if paths else []:
        with contextlib.suppress(OSError):
            maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
            used |= {path for path in paths if path in maps}
            for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    used |= paths & {os.readlink(descriptor)}
    return used


def temporary(root):
    """What lies in a host entry's root only while something runs."""
    return [p for pattern in ("tmp/*", "incoming/*", "trash-*") for p in root.glob(pattern)] + list(root.rglob("*.tmp-*"))


class XXH128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def socket_folder(root):
    """Where the daemon of this root listens: named by the digest of the root's path."""
    digest = ctypes.CDLL("libxxhash.so.0").XXH3_128bits
    digest.restype, digest.argtypes = XXH128, [ctypes.c_char_p, ctypes.c_size_t]
    name = os.fsencode(root.resolve())
    value = digest(name, len(name))
    return pathlib.Path(f"/tmp/gnnflow-{os.geteuid()}-{value.high:016x}{value.low:016x}")


def wait_until(what, condition, seconds):
    """The condition's first true value; fails with `what` when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.05)


def seconds_until(what, condition, limit):
    began = time.monotonic()
    wait_until(what, condition, limit)
    return time.monotonic() - began


def kill(pids, number=signal.SIGKILL):
    assert pids, "nothing to kill"
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def listeners(pids):
    """(address, port) of every TCP listener of these processes, addresses as /proc/net/tcp* writes them."""
    sockets = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    target = os.readlink(descriptor)
                    if target.startswith("socket:["):
                        sockets.add(target[8:-1])
    return {(address, port) for address, port, inode in listening("/proc/net") if inode in sockets}


def listening(folder):
    """(address, port, inode) of every TCP listener in the tables of this folder."""
    for table in ("tcp", "tcp6"):
        for line in (pathlib.Path(folder) / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                address, port = fields[1].split(":")
                yield address, int(port, 16), fields[9]


def main(tests):
    """Runs every test_* of a module; one argument names a single one."""
    chosen = [(n, f) for n, f in tests.items() if n.startswith("test_") and (len(sys.argv) < 2 or sys.argv[1] == n)]
    assert chosen, "no such test"
    failed = 0
    for name, test in chosen:
        place = Place(name.removeprefix("test_")[:24])
        began = time.monotonic()
        try:
            test(place)
            print(f"ok   {name} ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception as problem:  # the test's claim is broken, whatever way
            failed += 1
            where = traceback.extract_tb(problem.__traceback__)[1]
            print(f"FAIL {name}, line {where.lineno}: {type(problem).__name__}: {problem}", flush=True)
            if (place.folder / "controller.log").exists():
                print(place.log()[-4000:])
            for root in place.roots() if (place.folder / ".gnnflow").exists() else []:
                log = root / "daemon.log"
                if log.exists():
                    print(f"--- {root.name}/daemon.log\n{log.read_text(errors='replace')[-1500:]}")
        finally:
            if not os.environ.get("GNNFLOW_KEEP"):
                place.close()
    print(f"{len(chosen) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
