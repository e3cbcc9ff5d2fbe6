#!/usr/bin/env python3
"""Brings a file to an sshd of this machine as `copy` does and with scp, in turn: directly, and 10 ms of round trip away.

Usage: copy_bench.py BIN, the folder of the programs. Prints one JSON object. `ratio` is our throughput over scp's: of each
the best of several rounds, logging in included. Both ends write to memory when there is room: else the disk is measured."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
os.environ.setdefault("GNNFLOW_BIN", sys.argv[1] if len(sys.argv) > 1 else "")

import ssh_hosts  # noqa: E402  (its folder is named above)

BYTES = int(os.environ.get("GNNFLOW_BENCH_BYTES", 512 << 20))
ROUNDS = 3
ROUND_TRIP_MS = 10


def make_files(folder):
    """Random bytes, and 32-bit numbers below 4096."""
    noise, numbers = folder / "incompressible", folder / "compressible"
    with open(noise, "wb") as file:
        for _ in range(BYTES >> 20):
            file.write(os.urandom(1 << 20))
    low = bytes(value & 15 for value in range(256))
    with open(numbers, "wb") as file:
        for _ in range(BYTES >> 20):
            block = bytearray(1 << 20)
            block[0::4] = os.urandom(1 << 18)
            block[1::4] = os.urandom(1 << 18).translate(low)
            file.write(block)
    return [noise, numbers]


def proxy(port):
    server = subprocess.Popen([sys.executable, ROOT / "tests/support/delay_proxy.py", str(ROUND_TRIP_MS), "127.0.0.1", str(port)],
                              stdout=subprocess.PIPE)
    return server, int(server.stdout.readline())


def proxy_limit():
    """Bytes per second through the proxy without ssh, and its round trip in ms."""
    with socket.create_server(("127.0.0.1", 0)) as sink:
        server, port = proxy(sink.getsockname()[1])
        try:
            with socket.create_connection(("127.0.0.1", port)) as near:
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                far, _ = sink.accept()
                began = time.monotonic()
                near.sendall(b"x")
                far.sendall(far.recv(1))
                near.recv(1)
                round_trip = time.monotonic() - began
                sender = os.fork()
                if sender == 0:
                    block = bytes(1 << 20)
                    for _ in range(1024):
                        near.sendall(block)
                    os._exit(0)
                began, left, room = time.monotonic(), 1 << 30, bytearray(1 << 20)
                while left > 0:
                    left -= far.recv_into(room)
                seconds = time.monotonic() - began
                os.waitpid(sender, 0)
                far.close()
        finally:
            server.kill()
            server.wait()
    return (1 << 30) / seconds, 1000 * round_trip


def timed(command):
    began = time.monotonic()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise SystemExit(f"copy_bench: {' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}")
    return time.monotonic() - began, done.stdout


class Bench:
    def __init__(self, folder, host, programs):
        self.folder, self.host, self.programs, self.count = folder, host, programs, 0

    def ours(self, port, file):
        """Seconds from the first connection to the file in its place; its digest is known before, as in a run."""
        self.count += 1
        known = self.folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {self.host.public_key()}\n")
        workspace = self.host.home() / "w"
        _, out = timed([self.programs / "copy_put", "127.0.0.1", str(port), self.host.user, self.host.key, known, workspace,
                        f"{self.count:032x}", file])
        (sent,) = workspace.rglob(file.name)
        assert sent.stat().st_size == file.stat().st_size
        sent.unlink()
        return float(out)

    def scp(self, port, file, *options):
        target = self.host.home() / "scp"
        seconds, _ = timed(["scp", "-q", *options, *self.host.ssh_options(), "-P", str(port), file,
                            f"{self.host.user}@127.0.0.1:{target}"])
        assert target.stat().st_size == file.stat().st_size
        target.unlink()
        return seconds

    def compare(self, port, file):
        self.ours(port, file)  # the receiver is sent, pages are warm
        found = {"ours": [], "scp": [], "scp_aes128_gcm": []}
        for _ in range(ROUNDS):
            found["ours"].append(self.ours(port, file))
            found["scp"].append(self.scp(port, file))
            found["scp_aes128_gcm"].append(self.scp(port, file, "-c", "aes128-gcm@openssh.com"))
        rates = {f"{name}_mb_per_s": round(BYTES / min(seconds) / 1e6, 1) for name, seconds in found.items()}
        return {**rates, "ratio": round(rates["ours_mb_per_s"] / rates["scp_mb_per_s"], 3)}


def main():
    programs = pathlib.Path(sys.argv[1])
    if not ssh_hosts.SSHD or not shutil.which("scp"):
        raise SystemExit("copy_bench: needs sshd and scp")
    ssh_hosts.enter()
    ssh_hosts.set_up_inside()
    memory = shutil.disk_usage("/dev/shm").free > 8 * BYTES
    tempfile.tempdir = "/dev/shm" if memory else None
    hosts = ssh_hosts.Hosts("bench", loopback=True)
    try:
        bench = Bench(hosts.folder, hosts[0], programs)
        report = {"bytes": BYTES, "ends": "memory" if memory else "disk", "rounds": ROUNDS}
        files = make_files(hosts.folder)
        report["loopback"] = {file.name: bench.compare(hosts[0].port, file) for file in files}
        server, port = proxy(hosts[0].port)
        try:
            report["round_trip_10_ms"] = {file.name: bench.compare(port, file) for file in files}
        finally:
            server.kill()
            server.wait()
        limit, round_trip = proxy_limit()
        report["proxy"] = {"mb_per_s": round(limit / 1e6), "round_trip_ms": round(round_trip, 1)}
        print(json.dumps(report))
    finally:
        hosts.close()


if __name__ == "__main__":
    main()
