"""The lab in which smtpctl and its peers are measured, the inventory that is changed there, and the clock. Edge."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from smtpctl.errors import SmtpctlError
from smtpctl.inventory import load_fleet
from smtpctl.keys import read_secrets
from smtpctl.lab import Lab
from smtpctl.lab.state import StateFolder
from smtpctl.model.artifacts import DesiredHost
from smtpctl.render import render_fleet

REPOSITORY = Path(__file__).resolve().parents[3]
SMTPCTL = (sys.executable, "-m", "smtpctl")
SHARED_IMAGES = Path("/var/lib/smtpctl-lab/images")

#: What one line of the inventory changes: one line of one file on every host.
LINE = "retention: {{logs: {days}d}}\n"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a program: wall seconds, CPU seconds here, bytes to and from the hosts, what it printed."""

    seconds: float
    processor: float
    kilobytes: float
    output: str


def note(text: str) -> None:
    """A line of progress."""
    print(f"bench: {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def median(runs: Sequence[Run]) -> Run:
    """The run with the median of the seconds."""
    return sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]


class RunError(SmtpctlError):
    """A program did not do what it was to do: nothing was measured."""


class Stage:
    """A folder of its own with lab, key, inventory and secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "fleet.yml"
        self.days = 14
        self.environment = {
            **os.environ,
            "SMTPCTL_LAB_DIR": str(folder / "lab"),
            "SMTPCTL_AGE_IDENTITY": str(folder / "identity.txt"),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        if SHARED_IMAGES.is_dir():
            self.environment.setdefault("SMTPCTL_LAB_IMAGES", str(SHARED_IMAGES))
        os.environ.update(self.environment)
        self.lab = Lab()
        self.write_inventory(self.days)
        self.smtpctl("secrets", "init", str(self.inventory))

    @property
    def state(self) -> StateFolder:
        return StateFolder.of_environment()

    def write_inventory(self, days: int) -> None:
        """The lab's inventory, with that many days of logs: other days change one line on every host."""
        self.days = days
        text = (REPOSITORY / "inventory" / "lab.yml").read_text()
        self.inventory.write_text(text + LINE.format(days=days))

    def change_a_line(self) -> None:
        self.write_inventory(27 - self.days)

    def fresh(self) -> None:
        """Hosts that have their packages and nothing of smtpctl, and have finished their boot, of which SSH answers
        half-way: what they still did would be part of what is measured."""
        self.lab.down()
        self.lab.up(self.inventory)
        for host in load_fleet(self.inventory).hosts:
            command = self.lab.command(host, ["systemctl", "is-system-running", "--wait"])
            state = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
            if state not in ("running", "degraded"):
                raise RunError(f"{host} did not finish its boot: {state}")

    def rendered(self) -> dict[str, DesiredHost]:
        return render_fleet(load_fleet(self.inventory), read_secrets(self.inventory))

    def smtpctl(self, *arguments: str, codes: Sequence[int] = (0,)) -> Run:
        return self.run([*SMTPCTL, *arguments], codes=codes)

    def run(
        self, command: Sequence[str], *, codes: Sequence[int] = (0,), environment: Mapping[str, str] | None = None
    ) -> Run:
        """Run ``command``, in the lab's network where the lab is up. Raise RunError with its output where it fails."""
        if self.lab.status() is None:
            return self._run(command, codes, environment)
        with self.lab.entered():
            return self._run(command, codes, environment)

    def _run(self, command: Sequence[str], codes: Sequence[int], environment: Mapping[str, str] | None) -> Run:
        before, traffic, began = resource.getrusage(resource.RUSAGE_CHILDREN), _traffic(), time.perf_counter()
        result = subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        if result.returncode not in codes:
            raise RunError(f"{Path(command[0]).name}: exit {result.returncode}\n{result.stdout[-4000:]}")
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Run(seconds, processor, (_traffic() - traffic) / 1000, result.stdout)


@contextmanager
def stage() -> Iterator[Stage]:
    """A stage that is gone at the end, with its lab."""
    folder = Path(tempfile.mkdtemp(prefix="smtpctl-bench-", dir="/var/tmp"))
    made = Stage(folder)
    try:
        yield made
    finally:
        made.lab.down(wipe=True)
        shutil.rmtree(folder)


def _traffic() -> int:
    """Bytes that went through this network's end of the lab's bridge; 0 outside of it."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counters = line.strip().partition(":")
        if name == "br0":
            fields = counters.split()
            return int(fields[0]) + int(fields[8])
    return 0
