"""A TCP proxy that delivers every byte a fixed time after it came, at full throughput: a far host on one machine.

Usage: delay_proxy.py MILLISECONDS ADDRESS PORT. Half of MILLISECONDS passes each way. Prints the port it listens on."""

import collections
import contextlib
import os
import select
import socket
import sys
import time

CHUNK = 1 << 20
ON_THE_WAY = 256 << 20  # per direction: far above what windows of ssh let be on the way


class Direction:
    """Bytes from one socket to another. `queue` holds (when due, bytes); empty bytes are the end of the stream."""

    def __init__(self, source, target, delay):
        self.source, self.target, self.delay = source, target, delay
        self.queue, self.held, self.reading = collections.deque(), 0, True

    def wants_read(self):
        return self.reading and self.held < ON_THE_WAY

    def due(self):
        return self.queue[0][0] if self.queue else None

    def read(self):
        with contextlib.suppress(BlockingIOError):
            try:
                data = self.source.recv(CHUNK)
            except ConnectionError:
                data = b""
            self.reading = bool(data)
            self.held += len(data)
            self.queue.append((time.monotonic() + self.delay, memoryview(data)))

    def write(self):
        """Sends what is due, as far as the socket takes it."""
        now = time.monotonic()
        while self.queue and self.queue[0][0] <= now:
            when, data = self.queue.popleft()
            if not data:
                with contextlib.suppress(OSError):
                    self.target.shutdown(socket.SHUT_WR)
                return
            try:
                sent = self.target.send(data)
            except BlockingIOError:
                sent = 0
            except ConnectionError:
                self.queue.clear()
                self.reading = False
                return
            self.held -= sent
            if sent < len(data):
                self.queue.appendleft((when, data[sent:]))
                return

    def over(self):
        return not self.reading and not self.queue


def forward(near, far, delay):
    for one in (near, far):
        one.setblocking(False)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ways = [Direction(near, far, delay), Direction(far, near, delay)]
    while not all(way.over() for way in ways):
        now = time.monotonic()
        due = [(way.due(), way.target) for way in ways if way.due() is not None]
        late = [target for moment, target in due if moment <= now]
        pause = min((moment - now for moment, _ in due if moment > now), default=None)
        readable, _, _ = select.select([way.source for way in ways if way.wants_read()], late, [], pause)
        for way in ways:
            if way.source in readable:
                way.read()
            way.write()
    near.close()
    far.close()


def serve(delay, address):
    """Each connection is forwarded by a process of its own, which ends with it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            near, _ = listener.accept()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if os.fork() == 0:
                listener.close()
                with near, socket.create_connection(address) as far:
                    forward(near, far, delay)
                os._exit(0)
            near.close()


if __name__ == "__main__":
    serve(float(sys.argv[1]) / 2000, (sys.argv[2], int(sys.argv[3])))
