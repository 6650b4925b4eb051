"""``make bench-apply``: smtpctl beside Ansible, Ansible with mitogen, pyinfra and bare ssh, on the lab's six hosts.

All get the same files, as smtpctl renders them, in one run. ``--repeat N`` takes the median of N where one run is short
(Ansible, which takes a minute, runs once unless ``--thorough``); ``--only`` names parts. A figure is told as soon as it
is known; all of them stand in a table at the end.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterable, Iterator

from tests.bench.apply import latency, peers, scale
from tests.bench.apply.scenarios import Scenarios
from tests.bench.apply.stage import Stage, note, stage
from tests.bench.figures import Figure, at_most, conclude, tell

#: Alone: what needs no lab. Then the four scenarios, round trips, and sixty hosts.
PARTS = ("alone", "first", "quiet", "diff", "line", "latency", "many")

#: Parts that need hosts on which smtpctl has been.
SETTLED = {"quiet", "diff", "line", "latency"}


def round_trips(stage: Stage) -> Iterator[Figure]:
    """Those of a plan and of an apply, on one host."""
    note("round trips")
    plan, apply = latency.round_trips(stage, "relay1")
    yield at_most("round trips of a plan", round(plan, 1), 8, "")
    yield at_most("of an apply", round(apply, 1), 11, "")


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """The figures of the chosen parts, one after the other."""
    if "alone" in options.only:
        yield from scale.help_page()
        yield from scale.thousand()
    chosen = [part for part in PARTS if part in options.only and part != "alone"]
    if not chosen:
        return
    note("installing the peers")
    absent = peers.install()
    with stage() as place:
        scenarios = Scenarios(place, absent, options.repeat, options.thorough)
        parts: dict[str, Callable[[], Iterable[Figure]]] = {
            "first": scenarios.first,
            "quiet": scenarios.quiet,
            "diff": scenarios.diff,
            "line": scenarios.line,
            "latency": lambda: round_trips(place),
            "many": lambda: scale.sixty(place, options.repeat),
        }
        if chosen[0] != "first":
            note("six hosts, booted")
            place.fresh()
        for part in chosen:
            if part in SETTLED:
                scenarios.settle()
            yield from parts[part]()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-apply", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="runs of what is quick; the median counts")
    parser.add_argument("--thorough", action="store_true", help="Ansible as often, and with mitogen")
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS, help="parts to measure")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # the lab goes down in any case
    made = []
    for figure in measure(options):
        made.append(figure)
        tell(figure)
    return conclude(made)


if __name__ == "__main__":
    sys.exit(main())
