"""What the passing of time asks of the engine: minutes, ends of holds, stages that never come. Edge: the wall clock."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import time

from policy_service.engine import Engine
from policy_service.log import WARNING, log
from policy_service.pauses import PauseFile

EVERY = 1.0

#: How often what is paused is looked at: well under the five seconds in which a pause takes hold.
PAUSES_EVERY = 0.25

#: Rings of garbage are looked for once in so many ticks, while there are so few keys that it takes milliseconds.
COLLECT_EVERY = 60
FEW_KEYS = 20_000

#: So many requests of one stage without another having come once mean that Postfix does not ask there.
ENOUGH = 50


async def tick(engine: Engine) -> None:
    """Tell the engine the time, and say once which questions Postfix leaves out."""
    missing: set[str] = set()
    turn = 0
    # Nothing that an answer makes is a ring, so nearly all is freed at once. What else becomes garbage (an exception of
    # a lost connection) is looked for now and then, and not among a million keys: that would stop answers for long.
    keep_out_of_collections()
    gc.set_threshold(10_000, 10, 1_000_000)
    while True:
        engine.tick(time())
        for stage in missing_stages(engine) - missing:
            missing.add(stage)
            log(WARNING, "stage-missing", stage=stage, text=WANTED[stage])
        if len(engine.book.keys) <= FEW_KEYS and (turn := turn + 1) % COLLECT_EVERY == 0:
            gc.collect()
            keep_out_of_collections()
        await asyncio.sleep(EVERY)


def keep_out_of_collections() -> None:
    """What there is now is no garbage, and lasts: the next collection shall not look through thousands of rules."""
    gc.freeze()


@contextmanager
def made_to_last() -> Iterator[None]:
    """What is made meanwhile is no garbage either: no collection looks through it while it is made, or afterwards."""
    gc.disable()
    try:
        yield
    finally:
        keep_out_of_collections()
        gc.enable()


async def follow_pauses(engine: Engine, file: PauseFile) -> None:
    """Tell the engine what is paused by hand."""
    while True:
        engine.pauses = file.current()
        await asyncio.sleep(PAUSES_EVERY)


WANTED = {
    "RCPT": "check_policy_service is not in smtpd_recipient_restrictions: suppressed recipients are not refused",
    "DATA": "check_policy_service is not in smtpd_data_restrictions: nothing is charged, and no message gets its pool",
    "END-OF-MESSAGE": "check_policy_service is not in smtpd_end_of_data_restrictions: limits in bytes are not charged",
}


def missing_stages(engine: Engine) -> set[str]:
    """Stages that some rule needs and that never came, though others did often enough."""
    found = set()
    if engine.at_rcpt >= ENOUGH and not engine.at_data:
        found.add("DATA")
    if engine.at_data >= ENOUGH and not engine.at_rcpt:
        found.add("RCPT")
    if engine.at_data >= ENOUGH and engine.wants_end and not engine.at_end:
        found.add("END-OF-MESSAGE")
    return found
