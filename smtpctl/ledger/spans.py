"""Spans of time that a search looks at, the latest first, so that a page is found in a look or two. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

#: From, until.
Span = tuple[datetime, datetime]

_HOUR = timedelta(hours=1)
#: Looking at a few hours that hold nothing costs less than another look.
_WORTH_A_LOOK = timedelta(hours=6)


def growing(begin: datetime, end: datetime, now: datetime) -> Iterator[Span]:
    """All of a time, each span longer than the one before: what is frequent is found in the first, and what is rare
    takes no more than twice as long as one look at everything. What lies after ``now`` is in the first."""
    after, span = min(end, now), _HOUR
    while end > begin:
        after = max(begin, after - span)
        yield after, end
        end, span = after, span * 2


def of_hours(hours: Iterable[tuple[datetime, int]], begin: datetime, end: datetime, rows: int) -> Iterator[Span]:
    """Only the hours that hold something, of which ``hours`` says how much, the latest first: as many in a span as hold
    ``rows``, in the next twice as many, for not each of them may be what is looked for."""
    latest, earliest, held = None, end, 0
    for hour, attempts in hours:
        if latest and (held >= rows or earliest - (hour + _HOUR) > _WORTH_A_LOOK):
            yield max(begin, earliest), latest
            rows = rows * 2 if held >= rows else rows
            latest, held = None, 0
        latest = latest or min(end, hour + _HOUR)
        earliest, held = hour, held + attempts
    if latest:
        yield max(begin, earliest), latest
