"""Measurements: one load on one server, and the median over rounds. Edge: it starts the load's process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.policy.servers import Server
from tests.bench.policy.setup import ROOT


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of the load. CPU is microseconds a request, latency milliseconds."""

    requests: int
    per_second: float
    server: float
    database: float
    p50: float
    p99: float
    p99_9: float
    slowest: float
    answers: dict[str, int]

    @property
    def cpu(self) -> float:
        """Server and database together."""
        return self.server + self.database


def measure(
    server: Server, *, connections: int = 50, seconds: float = 2.0, warm: float = 0.5, options: Sequence[str] = ()
) -> Measured:
    """Put a load on ``server`` and return what came of it."""
    command = [sys.executable, "-m", "tests.bench.policy.load", "--connect", server.endpoint]
    command += [f"--connections={connections}", f"--seconds={seconds}", f"--warm={warm}", f"--state={server.state}"]
    command += [f"--server={server.process}", f"--database={server.database}", *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    if ended.returncode:
        raise RuntimeError(f"no load on {server.name}: {ended.stderr.strip()[-500:]}")
    found = json.loads(ended.stdout)
    return Measured(
        found["requests"],
        found["requests"] / found["seconds"],
        found["server"],
        found["database"],
        found["p50"] / 1000,
        found["p99"] / 1000,
        found["p99_9"] / 1000,
        found["slowest"] / 1000,
        found["answers"],
    )


def middle(rounds: Sequence[Measured]) -> Measured:
    """The median of each value: one round that other work on the machine disturbed does not count."""
    answers: dict[str, int] = {}
    for one in rounds:
        for word, count in one.answers.items():
            answers[word] = answers.get(word, 0) + count
    return Measured(
        sum(one.requests for one in rounds),
        median(one.per_second for one in rounds),
        median(one.server for one in rounds),
        median(one.database for one in rounds),
        median(one.p50 for one in rounds),
        median(one.p99 for one in rounds),
        median(one.p99_9 for one in rounds),
        max(one.slowest for one in rounds),
        answers,
    )
