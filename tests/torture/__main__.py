"""``make torture``: the tests that are never done, each for rounds of its own seed; tests/ runs a sample of each.

    python -m tests.torture [--seed N] [--only NAME] [--rounds N]

How far a seed has come stands in .torture/, so that a run which was broken off goes on where it was: Ctrl-C or SIGTERM
ends it after the round in hand, which is not counted, since what it started may have heard the signal, too. A line a
torture at the end: name, rounds done, failures, seconds.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

#: Signals that came.
broken_off: list[int] = []

STATE = Path(__file__).parents[2] / ".torture"

#: name -> (module in this folder, rounds by default). Its ``torture(seed)`` is one round, and raises when it fails.
TABLE = {
    "backup": ("backup", 1),
    "broken": ("broken", 104),
    "drain": ("drain", 1),
    "interruptions": ("interruptions", 500),
    "policy-away": ("policy_away", 1),
    "policy-fleet": ("policy_fleet", 20),
    "policy-wire": ("policy_wire", 10),
    "rolling": ("rolling", 5),
    "shipper": ("shipper", 20),
}


def run(name: str, seed: int, rounds: int) -> tuple[int, int, float]:
    """Do what is left of the rounds; return rounds done, failures and seconds."""
    module, _ = TABLE[name]
    torture: Callable[[int], None] = import_module(f"tests.torture.{module}").torture
    path = STATE / f"{name}-{seed}.json"
    state = json.loads(path.read_text()) if path.exists() else {}
    done: int = state.get("done", 0)
    failed: list[int] = state.get("failed", [])
    started = time.monotonic()
    while done < rounds and not broken_off:
        number = seed * 1_000_003 + done
        print(f"{name}: round {done + 1} of {rounds}, seed {number}", file=sys.stderr, flush=True)
        bad = False
        try:
            torture(number)
        except Exception:  # noqa: BLE001 - whatever a round fails with, it is told, and the next one is run
            traceback.print_exc()
            bad = True
        if broken_off:
            break
        failed += [number] * bad
        done += 1
        STATE.mkdir(exist_ok=True)
        path.write_text(json.dumps({"done": done, "failed": failed}))
    return done, len(failed), time.monotonic() - started


def main() -> int:
    """Run what is asked for; 1 when something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--only", choices=sorted(TABLE))
    parser.add_argument("--rounds", type=int)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: broken_off.append(number))
    names = [options.only] if options.only else list(TABLE)
    results = {name: run(name, options.seed, options.rounds or TABLE[name][1]) for name in names}
    for name, (done, failed, seconds) in results.items():
        print(f"{name}  {done} rounds  {failed} failures  {seconds:.0f} s")
    return 1 if any(failed for _, failed, _ in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
