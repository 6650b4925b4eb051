"""A reload of Postfix is a signal to its master. Health checks ask the new state only when that has been heard, and no
server is left that has read the old files and waits for another client (master(8)).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from . import complaints
from .drain import wait

#: A master that has not heard its reload by then is judged by its health checks alone.
HEARD_SECONDS = 10.0

#: Servers that wait for clients end within milliseconds; those that still serve one afterwards take no other.
IDLE_SECONDS = 1.0

#: What answers on a port of Postfix.
_SERVER = "smtpd"


class Reloads:
    """The reload of ``units`` of Postfix, which is about to be asked for at ``moment`` (seconds since the epoch)."""

    def __init__(self, units: Collection[str], moment: float) -> None:
        self._moment = moment
        self._old = {unit: servers(_master(unit)) for unit in units}

    def wait(self) -> None:
        """Until each master has begun to read its files, which it says, and its old servers are gone."""
        if self._old:
            wait(self._heard, HEARD_SECONDS)
            wait(self._gone, IDLE_SECONDS)

    def _heard(self) -> bool:
        said = {str(entry.get("_SYSTEMD_UNIT")) for entry in complaints.entries(self._moment, "reload -- version")}
        return said >= self._old.keys()

    def _gone(self) -> bool:
        return not any(old & servers(_master(unit)) for unit, old in self._old.items())


def servers(master: Path) -> set[str]:
    """Process ids of the servers below the master whose process id is in the file ``master``; none of one that is not
    there (proc_pid_task(5))."""
    try:
        process = master.read_text().strip()
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return set()
    return {child for child in children if _name(child) == _SERVER}


def _name(process: str) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return ""


def _master(unit: str) -> Path:
    instance = unit.removeprefix("postfix@").removesuffix(".service")
    return Path(f"/var/spool/postfix-{instance}/pid/master.pid")
