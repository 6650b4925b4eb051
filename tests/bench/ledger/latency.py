"""From line written to row visible, at 500 lines a second."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from itertools import islice
from pathlib import Path

from tests.bench.ledger.interpreter import environment, interpreter
from tests.bench.ledger.server import _PROGRAM, ROOT, Server, _stat

_TICKS = os.sysconf("SC_CLK_TCK")
#: Lines at once, and seconds between.
_AT_ONCE, _PAUSE = 5, 0.01


def measure(server: Server, folder: Path, log: Path, seconds: float) -> tuple[float, float]:
    """(99th percentile of the seconds from written to visible, share of a core that the shipper used)."""
    server.new_ledger()
    growing = folder / "growing.log"
    growing.touch()
    command = [interpreter(), "-c", _PROGRAM, "--config", str(server.config(folder, growing))]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL)
    written: list[tuple[int, float]] = []
    delays: list[float] = []
    try:
        with server.connect() as connection, growing.open("ab", buffering=0) as file, log.open("rb") as lines:
            file.write(b"".join(islice(lines, _AT_ONCE)))
            count = _AT_ONCE
            while _visible(connection) < count:  # it is up
                time.sleep(0.05)
            used, began = _cpu(process.pid), time.monotonic()
            following = began
            while time.monotonic() - began < seconds:
                file.write(b"".join(islice(lines, _AT_ONCE)))
                count += _AT_ONCE
                written.append((count, time.monotonic()))
                if len(written) % 2 == 0:
                    seen, now = _visible(connection), time.monotonic()
                    while written and written[0][0] <= seen:
                        delays.append(now - written.pop(0)[1])
                following += _PAUSE
                time.sleep(max(0.0, following - time.monotonic()))
            share = (_cpu(process.pid) - used) / (time.monotonic() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    delays.sort()
    return delays[int(len(delays) * 0.99)], share


def _visible(connection: object) -> int:
    row = connection.execute("SELECT coalesce(max(lines), 0) FROM ledger.sources").fetchone()  # type: ignore[attr-defined]
    return int(row[0])


def _cpu(process: int) -> float:
    return sum(_stat(process)[1][:2]) / _TICKS
