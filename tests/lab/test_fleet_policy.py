"""Limits behind real Postfix, by load through both edges, counted at the provider; and without the database, or DNS."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from smtpctl.lab.application import connect
from tests.lab.policy_load import EDGES, changed_rules, metrics, offered
from tests.lab.support import AppliedFleet, smtpctl, until

pytestmark = [pytest.mark.lab, pytest.mark.slow]

RELAYS = ("relay1", "relay2")
SENDER = "orders@shop.test"
DECIDED = "smtpctl_policy_decisions_total"
#: Messages that the tested limit lets pass.
MOST = 40
CONNECTED = "smtpctl_policy_database_connected"
REPLIES = "smtpctl_policy_reply_seconds"


def deltas(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0.0) for name, value in after.items()}


def test_a_limit_holds_exactly_in_every_window_and_at_the_provider(applied: AppliedFleet) -> None:
    def change(rules: dict[str, Any]) -> None:
        rules["credentials"]["shop"]["limits"] = [
            {"key": "credential", "counted": "messages", "count": 24, "per": 4, "burst": 12},
            {"key": "credential", "counted": "messages", "count": MOST, "per": 1800, "burst": MOST},
        ]

    recipient = f"limit+{uuid.uuid4().hex}@gmail.test"
    before = {edge: metrics(applied, edge) for edge in EDGES}
    with changed_rules(applied, change):
        for key in ("credential:messages:4:shop", "credential:messages:1800:shop"):
            smtpctl("policy", "quota", "reset", str(applied.inventory), "--key", key)  # a run before this one
        with offered(applied, "shop", SENDER, recipient) as load:
            until(lambda: len(load.accepted) >= MOST, "the limit is not reached", patience=120)
            time.sleep(3.0)  # both edges go on asking: what lets more pass would do it now
    decided = [deltas(before[edge], metrics(applied, edge)) for edge in EDGES]
    assert len(load.accepted) == MOST
    assert load.most_within(4) <= 24
    assert all(text.startswith("450") and "4.7.1" in text and "retry in" in text for text in load.refused)
    assert any(f"{MOST} messages in 1800 s for credential shop" in text for text in load.refused)
    assert any("24 messages in 4 s for credential shop" in text for text in load.refused)
    by_edge = [one.get(f'{DECIDED}{{rule="stream",action="FILTER"}}', 0.0) for one in decided]
    assert min(by_edge) > 0, "both edges share the limit"
    assert sum(by_edge) == MOST
    arrived = applied.lab.mail("gmail.test", to=recipient, wait=120, at_least=MOST)
    assert len(arrived) == MOST


@pytest.fixture
def database_away(applied: AppliedFleet) -> Iterator[None]:
    """PostgreSQL is stopped on the control host; it runs again after the test, and the edges have found it."""
    applied.lab.run("control1", ["systemctl", "stop", "postgresql"])
    yield
    applied.lab.run("control1", ["systemctl", "start", "postgresql"])
    until(lambda: all(metrics(applied, edge)[CONNECTED] == 1 for edge in EDGES), "the database is not found")


@pytest.fixture
def in_use(applied: AppliedFleet) -> None:
    """The credential's limits are known on both edges, with the reserve that each holds: that of a limit by sender is
    taken with the sender's first messages there."""
    before = {edge: metrics(applied, edge) for edge in EDGES}

    def asked(edge: str) -> float:
        return deltas(before[edge], metrics(applied, edge))[f"{REPLIES}_count"]

    with offered(applied, "shop", SENDER, f"before+{uuid.uuid4().hex}@gmail.test", sessions=1):
        # Two or three questions a message, so ten messages at each.
        until(lambda: min(map(asked, EDGES)) >= 30, "an edge is asked nothing")
        time.sleep(1.0)


def test_without_the_database_mail_within_the_reserve_flows_at_once_and_small_limits_wait(
    applied: AppliedFleet, in_use: None, database_away: None
) -> None:
    before = {edge: metrics(applied, edge) for edge in EDGES}
    recipient = f"away+{uuid.uuid4().hex}@gmail.test"
    with (
        offered(applied, "shop", SENDER, recipient, sessions=2, pause=0.2) as load,
        offered(applied, "trickle", "info@shop.test", recipient, sessions=1, pause=0.5) as small,
    ):
        time.sleep(8.0)
    decided = [deltas(before[edge], metrics(applied, edge)) for edge in EDGES]
    assert load.refused == []
    assert small.accepted == []
    words = "The count of 10 recipients an hour for credential trickle is not available now; retry in"
    assert small.refused != []
    assert [text for text in small.refused if not text.startswith("450 4.7.1") or words not in text] == []
    for one in decided:
        assert one[f"{REPLIES}_count"] > 0
        # The promise is 250 ms; a busy machine may keep the process itself waiting.
        assert one[f'{REPLIES}_bucket{{le="1.0"}}'] == one[f"{REPLIES}_count"]
    arrived = applied.lab.mail("gmail.test", to=recipient, wait=120, at_least=len(load.accepted))
    assert len(arrived) == len(load.accepted)


@pytest.fixture
def names_away(applied: AppliedFleet) -> Iterator[str]:
    """No name server answers any more. The mark of what the test sends: it is taken out of the queues after it."""
    mark = uuid.uuid4().hex
    applied.lab.run("inet", ["systemctl", "stop", "knot"])
    yield mark
    applied.lab.run("inet", ["systemctl", "start", "knot"])
    for host in (*EDGES, *RELAYS):
        # unbound leaves servers that did not answer alone for a while (infra-host-ttl, unbound.conf(5)).
        applied.lab.run(host, ["systemctl", "restart", "unbound"])
    for host, instance in [(edge, "submission") for edge in EDGES] + [(relay, "transactional") for relay in RELAYS]:
        folder = f"/etc/postfix-{instance}"
        waiting = applied.lab.run(host, ["postqueue", "-c", folder, "-j"]).stdout.splitlines()
        numbers = [json.loads(line)["queue_id"] for line in waiting if mark in line]
        applied.lab.run(host, ["postsuper", "-c", folder, "-d", "-"], input="".join(f"{one}\n" for one in numbers))


def test_the_queue_moves_while_a_thousand_new_domains_wait_for_dead_name_servers(
    applied: AppliedFleet, in_use: None, names_away: str
) -> None:
    with connect(applied.place()) as session:
        for number in range(10):
            recipients = [f"a@{one}.{number}.{names_away}.example" for one in range(100)]
            session.sendmail(SENDER, recipients, applied.message(SENDER, "many@gmail.test").as_bytes())
    # As many as a destination begins with (initial_destination_concurrency): a sixth waits for the first one's attempt,
    # which itself waits for the dead name servers.
    for number in range(5):
        applied.send(f"moves{number}+{names_away}@gmail.test")

    def tried() -> dict[str, float]:
        """Who was tried (by the provider's transport, or error(8) after it), and how long the queue manager took."""
        lines = "".join(
            applied.lab.run(host, ["grep", "-h", f"to=<moves.*{names_away}", "/var/log/mail.log"], check=False).stdout
            for host in RELAYS
        )
        pattern = r"/(?:google-\d+/smtp|error)\[\d+\]: .* to=<(moves\d)\+.*delays=[\d.]+/([\d.]+)/"
        return {name: float(waited) for name, waited in reversed(re.findall(pattern, lines))}

    until(lambda: len(tried()) == 5, "the queue stands still")
    # The transport of each of the thousand has been asked for before, from memory: a question to a dead name server
    # takes seconds, and the five would wait for all of them.
    assert max(tried().values()) < 60
