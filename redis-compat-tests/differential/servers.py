"""Servers as processes and connections as non-blocking sockets, always in pairs: the oracle and ours.

`Server` starts a binary on a free port in a temporary folder and ends it. `exchange` drives both sides of a pair at once, reading while it
writes, so a server that stops reading while its output is stuck cannot deadlock the test. What is sent is decided in stream.py.
"""

import os
import select
import shutil
import socket
import subprocess
import tempfile
import time

from wire import Truncated, encode, skip, split, plain, value

SETTINGS = ["--save", "", "--appendonly", "no", "--enable-debug-command", "local", "--databases", "16",
            "--io-threads", "1", "--hz", "10"]


class Dead(Exception):
    """A server closed the connection, ended, or did not answer in time."""

    def __init__(self, side, text):
        super().__init__(f"{side}: {text}")
        self.side = side


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, name, binary, settings=(), files=()):
        self.name, self.binary, self.settings = name, binary, list(settings)
        self.folder = tempfile.mkdtemp(prefix="runnel-compat-")
        for file, text in dict(files).items():
            self.put(file, text)
        self.log = os.path.join(self.folder, "log")
        self.process = None
        self.start()

    def start(self):
        for _ in range(5):  # a port seen free may be taken by the time the server binds it
            self.port = free_port()
            command = [self.binary, "--port", str(self.port), "--dir", self.folder, *SETTINGS, *self.settings]
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            if self.listening():
                return
        raise SystemExit(f"{self.name}: {self.binary} did not start:\n" + self.log_tail())

    def listening(self):
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return True
            except OSError:
                if self.process.poll() is not None:
                    return False
                time.sleep(0.02)
        return False

    def log_tail(self, lines=25):
        with open(self.log, "rb") as log:
            return b"\n".join(log.read().splitlines()[-lines:]).decode("utf-8", "replace")

    def put(self, file, text):
        with open(os.path.join(self.folder, file), "w") as out:
            out.write(text)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def restart(self):
        self.kill()
        self.start()

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Connection:
    def __init__(self, server):
        self.side = server.name
        self.server = server
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.unsent = memoryview(b"")
        self.received = bytearray()

    def send(self, data):
        self.unsent = memoryview(bytes(self.unsent) + data)

    def advance(self, events):
        """Writes and reads what the socket is ready for."""
        try:
            if events & select.POLLOUT and self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent):]
            if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                data = self.socket.recv(1 << 16)
                if not data:
                    raise Dead(self.side, "closed the connection")
                self.received += data
        except BlockingIOError:
            pass
        except OSError as error:
            raise Dead(self.side, str(error)) from error

    def take(self):
        data = bytes(self.received)
        self.received.clear()
        return data

    def ask(self, *args, timeout=10.0):
        """One request, one raw reply, for the harness's own questions."""
        self.send(encode([arg.encode() if isinstance(arg, str) else arg for arg in args]))
        exchange([self], [replies_done(1)], timeout)
        return self.take()

    def answer(self, *args):
        return plain(value(self.ask(*args)))

    def close(self):
        self.socket.close()


def replies_done(count):
    """A test whether `count` whole replies have arrived, pushes not counted."""
    progress = {"at": 0, "seen": 0}

    def done(received):
        try:
            while progress["seen"] < count:
                if progress["at"] >= len(received):
                    return False
                end = skip(received, progress["at"])
                progress["seen"] += received[progress["at"]] != 62
                progress["at"] = end
            return True
        except Truncated:
            return False
    return done


def ends_about_with(tail):
    """Whether `tail` has come; broadcast invalidations may come in the same breath behind it."""
    return lambda received: received.rfind(tail, max(0, len(received) - 8192)) >= 0


def exchange(connections, tests, timeout):
    """Sends what is unsent on every connection and reads until each one's test holds."""
    deadline = time.monotonic() + timeout
    poll = select.poll()
    waiting = {}
    for connection, done in zip(connections, tests):
        number = connection.socket.fileno()
        waiting[number] = (connection, done)
        poll.register(number, select.POLLIN | (select.POLLOUT if connection.unsent else 0))
    while waiting:
        left = deadline - time.monotonic()
        ready = poll.poll(max(0, left) * 1000) if left > 0 else []
        if not ready:
            connection, _ = next(iter(waiting.values()))
            raise Dead(connection.side, f"no answer within {timeout} s")
        for number, events in ready:
            connection, done = waiting[number]
            connection.advance(events)
            if not connection.unsent:
                poll.modify(number, select.POLLIN)
                if done(connection.received):
                    poll.unregister(number)
                    del waiting[number]


def drain(connection, wait):
    """What arrives on a connection within `wait` seconds; (bytes, whether it was closed)."""
    poll = select.poll()
    poll.register(connection.socket.fileno(), select.POLLIN)
    if not poll.poll(wait * 1000):
        return b"", False
    try:
        data = connection.socket.recv(1 << 16)
    except BlockingIOError:
        return b"", False
    except OSError:
        return b"", True
    return data, not data


__all__ = ["Server", "Connection", "Dead", "exchange", "ends_about_with", "replies_done", "drain", "split"]
