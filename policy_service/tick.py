"""What the passing of time asks of the engine: minutes, ends of holds, stages that never come. Edge: the wall clock."""

from __future__ import annotations

import asyncio
import gc
from time import time

from policy_service.engine import Engine
from policy_service.log import WARNING, log

EVERY = 1.0

#: So many requests of one stage without another having come once mean that Postfix does not ask there.
ENOUGH = 50


async def tick(engine: Engine) -> None:
    """Tell the engine the time, and say once which questions Postfix leaves out."""
    missing: set[str] = set()
    while True:
        engine.tick(time())
        for stage in missing_stages(engine) - missing:
            missing.add(stage)
            log(WARNING, "stage-missing", stage=stage, text=WANTED[stage])
        # What has lived until now will mostly live on: the collector need not look at a million keys again and again.
        gc.freeze()
        await asyncio.sleep(EVERY)


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
