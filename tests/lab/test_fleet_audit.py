"""The ledger held against the live queues of six hosts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from typing import Any

import pytest

from smtpctl.cli.ledger_access import ledger_reader
from smtpctl.operate.shipped import is_read
from smtpctl.transport.connection import Target
from smtpctl.transport.host import Host
from tests.lab.support import INVENTORY, AppliedFleet

pytestmark = [pytest.mark.lab, pytest.mark.slow]
RELAYS = ("relay1", "relay2")


def audit(*options: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "smtpctl", "ledger", "audit", "-i", str(INVENTORY), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def read_to_the_end(applied: AppliedFleet, host: str, patience: float) -> bool:
    """Whether the ledger has all of a host's log, as a drain asks before the host is switched off."""
    state = applied.lab.state
    target = Target(host, applied.lab.addresses[host], 22, "root", state.known_hosts, state.identity)
    with Host(target, "tester") as connected, ledger_reader(None, INVENTORY) as reader:
        return is_read(reader, connected, patience)


@pytest.fixture
def lost(applied: AppliedFleet) -> list[list[str]]:
    """Messages whose last lines went with a host that another test cut off or wiped: they stay a difference."""
    vanished: list[list[str]] = audit("--patience", "60")[1]["vanished"]
    return vanished


def test_every_message_is_accounted_for_and_one_that_is_not_is_named(
    applied: AppliedFleet, lost: list[list[str]]
) -> None:
    mark, patience = uuid.uuid4().hex[:10], "20" if lost else "120"  # what is lost differs for all of it
    applied.send(f"someone+{mark}@gmail.test")
    applied.send(f"full+{mark}@gmail.test")
    code, found = audit("--patience", patience)
    assert (code, found["unknown"], found["vanished"], found["unanswered"]) == (int(bool(lost)), [], lost, [])
    accounts = {(account["host"], account["instance"]): account for account in found["accounts"]}
    assert sum(account["accepted"] for (host, _), account in accounts.items() if host in RELAYS) > 0
    for host in RELAYS:
        assert applied.lab.run(host, ["systemctl", "stop", "smtpctl-shipper"]).returncode == 0
    try:
        applied.send(f"full+{mark}.2@gmail.test")
        deadline = time.monotonic() + 120
        while True:
            code, found = audit("--patience", "4")
            if found["unknown"]:
                break
            assert time.monotonic() < deadline, "the message never came to a relay"
        assert code == 1
        assert not read_to_the_end(applied, found["unknown"][0][0], 1.0)
        assert {host for host, _, _ in found["unknown"]} <= set(RELAYS)
    finally:
        for host in RELAYS:
            applied.lab.run(host, ["systemctl", "start", "smtpctl-shipper"])
    assert [host for host in RELAYS if not read_to_the_end(applied, host, 60.0)] == []
    code, found = audit("--patience", patience)
    assert (code, found["unknown"], found["vanished"]) == (int(bool(lost)), [], lost)
