"""Interruptions of an apply on three hosts: the controller killed, a connection or the power cut, a disk full.

Each after a random step of the seed; what has to hold after it is in ``tests/deploy/interruptions.py``.
"""

from __future__ import annotations

import atexit
import sys
from contextlib import ExitStack
from functools import cache

from tests.deploy.conftest import Bench, bare_lab
from tests.deploy.interruptions import Interruption, Rounds


def torture(seed: int) -> None:
    """One interruption, and the apply that finishes the job."""
    interruption = Interruption.of(seed)
    tried = hosts()
    with tried.bench.lab.entered():
        problems = tried.run(interruption)
    left = ", ".join(f"{host} {state}" for host, state in tried.left.items())
    print(f"  {interruption}: {left}", file=sys.stderr, flush=True)
    assert not problems, "\n  ".join([str(interruption), *problems])


@cache
def hosts() -> Rounds:
    """Three hosts of this torture's own, which are taken down at the end."""
    stack = ExitStack()
    atexit.register(stack.close)
    return Rounds(Bench(stack.enter_context(bare_lab())))
