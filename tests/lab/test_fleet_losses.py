"""Losing hosts: one edge, the control host. The mail path goes on; the ledger catches up."""

from __future__ import annotations

import smtplib
import time
import uuid
from collections.abc import Iterator

import pytest

from tests.lab.support import AppliedFleet

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture
def whole(applied: AppliedFleet) -> Iterator[AppliedFleet]:
    """The fleet; hosts that the test stopped run again after it, and are ready for mail."""
    yield applied
    for host in applied.fleet.hosts:
        if not applied.lab.is_on(host):
            applied.lab.start_host(host)
    applied.wait_until_ready()


def send_soon(applied: AppliedFleet, recipient: str, patience: float = 30.0) -> str:
    """Submit as an application does: again after a second, while the virtual address moves."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return applied.send(recipient)
        except (OSError, smtplib.SMTPException):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


@pytest.mark.parametrize("edge", ["edge1", "edge2"])
def test_with_one_edge_powered_off_mail_to_the_virtual_address_arrives(whole: AppliedFleet, edge: str) -> None:
    whole.lab.stop_host(edge)
    recipient = f"ada+{uuid.uuid4().hex}@gmail.test"
    send_soon(whole, recipient)
    assert len(whole.lab.mail("gmail.test", to=recipient, wait=150)) == 1


def test_with_one_relay_powered_off_mail_goes_by_the_other(whole: AppliedFleet) -> None:
    whole.lab.stop_host("relay1")
    recipient = f"ada+{uuid.uuid4().hex}@gmail.test"
    send_soon(whole, recipient)
    assert len(whole.lab.mail("gmail.test", to=recipient, wait=150)) == 1


def test_with_control_powered_off_mail_flows_within_limits_and_the_ledger_misses_nothing(whole: AppliedFleet) -> None:
    whole.lab.stop_host("control1")
    recipients = [f"ada+{uuid.uuid4().hex}@gmail.test" for _ in range(5)]
    identities = [send_soon(whole, recipient) for recipient in recipients]
    for recipient in recipients:
        assert len(whole.lab.mail("gmail.test", to=recipient, wait=150)) == 1
    whole.lab.start_host("control1")
    for identity in identities:
        whole.journey(identity, "delivered", patience=150)
