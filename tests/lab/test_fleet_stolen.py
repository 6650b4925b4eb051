"""A stolen credential, to its end: the runbook is walked as it stands, and the other senders notice nothing of it.

The thief sends what waits for its mailboxes, then tries addresses that nobody has any more, until the policy service
holds the credential; what it submits from then on waits on the submission hosts, until its limit is full.
"""

from __future__ import annotations

import json
import shutil
import smtplib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smtpctl.keys import read_secrets
from smtpctl.lab.application import connect
from tests.lab.policy_load import EDGES, metrics
from tests.lab.runbook import RUNBOOKS, Walk
from tests.lab.support import INVENTORY, AppliedFleet, smtpctl, until
from tests.lab.traffic import SteadyMail

pytestmark = [pytest.mark.lab, pytest.mark.slow]

THIEF, SENDER = "trickle", "info@shop.test"
#: So many recipients an hour are the credential's (inventory/lab.yml), and so many invalid ones in a row hold it.
LIMIT, IN_A_ROW = 10, 5
#: Messages that the thief sends before it tries invalid recipients.
EARLY = 3
#: Seconds from acceptance to the provider's answer that are no waiting on a machine that does much else. A message that
#: was put off but once comes after a minute (minimal_backoff_time).
PATIENCE = 50.0


@pytest.fixture
def secrets(applied: AppliedFleet, tmp_path: Path) -> Iterator[Path]:
    """A copy of the inventory with its secrets, which may change; at the end the submission hosts have the old ones,
    and the credential is as it was."""
    for suffix in (".yml", ".secrets.age", ".recipients"):
        shutil.copy(INVENTORY.with_suffix(suffix), tmp_path)
    forgive()
    yield tmp_path / INVENTORY.name
    smtpctl("resume", "credential", THIEF, "-i", str(INVENTORY), check=False)
    smtpctl("queue", "delete", "--credential", THIEF, "--yes", "-i", str(INVENTORY))
    smtpctl("apply", str(INVENTORY), "--role", "submission", "--yes")
    forgive()
    applied.wait_until_ready()


def forgive() -> None:
    """Nothing is counted for the credential, and nobody holds it."""
    for key in (f"credential:recipients:3600:{THIEF}", f"held:{THIEF}"):
        smtpctl("policy", "quota", "reset", str(INVENTORY), "--key", key)


@pytest.fixture
def gone(applied: AppliedFleet) -> Iterator[list[str]]:
    """Addresses that nothing is sent to any more."""
    addresses = [f"gone{number}+{uuid.uuid4().hex}@gmail.test" for number in range(IN_A_ROW)]
    suppress(applied, addresses, "true")
    until(lambda: all(metrics(applied, edge)["smtpctl_policy_suppressed"] >= IN_A_ROW for edge in EDGES))
    yield addresses
    suppress(applied, addresses, "false")


def suppress(applied: AppliedFleet, addresses: list[str], so: str) -> None:
    query = f"SELECT quota.suppress('{{{','.join(addresses)}}}', {so})"
    applied.lab.run("control1", ["runuser", "-u", "postgres", "--", "psql", "-q", "-d", "smtpctl", "-c", query])


