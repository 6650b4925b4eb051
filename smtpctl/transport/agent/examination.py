"""What a plan cannot see of this host: clock, names, space, memory, upgrades, kernel, stuck mail. Read-only.

Only facts: what is wrong with them is the controller's to say (``smtpctl.operate.doctor``).
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import processes, queue_files, state
from .settling import QUEUES as PASSING

#: Seconds for a name to resolve; a queue manager waits no longer either before mail piles up.
NAMES = 5.0

PLACES = ("/", "/boot", "/var/spool", "/var/log", "/var/lib")

_OFFER = re.compile(r"^Inst (\S+) \[\S+\] \((\S+) ([^)]*)", re.M)


def examine(names: Sequence[str], addresses: Sequence[str]) -> dict[str, Any]:
    """Facts about this host. ``names`` are to resolve, ``addresses`` to have names."""
    return {
        "now": time.time(),
        "synchronised": _synchronised(),
        "forward": _each(names, _addresses),
        "reverse": _each(addresses, lambda address: [socket.gethostbyaddr(address)[0]]),
        "space": {place: _space(place) for place in PLACES if Path(place).is_dir()},
        "memory": _memory(),
        "killed": _number("/proc/vmstat", "oom_kill"),
        "load": os.getloadavg()[1],
        "processors": os.cpu_count() or 1,
        "upgrades": _upgrades(),
        "lists_age": _age(Path("/var/lib/apt/lists")),
        "restart_required": Path("/run/reboot-required").exists(),
        "kernel": {"running": os.uname().release, "installed": _kernels()},
        "units": state.failed_units(),
        "mail": {path.name.removeprefix("postfix-"): _mail(path) for path in sorted(Path("/etc").glob("postfix-*"))},
    }


def _synchronised() -> bool | None:
    """Whether the clock follows a time server; None where that cannot be known, as in a container."""
    answer = processes.run(["timedatectl", "show", "--property", "NTPSynchronized", "--value"], timeout=10)
    if processes.run(["systemd-detect-virt", "--quiet", "--container"], timeout=10).code == 0:
        return None
    return {"yes": True, "no": False}.get(answer.output.strip())


def _each(wanted: Sequence[str], ask: Callable[[str], list[str]]) -> dict[str, list[str] | str]:
    """The answer for each, or why there is none; all at once, and none takes longer than the bound."""
    found: dict[str, list[str] | str] = dict.fromkeys(wanted, f"no answer within {NAMES:.0f} s")

    def answer(name: str) -> None:
        try:
            found[name] = ask(name)
        except OSError as error:
            found[name] = error.strerror or str(error)

    threads = [threading.Thread(target=answer, args=(name,), daemon=True) for name in wanted]
    for thread in threads:
        thread.start()
    end = time.monotonic() + NAMES
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    return dict(found)


def _addresses(name: str) -> list[str]:
    """The addresses of a name; none of one that is there without any, as a domain that only has mail."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(name, None)})
    except socket.gaierror as error:
        if error.errno == socket.EAI_NODATA:
            return []
        raise


def _space(place: str) -> dict[str, float]:
    status = os.statvfs(place)
    blocks, files = status.f_blocks or 1, status.f_files
    return {"free": status.f_bavail / blocks, "inodes": status.f_favail / files if files else 1.0}


def _memory() -> dict[str, int]:
    """Kilobytes, as the kernel says them (proc_meminfo(5))."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return {"total": found["MemTotal"], "available": found["MemAvailable"]}


def _number(path: str, name: str) -> int:
    pairs = (line.split() for line in Path(path).read_text().splitlines())
    return next((int(value) for key, value in pairs if key == name), 0)


def _upgrades() -> dict[str, Any]:
    """Packages with a newer version in the lists that are here; those of the security archive apart."""
    answer = processes.run(["apt-get", "--simulate", "-o", "Debug::NoLocking=true", "upgrade"], timeout=120)
    offers = _OFFER.findall(answer.output)
    security = [name for name, _, origin in offers if "security" in origin.lower()]
    return {"packages": [name for name, _, _ in offers], "security": security}


def _age(path: Path) -> float | None:
    """Seconds since a folder changed; None where there is none."""
    return time.time() - path.stat().st_mtime if path.is_dir() else None


def _kernels() -> list[str]:
    """Installed kernels, oldest first; none in a container."""
    return [path.name.removeprefix("vmlinuz-") for path in sorted(Path("/boot").glob("vmlinuz-*"), key=_changed)]


def _changed(path: Path) -> float:
    return path.stat().st_mtime


def _mail(folder: Path) -> dict[str, Any]:
    """Age of the oldest message of each queue that mail passes through, and of the deferred queue; what is corrupt."""
    spool = Path("/var/spool") / folder.name
    now = time.time()
    ages = {queue: _oldest(spool / queue, now) for queue in (*PASSING, "deferred")}
    return {"ages": ages, "corrupt": sum(1 for _ in queue_files.names(spool / "corrupt"))}


def _oldest(queue: Path, now: float) -> float | None:
    came = [arrival for name in queue_files.names(queue) if (arrival := queue_files.arrival(name)) is not None]
    return now - min(came) if came else None
