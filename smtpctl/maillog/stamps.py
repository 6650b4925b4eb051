"""Time stamps of log lines, as moments (microseconds since 2000-01-01 UTC).

RFC 3339 (rsyslog's today) is absolute. The BSD form (``Nov 21 22:10:08``; postlogd, older rsyslog) has neither year
nor zone: the year is the latest one that does not lie after ``reference``, the time when the line was written at the
latest; the zone is the host's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from smtpctl.maillog.months import month_of
from smtpctl.model.deliveries import DAY, SECOND, moment_of

_RFC3339 = re.compile(
    rb"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?(?= |$)",
)
_BSD = re.compile(
    rb"(?:(\d{4}) )?([A-Za-z\x80-\xff]{3,12}\.?) {1,2}(\d{1,2})(?: (\d{4}))?"
    rb" (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?= |$)"
)
#: ``<13>`` before the stamp is syslog's priority; ``<13>1 `` says that the rest is RFC 5424.
_PRIORITY = re.compile(rb"<\d{1,3}>(?:1 )?")
#: Clocks of loggers and readers differ a little; a stamp this far ahead is still of this year.
_AHEAD = DAY
#: Lines of several processes reach a log almost in order. What is further back in time is in the hour's second turn.
_OUT_OF_ORDER = 60 * SECOND


class Stamps:
    """Reads stamps; remembers the last second, because neighbouring lines share it."""

    def __init__(self, reference: int, zone: tzinfo = UTC) -> None:
        self.reference = reference
        self._zone = zone
        self._seconds: dict[bytes, int] = {}
        self._last = 0
        #: Whether the stamp read last is of an hour that the zone's clocks show twice; its text names two moments.
        self.is_ambiguous = False

    def read(self, line: bytes) -> tuple[int, int] | None:
        """(moment, index of the first byte after the stamp), or None when the line begins with no stamp."""
        priority = _PRIORITY.match(line)
        start = priority.end() if priority else 0
        self.is_ambiguous = False
        match = _RFC3339.match(line, start)
        if match:
            try:
                second = self.second(match[1], match[3])
            except ValueError:  # digits where they belong, but no time: 29 o'clock
                return None
            return second + _microseconds(match[2] or b""), match.end()
        match = _BSD.match(line, start)
        month = month_of(match[2]) if match else None
        if match and month:
            return self._bsd_second(match, month) + _microseconds(match[8] or b""), match.end()
        return None

    def second(self, text: bytes, offset: bytes | None) -> int:
        """The moment of a whole second such as ``2026-11-21T22:08:46`` at an offset such as ``+01:00``."""
        key = text + (offset or b"")
        moment = self._seconds.get(key)
        if moment is None:
            naive = datetime.fromisoformat(text.decode())
            moment = self._keep(key, naive.replace(tzinfo=_zone_of(offset) if offset else self._zone))
        return moment

    def _bsd_second(self, match: re.Match[bytes], month: int) -> int:
        key = match[0]
        moment = self._seconds.get(key)
        if moment is None:
            time = (int(match[3]), int(match[5]), int(match[6]), min(int(match[7]), 59))
            year = match[1] or match[4]
            years = [int(year)] if year else self._possible_years()
            stamp = self._latest(years, month, time)
            moment = moment_of(stamp)
            later = moment_of(stamp.replace(fold=1))
            if moment == later:
                return self._keep(key, stamp)
            self.is_ambiguous = True
            if self._last - moment > _OUT_OF_ORDER:  # the hour begins again: clocks were set back
                moment = later
        self._last = moment
        return moment

    def _possible_years(self) -> list[int]:
        latest = (datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.reference + _AHEAD)).year
        return list(range(latest, latest - 8, -1))

    def _latest(self, years: list[int], month: int, time: tuple[int, int, int, int]) -> datetime:
        day, hour, minute, second = time
        for year in years:
            try:
                stamp = datetime(year, month, day, hour, minute, second, tzinfo=self._zone)
            except ValueError:  # 29 February of a year that has none
                continue
            if len(years) == 1 or moment_of(stamp) <= self.reference + _AHEAD:
                return stamp
        return datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.reference)

    def _keep(self, key: bytes, stamp: datetime) -> int:
        if len(self._seconds) > 4096:
            self._seconds.clear()
        moment = self._last = self._seconds[key] = moment_of(stamp)
        return moment


def _zone_of(offset: bytes) -> tzinfo:
    if offset == b"Z":
        return UTC
    sign = -1 if offset[:1] == b"-" else 1
    return timezone(sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:])))


def _microseconds(fraction: bytes) -> int:
    return int(fraction[:6].ljust(6, b"0")) if fraction else 0
