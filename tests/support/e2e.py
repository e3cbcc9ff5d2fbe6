"""What end-to-end tests share: a throw-away home and state, the programs, and a scan for what a run left behind."""

import contextlib
import ctypes
import hashlib
import json
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
UNFINISHED = ("intent", "running", "publishing")


class Place:
    """A home, a folder with a workflow, and its state; gone with the test unless it failed."""

    def __init__(self, name):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"gnnflow-e2e-{name}-"))
        self.home = self.folder / "home"
        self.home.mkdir()
        self.workflow = self.folder / "flow.yml"
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

    def query(self, sql, *values):
        database = sqlite3.connect(f"file:{self.state()}/gnnflow.db?mode=ro", uri=True)
        try:
            return database.execute(sql, values).fetchall()
        finally:
            database.close()

    def roots(self):
        """The folders of all host entries of this place."""
        found = list(self.folder.glob(".gnnflow/*/*/controller"))
        return found + list((self.home / ".cache/gnnflow").glob("*/*"))

    def processes(self):
        """pid -> command line of every living process of this place's home, but for the caller's own."""
        found = {}
        mark = f"GNNFLOW_TEST_PLACE={self.folder}".encode()
        for folder in pathlib.Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        return found

    def process_of(self, *words):
        """The pids of processes among whose arguments all words stand; of a path the last name counts."""
        return [pid for pid, line in self.processes().items()
                if set(words) <= {argument.rsplit("/", 1)[-1] for argument in line.split()}]

    def left_behind(self):
        """What a run may not leave: processes, sockets, shared memory, temporary files."""
        left = [f"process {pid}: {line}" for pid, line in self.processes().items()]
        for root in self.roots():
            left += [str(p) for sub in ("tmp", "incoming") for p in (root / sub).glob("*")]
            left += [str(p) for p in root.glob("trash-*")]
            left += [str(p) for p in root.rglob("*.tmp-*")]
        left += [str(folder) for root in self.roots() if (folder := socket_folder(root)).exists()]
        left += [str(p) for p in pathlib.Path("/dev/shm").glob("*gnnflow*")]
        return left

    def check_nothing_left(self):
        left = self.left_behind()
        assert not left, "left behind:\n  " + "\n  ".join(left)

    def check_invariants(self):
        """Of orchestration's list: integrity, final states kept, artifacts whole, nothing partial."""
        assert self.query("pragma integrity_check") == [("ok",)]
        assert self.query("pragma foreign_key_check") == []
        rows = self.query(f"select step, count(*) from attempt where state in {UNFINISHED} group by step having count(*) > 1")
        assert rows == [], f"more than one unfinished attempt: {rows}"
        for root in self.roots():
            for piece in (root / "outputs").glob("*/*/*/*"):
                if piece.is_dir():
                    manifest = piece.with_name(piece.name + ".manifest.json")
                    assert manifest.exists(), f"{piece} has no manifest"
                    for entry in json.loads(manifest.read_text())["files"]:
                        size = (piece / entry["path"]).stat().st_size
                        assert size == entry["bytes"], f"{piece}/{entry['path']}: {size} bytes, not {entry['bytes']}"
        began = time.monotonic()
        self.run("status", self.workflow, expect=None)
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
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in pathlib.Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                address, port = fields[1].split(":")
                found.add((address, int(port, 16)))
    return found


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
