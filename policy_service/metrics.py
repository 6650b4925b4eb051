"""Numbers of this process, and their Prometheus form. Labels are rules, actions and states: never an address or a name.

Counting on the hot path is integer addition; the text is made when somebody asks for it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

#: Upper bounds of the latency histogram in seconds: a decision from memory, one from the database, one of the bound.
BUCKETS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_BOUNDS = tuple(int(bound * 1_000_000_000) for bound in BUCKETS)


class Latency:
    """A histogram of the time from request to reply."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0

    def note(self, nanoseconds: int) -> None:
        """Count one reply."""
        self.counts[bisect_left(_BOUNDS, nanoseconds)] += 1
        self.sum += nanoseconds

    def lines(self, name: str) -> Iterable[str]:
        """The histogram in the exposition format."""
        yield f"# TYPE {name} histogram"
        total = 0
        for bound, count in zip((*BUCKETS, None), self.counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{"+Inf" if bound is None else bound}"}} {total}'
        yield f"{name}_sum {self.sum / 1e9}"
        yield f"{name}_count {total}"


def counter(name: str, text: str, values: Mapping[tuple[str, ...], int], labels: tuple[str, ...]) -> Iterable[str]:
    """A family of counters in the exposition format."""
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} counter"
    for key in sorted(values):
        pairs = ",".join(f'{label}="{value}"' for label, value in zip(labels, key, strict=True))
        yield f"{name}{{{pairs}}} {values[key]}" if pairs else f"{name} {values[key]}"


def gauge(name: str, text: str, value: float) -> Iterable[str]:
    """One gauge in the exposition format."""
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} gauge"
    yield f"{name} {value}"
