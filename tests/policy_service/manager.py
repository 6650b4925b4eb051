"""What systemd does for a service with FileDescriptorStoreMax=: it keeps sockets for the next process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from tests.policy_service.daemons import ROOT

#: Puts the descriptors in the order of the arguments where sd_listen_fds(3) has them, then becomes the program.
_LAUNCHER = """\
import os, sys
count = int(sys.argv[1])
high = [os.dup2(int(word), 500 + n) for n, word in enumerate(sys.argv[2 : 2 + count])]
for number, descriptor in enumerate(high):
    os.dup2(descriptor, 3 + number)
os.closerange(3 + count, 1000)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", "policy_service", *sys.argv[2 + count :]])
"""


class Manager:
    """The service manager of one daemon."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        folder.mkdir()
        self._arguments = arguments
        self._store: dict[str, list[int]] = {}
        self._ready = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        threading.Thread(target=self._hear, daemon=True).start()
        self.process = self._start()

    def kept(self, name: str) -> int:
        """How many descriptors are kept under a name."""
        return len(self._store.get(name, ()))

    def restart(self) -> None:
        """``systemctl restart``: SIGTERM, then the next process with what was kept."""
        self.process.terminate()
        assert self.process.wait(20) == 0
        self.process = self._start()

    def die(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(20)

    def revive(self) -> None:
        """``Restart=always``."""
        self.process = self._start()

    def close(self) -> None:
        """End everything."""
        self.die()
        self._socket.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self._ready.clear()
        kept = [(name, number) for name, numbers in self._store.items() for number in numbers]
        numbers = [str(number) for _, number in kept]
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "FDSTORE": "4096",
            "LISTEN_FDS": str(len(kept)),
            "LISTEN_FDNAMES": ":".join(name for name, _ in kept),
        }
        environment.pop("JOURNAL_STREAM", None)
        command = [sys.executable, "-c", _LAUNCHER, str(len(kept)), *numbers, *self._arguments]
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stderr=log, pass_fds=[number for _, number in kept]
            )
        assert self._ready.wait(30), (self.folder / "log").read_text()
        return process

    def _hear(self) -> None:
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self._socket, 4096, 250)
            except OSError:
                return
            words = dict(line.split("=", 1) for line in message.decode().splitlines())
            name = words.get("FDNAME", "")
            if "FDSTORE" in words:
                self._store.setdefault(name, []).extend(descriptors)
            elif "FDSTOREREMOVE" in words:
                for number in self._store.pop(name, ()):
                    os.close(number)
            else:
                for number in descriptors:  # BARRIER=1: closing it says that all before it was read
                    os.close(number)
            if words.get("READY") == "1":
                self._ready.set()
