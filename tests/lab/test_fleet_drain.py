"""A relay that has to go: its mail moves to the other one, and every message arrives exactly once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from tests.lab.support import INVENTORY, AppliedFleet, smtpctl, until

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MESSAGES = 24


def waiting(host: str, addresses: list[str]) -> set[str]:
    """Those of ``addresses`` for whom something waits on a host."""
    text = smtpctl("queue", "list", "-i", str(INVENTORY), "--host", host, "--json").stdout
    found = {to["address"] for line in text.splitlines() for to in json.loads(line)["recipients"]}
    return found & set(addresses)


@pytest.fixture
def fleet(applied: AppliedFleet) -> Iterator[AppliedFleet]:
    """The fleet; relay1 is there after it, and nothing is paused."""
    yield applied
    applied.lab.start_host("relay1")
    smtpctl("queue", "drain", "relay1", "--undo", "-i", str(INVENTORY))
    smtpctl("resume", "provider", "google", "-i", str(INVENTORY), check=False)


def test_a_relay_is_emptied_and_switched_off_with_mail_flowing(fleet: AppliedFleet) -> None:
    mark = uuid.uuid4().hex[:10]
    addresses = [f"ada+{mark}.{number}@gmail.test" for number in range(MESSAGES)]
    smtpctl("pause", "provider", "google", "-i", str(INVENTORY))
    for address in addresses[: MESSAGES // 2]:
        fleet.send(address)
    until(lambda: len(waiting("relay1", addresses) | waiting("relay2", addresses)) == MESSAGES // 2)
    assert waiting("relay1", addresses), "HAProxy sent nothing to relay1, so there is nothing to move"

    drained = smtpctl("queue", "drain", "relay1", "--yes", "-i", str(INVENTORY))
    assert "relay1 is empty and takes nothing" in drained.stdout
    for address in addresses[MESSAGES // 2 :]:
        fleet.send(address)
    fleet.lab.stop_host("relay1")
    until(lambda: len(waiting("relay2", addresses)) == MESSAGES)

    result = smtpctl("resume", "provider", "google", "-i", str(INVENTORY), check=False)
    assert "not reached: relay1" in result.stderr
    until(lambda: len(arrived(fleet, mark)) >= MESSAGES)
    assert sorted(arrived(fleet, mark)) == sorted(addresses)


def test_the_last_relay_of_a_pool_and_what_is_no_relay_are_not_emptied(fleet: AppliedFleet) -> None:
    smtpctl("queue", "drain", "relay1", "--yes", "-i", str(INVENTORY))
    result = smtpctl("queue", "drain", "relay2", "--yes", "-i", str(INVENTORY), check=False)
    assert (result.returncode, "no other relay carries pool" in result.stderr) == (2, True)
    result = smtpctl("queue", "drain", "control1", "--yes", "-i", str(INVENTORY), check=False)
    assert (result.returncode, "control1 is no relay" in result.stderr) == (2, True)


def arrived(fleet: AppliedFleet, mark: str) -> list[str]:
    """Recipients with the mark, once for each delivery."""
    found = (str(message["X-Original-To"]).lower() for message in fleet.lab.mail("gmail.test"))
    return [address for address in found if f"+{mark}." in address]
