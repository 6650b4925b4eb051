"""Parse, correlate, build rows: what a shipper does before it meets a database. Run in a process of its own."""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from pathlib import Path

from smtpctl.intake.shipper.run import AT_ONCE, clean
from smtpctl.intake.shipper.verdicts import classify
from smtpctl.maillog.follower import Follower
from smtpctl.maillog.labels import Labels
from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.tracker import Tracker

BATCH = 2 << 20
#: 2027, as moments count: after every line.
_LATER = 852_076_800_000_000


def parse(path: Path) -> dict[str, float]:
    """CPU seconds, lines, attempts and rows of a log."""
    gc.freeze()
    gc.disable()
    tracker = Tracker(Labels(), classify)
    reader = LogReader(tracker, _LATER)
    lines = attempts = recognised = unknown = rows = 0
    used = time.process_time()
    follower = Follower(path)
    more = True
    while more:
        for _ in range(BATCH // AT_ONCE):
            chunk = follower.read(AT_ONCE)
            more = chunk is not None
            if chunk is None:
                break
            lines += reader.read(clean(chunk.data))
        found = tracker.take(reader.last)
        attempts += len(found.deliveries)
        rows += len(found.messages) + len(found.deliveries) + len(found.events) + len(found.changes)
        unknown += len(found.unknown)
        recognised += sum(row.outcome.status != b"unknown" for row in found.deliveries)
    used = time.process_time() - used
    return {
        "cpu": used,
        "lines": lines,
        "attempts": attempts,
        "recognised": recognised,
        "unknown": unknown,
        "rows": rows,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(parse(Path(sys.argv[1]))))