def test_a_stolen_credential_is_held_paused_emptied_and_replaced_and_nobody_else_notices(
    applied: AppliedFleet, secrets: Path, gone: list[str]
) -> None:
    walk = Walk(RUNBOOKS / "stolen-credential.md", secrets, {"accounts": THIEF})
    mark, others = uuid.uuid4().hex[:12], SteadyMail(applied, rate=3.0)
    with others.flowing():
        assert flood(applied, mark, gone) == LIMIT
        until(lambda: {"invalid-recipients", "quota"} <= {row["kind"] for row in incidents_of(THIEF)})
        seen = walk.run("incidents list", check=False)
        assert seen.returncode == 1
        assert f"credential {THIEF} writes to invalid recipients in a row and is held" in seen.stdout
        assert f"Credential {THIEF} is held until" in walk.run("why").stdout

        walk.run("pause credential")
        assert answer_to(applied, f"full+{mark}@gmail.test") == 554
        until(lambda: waiting(mark) == ["hold"] * LIMIT, lambda: str(waiting(mark)))
        assert len(walk.run("queue list").stdout.splitlines()) == LIMIT
        assert walk.run("ledger search").stdout.count(mark) >= EARLY
        assert f"{LIMIT} messages deleted" in walk.run("queue delete", "--yes").stdout
        assert waiting(mark) == []

        walk.run("secrets rotate")
        walk.run("apply", "--yes")
        until(lambda: stays_outside(applied), "the old password is still good")
        owner = AppliedFleet(applied.lab, applied.fleet, read_secrets(secrets), secrets)
        assert walk.run("secrets show").stdout.strip() == owner.place(THIEF).password
        walk.run("resume")
        assert "held no longer" in walk.run("policy quota reset fleet.yml --key held").stdout
        assert f"credential:recipients:3600:{THIEF}" in walk.run("policy quota show").stdout
        walk.run("policy quota reset fleet.yml --key credential")
        # The hosts hear of it within seconds; until then what the owner sends is accepted and put on hold.
        until(lambda: all(metrics(applied, edge)["smtpctl_policy_held"] == 0 for edge in EDGES), "still held")
        to = f"ada+{mark}@gmail.test"
        until(lambda: answer_to(owner, to) == 250, "the owner cannot send")
        (identity,) = (row["id"] for row in incidents_of(THIEF) if row["kind"] == "invalid-recipients")
        walk.left = [line.replace("3f9a01bc", identity) for line in walk.left]
        walk.run("incidents ack")
        assert [row for row in incidents_of(THIEF) if row["severity"] == "critical"] == []
    walk.done()
    assert len(applied.lab.mail("gmail.test", to=to, wait=60)) == 1
    arrived = [str(mail["X-Original-To"]) for mail in applied.lab.mail("gmail.test")]
    assert [address for address in arrived if mark in address] == [to], "none of the thief's mail"
    others.require_whole()
    assert max(others.slowest, others.slowest_delivery()) < PATIENCE


def stays_outside(applied: AppliedFleet) -> bool:
    """Whether the thief's password is refused: within a second of the change, as often as Dovecot looks at its file."""
    try:
        connect(applied.place(THIEF)).close()
    except smtplib.SMTPAuthenticationError:
        return True
    return False


def flood(applied: AppliedFleet, mark: str, gone: list[str]) -> int:
    """How many of a thief's messages are accepted, until the limit refuses."""
    accepted, refused = 0, 0
    with connect(applied.place(THIEF)) as session:
        for number in range(EARLY):
            accepted += offer(applied, session, f"full+{mark}.{number}@gmail.test") == 250
        for address in gone:
            assert offer(applied, session, address) == 554
    while refused < 2:
        with connect(applied.place(THIEF)) as session:
            code = offer(applied, session, f"full+{mark}.{accepted}@gmail.test")
        accepted += code == 250
        refused += code == 450
    return accepted


def offer(applied: AppliedFleet, session: smtplib.SMTP, to: str, sender: str = SENDER) -> int:
    """Offer one message in a session; the code of the server's last answer."""
    message = applied.message(sender, to)
    try:
        session.sendmail(sender, [to], message.as_bytes())
    except smtplib.SMTPRecipientsRefused as refusal:
        return refusal.recipients[to][0]
    except smtplib.SMTPResponseException as refusal:
        session.rset()
        return refusal.smtp_code
    return 250


def answer_to(applied: AppliedFleet, to: str) -> int:
    """The code that answers to one message in a session of its own."""
    with connect(applied.place(THIEF)) as session:
        return offer(applied, session, to)


def waiting(mark: str) -> list[str]:
    """The queues in which the thief's messages wait."""
    listed = smtpctl("queue", "list", "--credential", THIEF, "-i", str(INVENTORY), "--json").stdout
    return [json.loads(line)["queue_name"] for line in listed.splitlines() if mark in line]


def incidents_of(subject: str) -> list[dict[str, Any]]:
    """Open incidents; the list exits with 1 while a critical one is open."""
    listed = smtpctl("incidents", "list", "-i", str(INVENTORY), "--json", check=False).stdout
    return [row for row in json.loads(listed)["incidents"] if row["subject"] == subject]
