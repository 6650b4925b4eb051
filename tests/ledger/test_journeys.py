# ruff: noqa: E501 - log lines are as long as they are
"""Journeys over hosts: one, whichever log comes first, whoever asks, and however far the hosts' clocks are apart."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from smtpctl.cli.journey import document_of, text_of
from smtpctl.ledger.journeys import Journey
from smtpctl.ledger.reader import Reader

pytestmark = pytest.mark.postgres
Ship = Callable[[str, str], None]
Query = Callable[[str], list[tuple[object, ...]]]


def lines(host: str, text: str, hour: str = "22") -> str:
    """``SECONDS TAG TEXT`` a line, as the log of a host."""
    log = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        seconds, tag, rest = line.split(" ", 2)
        log += f"2026-11-21T{hour}:{'00' if float(seconds) < 60 else '01'}:{float(seconds) % 60:09.6f}+00:00 {host} {tag}: {rest}\n"
    return log


EDGE = lines(
    "edge1",
    """
    1.000 postfix-submission/submission/smtpd[1] 4jXBRg3bTbzCvh9: client=app.test[192.0.2.9], sasl_method=PLAIN, sasl_username=shop
    1.001 postfix-submission/submission/smtpd[1] 4jXBRg3bTbzCvh9: filter: DATA from app.test[192.0.2.9]: <DATA>: Data command triggers FILTER transactional:[127.0.0.1]:10025; from=<orders@shop.test> to=<nobody@outlook.test> proto=ESMTP helo=<a> sasl_method=PLAIN sasl_username=shop
    1.002 postfix-submission/cleanup[2] 4jXBRg3bTbzCvh9: message-id=<order-1@shop.test>
    1.003 opendkim-rsa[3] 4jXBRg3bTbzCvh9: DKIM-Signature field added (s=r1, d=shop.test)
    1.004 opendkim-ed25519[4] 4jXBRg3bTbzCvh9: DKIM-Signature field added (s=e1, d=shop.test)
    1.005 postfix-submission/qmgr[5] 4jXBRg3bTbzCvh9: from=<bounce+orders@bounce.shop.test>, size=900, nrcpt=2 (queue active)
    1.020 postfix-submission/transactional/smtp[6] 4jXBRg3bTbzCvh9: to=<nobody@outlook.test>, relay=127.0.0.1[127.0.0.1]:10025, delay=0.02, delays=0/0/0/0.01, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4jXBRg3rnbzCvhG)
    1.020 postfix-submission/transactional/smtp[6] 4jXBRg3bTbzCvh9: to=<ada@gmail.test>, relay=127.0.0.1[127.0.0.1]:10025, delay=0.02, delays=0/0/0/0.01, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4jXBRg3rnbzCvhG)
    1.021 postfix-submission/qmgr[5] 4jXBRg3bTbzCvh9: removed
    """,
)
RELAY = lines(
    "relay1",
    """
    1.015 postfix-transactional/smtpd[1] 4jXBRg3rnbzCvhG: client=edge1.lab.test[10.78.0.11]
    1.016 postfix-transactional/cleanup[2] 4jXBRg3rnbzCvhG: message-id=<order-1@shop.test>
    1.017 postfix-transactional/qmgr[3] 4jXBRg3rnbzCvhG: from=<bounce+orders@bounce.shop.test>, size=1900, nrcpt=2 (queue active)
    1.500 postfix-transactional/google-1/smtp[4] 4jXBRg3rnbzCvhG: to=<ada@gmail.test>, relay=mx.gmail.test[10.78.1.1]:25, delay=0.48, delays=0/0/0.4/0.08, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 7336418287F)
    1.600 postfix-transactional/microsoft-2/smtp[5] 4jXBRg3rnbzCvhG: to=<nobody@outlook.test>, relay=mx.outlook.test[10.78.1.2]:25, delay=0.58, delays=0/0/0.4/0.18, dsn=5.1.1, status=bounced (host mx.outlook.test[10.78.1.2] said: 550 5.1.1 <nobody@outlook.test>: No such user here (in reply to RCPT TO command))
    1.601 postfix-transactional/cleanup[2] 4jXBRg4rZBzCvhK: message-id=<notice@relay1.lab.test>
    1.602 postfix-transactional/bounce[6] 4jXBRg3rnbzCvhG: sender non-delivery notification: 4jXBRg4rZBzCvhK
    1.603 postfix-transactional/qmgr[3] 4jXBRg4rZBzCvhK: from=<>, size=3000, nrcpt=1 (queue active)
    1.604 postfix-transactional/qmgr[3] 4jXBRg3rnbzCvhG: removed
    1.700 postfix-transactional/default-1/smtp[7] 4jXBRg4rZBzCvhK: to=<bounce+orders@bounce.shop.test>, relay=feedback1.lab.test[10.78.0.15]:25, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4jXBRg5gbTzCvhL)
    1.701 postfix-transactional/qmgr[3] 4jXBRg4rZBzCvhK: removed
    """,
)
FEEDBACK = lines(
    "feedback1",
    """
    1.650 postfix-feedback/smtpd[1] 4jXBRg5gbTzCvhL: client=out1.lab.test[10.78.2.1]
    1.651 postfix-feedback/cleanup[2] 4jXBRg5gbTzCvhL: message-id=<notice@relay1.lab.test>
    1.652 postfix-feedback/qmgr[3] 4jXBRg5gbTzCvhL: from=<>, size=3200, nrcpt=1 (queue active)
    1.800 postfix-feedback/lmtp[4] 4jXBRg5gbTzCvhL: to=<bounce+orders@bounce.shop.test>, relay=127.0.0.1[127.0.0.1]:10024, delay=0.15, delays=0/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 Stored)
    1.801 postfix-feedback/qmgr[3] 4jXBRg5gbTzCvhL: removed
    """,
)
LOGS = {"edge1": EDGE, "relay1": RELAY, "feedback1": FEEDBACK}


def way(journey: Journey) -> list[tuple[str, str]]:
    return [(stop.host, stop.queue_id) for stop in journey.stops]


WHOLE_WAY = [
    ("edge1", "4jXBRg3bTbzCvh9"),
    ("relay1", "4jXBRg3rnbzCvhG"),
    ("relay1", "4jXBRg4rZBzCvhK"),
    ("feedback1", "4jXBRg5gbTzCvhL"),
]


@pytest.mark.parametrize("order", list(permutations(LOGS)))
def test_a_journey_is_one_whichever_log_comes_first(ship: Ship, reader: Reader, order: tuple[str, ...]) -> None:
    for host in order:
        ship(host, LOGS[host])
    (journey,) = reader.show("<order-1@shop.test>", 5).journeys
    assert way(journey) == WHOLE_WAY
    assert journey.outcome() == "mixed"


@pytest.mark.parametrize(
    "wanted",
    ["order-1@shop.test", "<order-1@shop.test>", *(queue_id for _, queue_id in WHOLE_WAY), "orders@shop.test"],
)
def test_every_name_of_a_message_leads_to_its_whole_journey(ship: Ship, reader: Reader, wanted: str) -> None:
    for host, log in LOGS.items():
        ship(host, log)
    (journey,) = reader.show(wanted, 5).journeys
    assert way(journey) == WHOLE_WAY
    assert {step.recipient for step in journey.stops[0].deliveries} == {"nobody@outlook.test", "ada@gmail.test"}


def test_a_recipient_leads_to_what_concerns_that_recipient(ship: Ship, reader: Reader) -> None:
    for host, log in LOGS.items():
        ship(host, log)
    (journey,) = reader.show("ADA@gmail.test", 5).journeys
    assert [step.recipient for step in journey.last_attempts()] == ["ada@gmail.test"]
    assert journey.outcome() == "delivered"
    assert journey.latency() == pytest.approx(0.5)
    (other,) = reader.show("nobody@outlook.test", 5).journeys
    assert other.outcome() == "bounced"
    assert other.latency() is None


def test_hosts_whose_clocks_differ_by_minutes_are_still_linked(ship: Ship, reader: Reader) -> None:
    ship("edge1", EDGE)
    ship("relay1", RELAY.replace("T22:00:", "T21:57:"))
    (journey,) = reader.show("order-1@shop.test", 5).journeys
    assert way(journey)[:2] == WHOLE_WAY[:2]


def test_a_queue_id_in_a_foreign_reply_links_nothing(ship: Ship, reader: Reader) -> None:
    """What the provider calls `queued as` may be the id of somebody's live message here."""
    lie = RELAY.replace("queued as 7336418287F", "queued as 4jXBRg5gbTzCvhL")
    for host, log in {"relay1": lie, "feedback1": FEEDBACK}.items():
        ship(host, log)
    (journey,) = reader.show("ada@gmail.test", 5).journeys
    assert [stop for stop in journey.stops if stop.host == "feedback1" and stop.parent_kind is None] != []
    assert journey.outcome() == "delivered"
    delivered = next(step for stop in journey.stops for step in stop.deliveries if step.recipient == "ada@gmail.test")
    assert delivered.id not in journey.hops


