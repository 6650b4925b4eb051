"""A relay that has to go: its mail moves to the other one, and every message arrives exactly once."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.lab.full_queues import BOUNCED, DELETED, RELAYS, REQUEUED, RETRIED, FullQueues, Pool
from tests.lab.support import INVENTORY, AppliedFleet, smtpctl

pytestmark = [pytest.mark.lab, pytest.mark.slow]

POOLS = (Pool("transactional", "shop", "shop.test"), Pool("marketing", "newsletter", "news.test"))

#: What waits, and how many of it are not simply delivered: 480 have to arrive.
MESSAGES, PARTS = 2000, {DELETED: 1500, REQUEUED: 40, RETRIED: 200, BOUNCED: 20}


@pytest.fixture
def fleet(applied: AppliedFleet) -> Iterator[AppliedFleet]:
    """The fleet; both relays are there after it, and nothing is paused."""
    yield applied
    for relay in RELAYS:
        applied.lab.start_host(relay)
        smtpctl("queue", "drain", relay, "--undo", "-i", str(INVENTORY))
    smtpctl("resume", "provider", "google", "-i", str(INVENTORY), check=False)


def test_full_queues_are_acted_on_and_a_relay_is_emptied_and_switched_off_with_mail_flowing(
    fleet: AppliedFleet,
) -> None:
    """A sample of ``make torture TORTURE='--only drain'``."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    FullQueues(fleet, POOLS, MESSAGES, PARTS, seed, print).run()


def test_the_last_relay_of_a_pool_and_what_is_no_relay_are_not_emptied(fleet: AppliedFleet) -> None:
    smtpctl("queue", "drain", "relay1", "--yes", "-i", str(INVENTORY))
    result = smtpctl("queue", "drain", "relay2", "--yes", "-i", str(INVENTORY), check=False)
    assert (result.returncode, "no other relay carries pool" in result.stderr) == (2, True)
    result = smtpctl("queue", "drain", "control1", "--yes", "-i", str(INVENTORY), check=False)
    assert (result.returncode, "control1 is no relay" in result.stderr) == (2, True)
