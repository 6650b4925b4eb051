"""Stamps: the forms that loggers write, and the year and zone that the BSD form lacks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from smtpctl.maillog.stamps import Stamps
from smtpctl.model.deliveries import datetime_of, moment_of

REFERENCE = moment_of(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-21T22:08:53.240556+00:00 h x", datetime(2026, 11, 21, 22, 8, 53, 240556, tzinfo=UTC)),
        ("2026-11-21T22:08:53.240556Z h x", datetime(2026, 11, 21, 22, 8, 53, 240556, tzinfo=UTC)),
        ("2026-11-21T22:08:53+01:00 h x", datetime(2026, 11, 21, 21, 8, 53, tzinfo=UTC)),
        ("2026-11-21T22:08:53.5-03:30 h x", datetime(2026, 11, 22, 1, 38, 53, 500000, tzinfo=UTC)),
        ("2026-11-21T22:08:53.123456789Z h x", datetime(2026, 11, 21, 22, 8, 53, 123456, tzinfo=UTC)),
        ("2026-11-21 22:08:53,123 h x", datetime(2026, 11, 21, 22, 8, 53, 123000, tzinfo=UTC)),
        ("<22>2026-11-21T22:08:53Z h x", datetime(2026, 11, 21, 22, 8, 53, tzinfo=UTC)),
        ("<22>1 2026-11-21T22:08:53Z h x", datetime(2026, 11, 21, 22, 8, 53, tzinfo=UTC)),
        ("Nov 21 22:10:08 h x", datetime(2026, 11, 21, 22, 10, 8, tzinfo=UTC)),
        ("Nov  1 22:10:08 h x", datetime(2026, 11, 1, 22, 10, 8, tzinfo=UTC)),
        ("Nov 1 22:10:08 h x", datetime(2026, 11, 1, 22, 10, 8, tzinfo=UTC)),
        ("2025 Nov 21 22:10:08 h x", datetime(2025, 11, 21, 22, 10, 8, tzinfo=UTC)),
        ("Nov 21 2025 22:10:08 h x", datetime(2025, 11, 21, 22, 10, 8, tzinfo=UTC)),
        ("Dec 31 23:59:59 h x", datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("Feb 29 10:00:00 h x", datetime(2024, 2, 29, 10, 0, tzinfo=UTC)),
        ("Nov 23 08:00:00 h x", datetime(2026, 11, 23, 8, 0, tzinfo=UTC)),
        ("Nov 24 08:00:00 h x", datetime(2025, 11, 24, 8, 0, tzinfo=UTC)),
        ("Απρ 15 12:20:28 h x", datetime(2026, 4, 15, 12, 20, 28, tzinfo=UTC)),
        ("Mär  5 12:20:28 h x", datetime(2026, 3, 5, 12, 20, 28, tzinfo=UTC)),
        ("Okt  5 12:20:28 h x", datetime(2026, 10, 5, 12, 20, 28, tzinfo=UTC)),
        ("févr. 5 12:20:28 h x", datetime(2026, 2, 5, 12, 20, 28, tzinfo=UTC)),
        ("Ноя 21 12:20:28 h x", datetime(2026, 11, 21, 12, 20, 28, tzinfo=UTC)),
    ],
)
def test_a_stamp_is_read(line: str, expected: datetime) -> None:
    found = Stamps(REFERENCE).read(line.encode())
    assert found is not None
    assert datetime_of(found[0]) == expected
    assert line.encode()[found[1] :] == b" h x"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no stamp here",
        "Ωπα 15 12:20:28 h x",
        "2026-11-21",
        "Foo 21 22:10:08 h x",
        "2026-11-21T29:08:53.240556+00:00 h x",
        "2026-11-31T22:08:53Z h x",
        "2026-11-21T22:08:53+99:00 h x",
    ],
)
def test_what_is_no_stamp_is_none(line: str) -> None:
    assert Stamps(REFERENCE).read(line.encode()) is None


def test_the_bsd_form_is_in_the_zone_of_the_host() -> None:
    found = Stamps(REFERENCE, timezone(timedelta(hours=2))).read(b"Nov 21 22:10:08 h x")
    assert found is not None
    assert datetime_of(found[0]) == datetime(2026, 11, 21, 20, 10, 8, tzinfo=UTC)


def test_summer_time_is_the_zones() -> None:
    stamps = Stamps(REFERENCE, ZoneInfo("Europe/Berlin"))
    summer, winter = stamps.read(b"Jul  1 12:00:00 h"), stamps.read(b"Nov  1 12:00:00 h")
    assert summer is not None
    assert winter is not None
    assert datetime_of(summer[0]).hour == 10
    assert datetime_of(winter[0]).hour == 11


def test_the_hour_that_comes_twice_is_told_apart_by_the_order_of_lines() -> None:
    stamps = Stamps(REFERENCE, ZoneInfo("Europe/Berlin"))
    texts = ("02:59:58", "02:59:57", "02:00:01", "02:59:59", "02:30:00", "03:00:00")
    moments = [datetime_of(found[0]) for text in texts if (found := stamps.read(f"Oct 25 {text} h".encode()))]
    assert [(at.hour, at.minute) for at in moments] == [(0, 59), (0, 59), (1, 0), (0, 59), (1, 30), (2, 0)]