def test_two_messages_with_one_message_id_are_two_journeys(ship: Ship, reader: Reader) -> None:
    ship("edge1", EDGE)
    ship("edge2", EDGE.replace("4jXBRg3bTbzCvh9", "4jXBRg3bTbzCvh8").replace("4jXBRg3rnbzCvhG", "4jXBRg3rnbzCvhF"))
    assert len(reader.show("order-1@shop.test", 5).journeys) == 2


def test_a_report_by_mail_makes_a_delivery_a_bounce(ship: Ship, reader: Reader, query: Query) -> None:
    ship("edge1", EDGE)
    ship("relay1", RELAY)
    query(
        """INSERT INTO ledger.bounces (received_at, dedupe, host, recipient, envelope_to, action, status, hardness,
             category, original_message_id, reporting_mta)
           VALUES ('2026-11-21T22:05:00Z', 'x', 'feedback1', ledger.subject('ada@gmail.test'), 'b@bounce.shop.test',
             'failed', '5.2.2', 'soft', 'full', '<order-1@shop.test>', 'mx.gmail.test')"""
    )
    (journey,) = reader.show("ada@gmail.test", 5).journeys
    assert journey.outcome() == "bounced"
    assert "failed 5.2.2 <ada@gmail.test> says mx.gmail.test, soft: full" in "\n".join(text_of(journey))


