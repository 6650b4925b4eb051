"""Which times a search looks at: all that may hold a row, the latest first, none twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from smtpctl.ledger.spans import growing, of_hours

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_every_moment_is_looked_at_once_in_spans_that_grow() -> None:
    end = BEGIN + 100 * HOUR
    spans = list(growing(BEGIN, end, end - HOUR))
    assert spans[0] == (end - 2 * HOUR, end)
    assert spans[-1][0] == BEGIN
    assert [later[0] for later in spans[:-1]] == [earlier[1] for earlier in spans[1:]]
    assert len(spans) < 10
    assert list(growing(end, BEGIN, end)) == []


@given(st.sets(st.integers(-5, 400)), st.integers(1, 50), st.integers(0, 400), st.integers(0, 400))
def test_each_hour_that_holds_something_is_looked_at_once(held: set[int], rows: int, begin: int, end: int) -> None:
    hours = [(BEGIN + number * HOUR, 1 + number % 7) for number in sorted(held, reverse=True) if begin <= number < end]
    first, last = BEGIN + begin * HOUR + HOUR / 3, BEGIN + end * HOUR
    spans = list(of_hours(hours, first, last, rows))
    assert all(since < until for since, until in spans)
    assert all(later[0] >= earlier[1] for later, earlier in pairwise(spans)), "the latest first"
    for hour, _ in hours:
        parts = [span for span in spans if span[0] < hour + HOUR and span[1] > hour]
        assert len(parts) == 1
        assert parts[0][0] <= max(hour, first)
        assert parts[0][1] >= hour + HOUR


def test_hours_far_apart_are_looked_at_alone_and_what_was_not_enough_is_doubled() -> None:
    hours = [(BEGIN + number * HOUR, 10) for number in (400, 100, 99, 98, 97, 96, 95, 94)]
    spans = list(of_hours(hours, BEGIN, BEGIN + 1000 * HOUR, 20))
    assert [(until - since) / HOUR for since, until in spans] == [1, 2, 4, 1]
