"""A search finds the same whether what it looks for is in the sums, in an index, or in the rows only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smtpctl.ledger.connection import Connection
from smtpctl.ledger.reader import Reader, Search
from tests.ledger.conftest import Ship
from tests.ledger.test_sums import LONG_AGO, maintaining, ship_both

pytestmark = pytest.mark.postgres

Query = Callable[[str], list[tuple[Any, ...]]]
__all__ = ["maintaining"]

#: (search, the same as a condition)
SEARCHES = [
    (Search(), "true"),
    (Search(status="bounced"), "status = 'bounced'"),
    (Search(status="expired"), "status = 'expired'"),
    (Search(status="deferred", stream="transactional"), "status = 'deferred' AND stream = 'transactional'"),
    (Search(category="invalid mailbox"), "category = 'invalid mailbox'"),
    (Search(provider="google"), "provider = 'google'"),
    (Search(status="bounced", text="SAID SO"), "status = 'bounced' AND reply ILIKE '%said so%'"),
    (Search(credential="shop", status="bounced"), "status = 'bounced'"),
    (Search(domain="Gmail.com", status="bounced"), "status = 'bounced'"),
    (Search(domain="nowhere.example"), "false"),
    (Search(status="sent", since=LONG_AGO), f"status = 'sent' AND at >= '{LONG_AGO}'"),
    (Search(status="sent", until=LONG_AGO), f"status = 'sent' AND at < '{LONG_AGO}'"),
]


def every_page(reader: Reader, wanted: Search, rows: int) -> list[int]:
    """Ids of all pages put together."""
    found: list[int] = []
    before = None
    while page := reader.search(wanted, before, rows):
        found += [row["id"] for row in page]
        before = page[-1]["at"], page[-1]["id"]
    return found


def compare(reader: Reader, query: Query) -> None:
    for wanted, condition in SEARCHES:
        rows = query(f"SELECT id FROM ledger.deliveries WHERE {condition} ORDER BY at DESC, id DESC")
        assert every_page(reader, wanted, 7) == [number for (number,) in rows], wanted


def test_a_search_finds_every_row_once(ship: Ship, query: Query, reader: Reader, maintaining: Connection) -> None:
    now = datetime.now(UTC)
    ship_both(ship, LONG_AGO - timedelta(days=9), range(6), "bounced")
    ship_both(ship, LONG_AGO, range(10, 30))
    compare(reader, query)
    maintaining.execute("SELECT ledger.sum_up(date_trunc('hour', now(), 'UTC'))")
    compare(reader, query)
    ship_both(ship, LONG_AGO - timedelta(days=5), range(30, 34), "bounced")  # a log that came late
    ship_both(ship, now, range(40, 44), "deferred")
    ship_both(ship, now + timedelta(days=400), range(50, 52), "bounced")  # a host whose clock is wrong
    compare(reader, query)


def test_a_domain_of_many_is_searched_by_time(
    ship: Ship, query: Query, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship_both(ship, LONG_AGO, range(10), "bounced")
    monkeypatch.setattr("smtpctl.ledger.reader._MOST_PEOPLE", 5)
    compare(reader, query)