def test_a_refusal_is_shown_though_no_message_came_of_it(ship: Ship, reader: Reader) -> None:
    ship(
        "edge1",
        lines(
            "edge1",
            "1.0 postfix-submission/submission/smtpd[1] NOQUEUE: reject: RCPT from app.test[192.0.2.9]: 450 4.7.1 <x@y.test>: "
            "Recipient address rejected: Limit reached; from=<orders@shop.test> to=<x@y.test> proto=ESMTP helo=<a>",
        ),
    )
    answer = reader.show("x@y.test", 5)
    assert answer.journeys == []
    assert [(event.kind, event.detail["code"]) for event in answer.refusals] == [("reject", "450")]


def test_nothing_is_known_of_what_never_was(reader: Reader) -> None:
    for wanted in ("ABCDEF123", "<x@y>", "x@y.test"):
        answer = reader.show(wanted, 5)
        assert (answer.journeys, answer.refusals) == ([], [])


def test_the_text_of_a_journey_says_every_step_and_its_time(ship: Ship, reader: Reader) -> None:
    for host, log in LOGS.items():
        ship(host, log)
    (journey,) = reader.show("ada@gmail.test", 5).journeys
    text = "\n".join(text_of(journey))
    for part in (
        "Message <order-1@shop.test>: delivered after 0.500 s",
        "accepted from app.test[192.0.2.9], credential shop",
        "routed at DATA to transactional:[127.0.0.1]:10025, envelope sender was <orders@shop.test>",
        "signed by r1 (shop.test), e1 (shop.test)",
        "handed over to relay1 postfix-transactional as 4jXBRg3rnbzCvhG",
        "+0.500  sent 2.0.0 <ada@gmail.test> (google) by google-1 from 10.78.2.1 to mx.gmail.test[10.78.1.1]:25",
    ):
        assert part in text


def test_the_document_of_a_journey_has_plain_values_only(ship: Ship, reader: Reader) -> None:
    for host, log in LOGS.items():
        ship(host, log)
    (journey,) = reader.show("4jXBRg3bTbzCvh9", 5).journeys
    document = document_of(journey)
    assert document["messages"][0]["started_at"] == "2026-11-21T22:00:01+00:00"
    assert document["messages"][1]["deliveries"][0]["relay_address"] == "10.78.1.1"
    assert _types(document) <= {str, int, float, bool, type(None)}


def _types(value: Any) -> set[type]:
    if isinstance(value, dict):
        return set().union(*map(_types, value.values()), map(type, value))
    if isinstance(value, list):
        return set().union(*map(_types, value))
    return {type(value)}


def test_news_come_once_and_miss_nothing(ship: Ship, reader: Reader) -> None:
    since, rows = reader.news(None)
    assert rows == []
    ship("edge1", EDGE)
    ship("relay1", RELAY)
    since, rows = reader.news(since)
    assert len(rows) == 5
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    assert reader.news(since)[1] == []
