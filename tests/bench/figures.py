"""Figures of a benchmark: a line each, ``name  ours  peer  ratio  bound  ok|short``, and whether every bound is kept.

A benchmark collects figures and ends with ``sys.exit(conclude(figures))``: 1 when one falls short. What could not be
measured is a figure too, and short: a bound that nobody looked at is not kept.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import nan

HEADINGS = ("name", "ours", "peer", "ratio", "bound", "")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. ``kept`` is None where no bound belongs to it: it is shown for what it is."""

    name: str
    ours: str
    peer: str = ""
    ratio: str = ""
    bound: str = ""
    kept: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        verdict = "" if self.kept is None else "ok" if self.kept else "short"
        return (self.name, self.ours, self.peer, self.ratio, self.bound, verdict)


def quicker(name: str, ours: float, peer: float, times: float, unit: str = "s") -> Figure:
    """Less is better: the peer needs at least ``times`` as much."""
    return _compared(name, ours, peer, peer / ours if ours else nan, times, unit)


def more(name: str, ours: float, peer: float, times: float, unit: str = "/s") -> Figure:
    """More is better: we do at least ``times`` as much as the peer."""
    return _compared(name, ours, peer, ours / peer if peer else nan, times, unit)


def at_most(name: str, ours: float, limit: float, unit: str = "s") -> Figure:
    """No more than ``limit``."""
    return Figure(name, amount(ours, unit), bound=f"<= {amount(limit, unit)}", kept=ours <= limit)


def at_least(name: str, ours: float, limit: float, unit: str = "/s") -> Figure:
    """No less than ``limit``."""
    return Figure(name, amount(ours, unit), bound=f">= {amount(limit, unit)}", kept=ours >= limit)


def shown(name: str, ours: float, unit: str = "s", *, peer: float | None = None) -> Figure:
    """A measurement without a bound."""
    return Figure(name, amount(ours, unit), "" if peer is None else amount(peer, unit))


def missing(name: str, why: str) -> Figure:
    """A figure that could not be measured."""
    return Figure(name, "-", bound=why, kept=False)


def amount(value: float, unit: str) -> str:
    """``value`` with three digits that count, and its unit."""
    if value != value:  # not a number: nothing was measured
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    text = f"{value:,.{digits}f}" if value % 1 or abs(value) < 1 else f"{value:,.0f}"
    return f"{text} {unit}".strip()


def conclude(figures: Sequence[Figure]) -> int:
    """Print all ``figures`` as one table, and when and where they were measured; the exit code of the benchmark."""
    rows = [HEADINGS, *(figure.cells for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  ".join(cells).rstrip())
    print(f"\n{machine()}")
    return 0 if all(figure.kept is not False for figure in figures) else 1


def tell(figure: Figure) -> None:
    """Say a figure as soon as it is known: a benchmark that is stopped has not measured for nothing."""
    print("bench: " + "  ".join(cell for cell in figure.cells if cell), file=sys.stderr, flush=True)


def machine() -> str:
    """When, on what, and how busy that is now: figures of a busy machine say little."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{when}, {os.cpu_count()} processors ({platform.machine()}), Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def _compared(name: str, ours: float, peer: float, ratio: float, times: float, unit: str) -> Figure:
    words = "-" if ratio != ratio else f"{ratio:.2f} x" if ratio < 10 else f"{ratio:.1f} x"
    return Figure(name, amount(ours, unit), amount(peer, unit), words, f">= {times:g} x", ratio >= times)
