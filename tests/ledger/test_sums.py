"""The sums of closed hours: with what the views add for the hours that are open, each attempt counts once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smtpctl.ledger.connection import Connection, connect
from smtpctl.ledger.sums import sum_up
from tests.ledger.conftest import Ship

pytestmark = pytest.mark.postgres

Query = Callable[[str], list[tuple[Any, ...]]]
LONG_AGO = datetime.now(UTC) - timedelta(days=3)
SUMS = ("traffic_sums", "failure_sums", "domain_sums", "delay_sums")
ROUTES = ("route_sums", "relay_sums", "domain_failure_sums")

#: (what a view says, the same asked of every row)
SAME = [
    (
        "SELECT hour, stream, pool, provider, credential, status, attempts FROM ledger.hourly",
        "SELECT date_trunc('hour', at, 'UTC'), stream, pool, provider, credential, status, count(*)"
        " FROM ledger.attributed GROUP BY 1, 2, 3, 4, 5, 6",
    ),
    (
        "SELECT day, stream, pool, provider, domain, delivered, deferred, bounced, hard FROM ledger.bounce_rates",
        "SELECT date_trunc('day', at, 'UTC'), stream, pool, provider, domain, count(*) FILTER (WHERE status = 'sent'),"
        " count(*) FILTER (WHERE status = 'deferred'), count(*) FILTER (WHERE status = 'bounced'),"
        " count(*) FILTER (WHERE status = 'bounced' AND hardness = 'hard') FROM ledger.outgoing GROUP BY 1, 2, 3, 4, 5",
    ),
    (
        "SELECT hour, provider, category, dsn, sum(attempts) FROM ledger.replies GROUP BY 1, 2, 3, 4",
        "SELECT date_trunc('hour', at, 'UTC'), provider, category, dsn, count(*) FROM ledger.outgoing"
        " WHERE status <> 'sent' GROUP BY 1, 2, 3, 4",
    ),
    (
        "SELECT hour, provider, sum(delivered) FROM ledger.latencies GROUP BY 1, 2",
        "SELECT date_trunc('hour', at, 'UTC'), provider, count(*) FROM ledger.outgoing"
        " WHERE status = 'sent' GROUP BY 1, 2",
    ),
    (
        "SELECT * FROM ledger.routes",
        "SELECT date_trunc('hour', at, 'UTC'), host, pool, stream, provider, transport, source_address, tls, status,"
        " category, count(*) FROM ledger.outgoing GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
    ),
    (
        "SELECT day, provider, relay_name, sum(delivered), sum(deferred), sum(bounced), round(sum(connecting)),"
        " round(sum(transferring)) FROM ledger.relays GROUP BY 1, 2, 3",
        "SELECT date_trunc('day', at, 'UTC'), provider, relay_name, count(*) FILTER (WHERE status = 'sent'),"
        " count(*) FILTER (WHERE status = 'deferred'), count(*) FILTER (WHERE status = 'bounced'),"
        " round(sum(delay_connect::float8)), round(sum(delay_transfer::float8)) FROM ledger.outgoing GROUP BY 1, 2, 3",
    ),
    (
        "SELECT day, domain, status, category, dsn, sum(attempts) FROM ledger.domain_failures GROUP BY 1, 2, 3, 4, 5",
        "SELECT date_trunc('day', at, 'UTC'), domain, status, category, dsn, count(*) FROM ledger.outgoing"
        " WHERE status <> 'sent' GROUP BY 1, 2, 3, 4, 5",
    ),
]


def mail(at: datetime, number: int, status: str = "sent", delay: float = 1) -> str:
    """A mail over both hosts: what submission logs, and what the relay logs, divided by an empty line."""
    moment = at + timedelta(seconds=number)
    stamp, identity = moment.isoformat(timespec="microseconds"), f"<{number}.{at.timestamp()}@shop.test>"
    here, there = f"{0xA0000 + number:X}", f"{0xB0000 + number:X}"
    code = {"sent": "250 2.0.0", "deferred": "451 4.7.1", "bounced": "550 5.1.1"}[status]
    reply = f"host mx[192.0.2.1] said: {code} <r{number}@gmail.com>: said so 20261122{number:06}"
    submitted = [
        f"edge1 postfix-submission/smtpd[1]: {here}: client=app[192.0.2.9], sasl_method=PLAIN, sasl_username=shop",
        f"edge1 postfix-submission/cleanup[2]: {here}: message-id={identity}",
        f"edge1 postfix-submission/smtp[4]: {here}: to=<r{number}@gmail.com>, relay=127.0.0.1[127.0.0.1]:10026,"
        f" delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {there})",
    ]
    relayed = [
        f"relay1 postfix-transactional/smtpd[1]: {there}: client=edge1[10.78.2.9]",
        f"relay1 postfix-transactional/cleanup[2]: {there}: message-id={identity}",
        f"relay1 postfix-transactional/smtp[4]: {there}: to=<r{number}@gmail.com>, relay=mx[192.0.2.1]:25,"
        f" delay={delay}, delays=0/0/0/{delay}, dsn={code[4:]}, status={status} ({reply})",
    ]
    return "\n\n".join("\n".join(f"{stamp} {line}" for line in lines) for lines in (submitted, relayed)) + "\n"


def ship_both(ship: Ship, at: datetime, numbers: range, status: str = "sent") -> None:
    """The relay's log comes before submission's."""
    halves = [mail(at, number, status, 0.5 + number).split("\n\n") for number in numbers]
    ship("relay1", "".join(half[1] for half in halves))
    ship("edge1", "".join(half[0] + "\n" for half in halves))


def all_the_same(query: Query) -> bool:
    return all(sorted(query(view), key=str) == sorted(query(rows), key=str) for view, rows in SAME)


@pytest.fixture
def maintaining(postgres: Any, database: str) -> Any:
    with connect(postgres.conninfo(database), application="test") as connection:
        yield connection


def test_each_attempt_counts_once_whenever_it_came(ship: Ship, query: Query, maintaining: Connection) -> None:
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    ship_both(ship, LONG_AGO, range(20))
    assert all_the_same(query), "before anything is summed"
    sum_up(maintaining)
    assert query("SELECT sum(attempts) FROM ledger.traffic_sums") == [(20,)]
    assert all_the_same(query)
    ship_both(ship, LONG_AGO, range(20, 30), "bounced")  # a log that came late: shown with the next sums
    ship_both(ship, now + timedelta(days=400), range(40, 43))  # a host whose clock is wrong
    ship_both(ship, now, range(30, 40), "deferred")
    for _ in range(2):
        maintaining.execute("SELECT ledger.sum_up(%s)", (hour,))
        assert query("SELECT sum(attempts) FROM ledger.hourly") == [(43,)]
        assert all_the_same(query)
    assert query("SELECT sum(attempts) FROM ledger.traffic_sums") == [(33,)]
    assert query("SELECT DISTINCT credential FROM ledger.hourly") == [("shop",)]


def test_sums_in_small_steps_are_the_same(ship: Ship, query: Query, maintaining: Connection) -> None:
    ship_both(ship, LONG_AGO, range(30))
    steps = 0
    while maintaining.execute("SELECT ledger.sum_up(date_trunc('hour', now(), 'UTC'), 7)").fetchone() == (True,):
        steps += 1
        assert query("SELECT sum(attempts) FROM ledger.hourly") == [(30,)]
    assert steps > 5
    assert all_the_same(query)


def test_sums_of_much_at_once_are_the_same(ship: Ship, query: Query, maintaining: Connection) -> None:
    ship_both(ship, LONG_AGO, range(30))
    maintaining.execute("UPDATE ledger.sources SET next_row = next_row + 900000")  # as if it were a log of months
    sum_up(maintaining)
    assert all_the_same(query)
    assert query("SELECT credential, sum(attempts) FROM ledger.traffic_sums GROUP BY 1") == [("shop", 30)]


def test_sums_of_a_newer_kind_catch_up(ship: Ship, query: Query, maintaining: Connection) -> None:
    ship_both(ship, LONG_AGO, range(20), "deferred")
    sum_up(maintaining)
    for forget in (
        *(f"TRUNCATE ledger.{table}" for table in ROUTES),  # as a migration leaves it that adds them
        "DELETE FROM ledger.summed WHERE kind = 'routes'",
        "DELETE FROM ledger.summed_before WHERE kind = 'routes'",
    ):
        maintaining.execute(forget.encode())
    ship_both(ship, LONG_AGO, range(20, 25))
    assert query("SELECT sum(attempts) FROM ledger.routes") == [(25,)], "views read the rows until then"
    sum_up(maintaining)
    assert query("SELECT sum(attempts) FROM ledger.route_sums WHERE role = 'relay'") == [(25,)]
    assert query("SELECT sum(attempts) FROM ledger.traffic_sums") == [(25,)]
    assert all_the_same(query)


def test_percentiles_are_within_five_percent(ship: Ship, query: Query, maintaining: Connection) -> None:
    ship_both(ship, LONG_AGO.replace(minute=0), range(100))
    sum_up(maintaining)
    ((median, p90, p99),) = query("SELECT median, p90, p99 FROM ledger.latencies")
    for found, exact in ((median, 49.5), (p90, 89.5), (p99, 98.5)):
        assert found == pytest.approx(exact, rel=0.05)


def test_sums_go_with_the_days_that_they_are_of(ship: Ship, query: Query, maintaining: Connection) -> None:
    ship_both(ship, LONG_AGO, range(5))
    ship_both(ship, LONG_AGO, range(5, 8), "bounced")
    sum_up(maintaining)
    assert all(query(f"SELECT count(*) FROM ledger.{table}") != [(0,)] for table in SUMS + ROUTES)
    maintaining.execute("SELECT ledger.retain('deliveries', '1 day')")
    for table in SUMS + ROUTES:
        assert query(f"SELECT count(*) FROM ledger.{table}") == [(0,)]


@pytest.mark.parametrize(
    ("reply", "shape"),
    [
        ("host mx.x[203.0.113.7] said: 550-5.1.1 gone 8ab31cd0f2-gsmtp", "550-5.1.1 gone …"),
        ("421 4.7.0 [TSS04] Messages from 192.0.2.1 deferred", "421 4.7.0 [TSS04] Messages from … deferred"),
        ("550 5.7.606 Denied (S3140) [AM0PR04MB12.x 2026-11-22T08:00:00.000Z]", "550 5.7.606 Denied (S3140) [… …]"),
        ("452 4.2.2 quota https://x.com/mail/?p=OverQuotaTemp", "452 4.2.2 quota https://x.com/mail/?p=OverQuotaTemp"),
    ],
)
def test_replies_that_mean_the_same_are_one(query: Query, reply: str, shape: str) -> None:
    assert query(f"SELECT ledger.reply_shape('{reply}')") == [(shape,)]
