"""The server under test as a child process, for the Python scenarios."""

import os
import socket
import subprocess
import tempfile
import time


class Server:
    def __init__(self, *options):
        self.options = options
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = tempfile.mkdtemp()
        self.start()

    def start(self):
        command = [os.environ["RUNNEL_SERVER"], "--port", str(self.port), "--save", "", "--dir", self.folder, *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(250):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)
        raise SystemExit("the server did not start")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.kill()
        time.sleep(0.1)
        self.start()


def equal(found, wanted):
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"
