"""From a line to its moment, its origin and what it says: ``STAMP HOST TAG[PID]: TEXT``.

The part between the stamp and the text repeats for every line that one process writes, so what it means is remembered.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, tzinfo

from smtpctl.maillog import others, postfix
from smtpctl.maillog.events import Foreign, Happening, Origin, Unknown
from smtpctl.maillog.stamps import Stamps

_HEAD = re.compile(rb" ?(?P<host>\S+) (?P<tag>[^\s\[\]]+?)(?:\[(?P<pid>\d+)\])?: ?")
#: RFC 5424: ``host app procid msgid structured-data text``.
_HEAD_5424 = re.compile(rb" (?P<host>\S+) (?P<tag>\S+) (?P<pid>\d+|-) \S+ (?:-|\[.*?\]) (?:\xef\xbb\xbf)?")
_REPEATED = re.compile(rb"message repeated (\d+) times: \[ ?(.*)\]", re.S)
#: Postfix daemons by name; any of them marks its line as Postfix's, whatever the syslog_name before it.
_DAEMONS = frozenset(
    b"anvil bounce cleanup defer discard dnsblog error flush lmtp local master nqmgr oqmgr pickup pipe postalias "
    b"postcat postconf postdrop postfix postfix-script postfix-tls-script postkick postlock postlog postlogd postmap "
    b"postmulti postqueue postscreen postsuper proxymap proxywrite qmgr qmqpd retry scache script sendmail showq smtp "
    b"smtpd spawn tlsmgr tlsproxy trace trivial-rewrite verify virtual".split()
)
_Understand = Callable[[bytes], Happening]
_Known = tuple[int, int, Origin, _Understand]


class LineReader:
    """Reads lines one after another. Holds no more than the heads of recent processes."""

    def __init__(self, reference: int, zone: tzinfo = UTC) -> None:
        self.stamps = Stamps(reference, zone)
        self._heads: dict[bytes, _Known] = {}
        self._seconds: dict[bytes, int] = {}
        self._last = reference

    def read(self, line: bytes) -> tuple[int, Origin, Happening]:
        """(moment, origin, what it says). A line without a readable stamp has the moment of the one before."""
        end = line.find(b"]: ", 32)
        known = self._heads.get(line[26:end])
        if known is not None and line[19:20] == b".":
            second = self._seconds.get(line[:19])
            if second is None:
                second = self._remember_second(line[:19])
            try:
                moment = self._last = second + int(line[20:26]) - known[0]
            except ValueError:
                return self._read_slowly(line)
            return moment, known[2], known[3](line[end + 3 :])
        return self._read_slowly(line)

    def _remember_second(self, text: bytes) -> int:
        if len(self._seconds) > 4096:
            self._seconds.clear()
        second = self._seconds[text] = self.stamps.second(text, b"Z")
        return second

    def _read_slowly(self, line: bytes) -> tuple[int, Origin, Happening]:
        stamp = self.stamps.read(line)
        if stamp is None:
            return self._last, _NOBODY, Unknown(None, line)
        self._last, after = stamp
        head = _HEAD.match(line, after) or _HEAD_5424.match(line, after)
        if head is None:
            return self._last, _NOBODY, Unknown(None, line[after:])
        origin = _origin(head["host"], head["tag"], head["pid"] or b"")
        understand = _understander(origin)
        self._remember(line, after, head.end(), origin, understand)
        return self._last, origin, understand(line[head.end() :])

    def _remember(self, line: bytes, after: int, text: int, origin: Origin, understand: _Understand) -> None:
        """Remember the head when the stamp has the usual 32 bytes: microseconds and an offset in hours and minutes."""
        if after != 32 or line[19:20] != b"." or line[26:27] not in (b"+", b"-") or line[text - 3 : text] != b"]: ":
            return
        if len(self._heads) > 20_000:
            self._heads.clear()
        sign = -1 if line[26:27] == b"-" else 1
        offset = sign * (int(line[27:29]) * 3600 + int(line[30:32]) * 60) * 1_000_000
        self._heads[line[26 : text - 3]] = (offset, text, origin, understand)


_NOBODY = Origin(b"", b"", b"", b"", b"")


def _origin(host: bytes, tag: bytes, pid: bytes) -> Origin:
    parts = tag.split(b"/")
    daemon = parts[-1]
    service = b"/".join(parts[1:-1]) or daemon
    return Origin(host, parts[0], service, daemon, pid)


def _understander(origin: Origin) -> _Understand:
    """The function that reads the text of lines from ``origin``."""
    if origin.instance == origin.daemon:
        reader = others.reader_of(origin.daemon)
        if reader is not None:
            return reader
    if origin.daemon in _DAEMONS or origin.instance.startswith(b"postfix"):
        return _postfix
    return Foreign


def _postfix(text: bytes) -> Happening:
    return postfix.understand(text)


def repetitions(happening: Happening, origin: Origin) -> tuple[int, Happening]:
    """rsyslog's ``message repeated N times: [ … ]`` as N and what the inner text says; anything else once."""
    if isinstance(happening, Unknown):
        match = _REPEATED.fullmatch(happening.text)
        if match:
            return int(match[1]), _understander(origin)(match[2])
    return 1, happening
