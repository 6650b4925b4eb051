"""Reads a log: ``STAMP HOST TAG[PID]: TEXT``, line by line, and tells a listener what the lines say.

The part between stamp and text repeats for every line that one process writes, so what it means is remembered; so is
the second that neighbouring lines share. What remains for an ordinary line is a few slices and look-ups: this loop is
what the speed of the ledger hangs on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo

from smtpctl.maillog.listener import Listener, Origin
from smtpctl.maillog.others import OthersReader
from smtpctl.maillog.postfix import NOT_QUEUE_IDS, PostfixReader, Reader
from smtpctl.maillog.stamps import Stamps

_HEAD = re.compile(rb" ?(?P<host>\S+) (?P<tag>[^\s\[\]]+?)(?:\[(?P<pid>\d+)\])?: ?")
#: RFC 5424: ``host app procid msgid structured-data text``.
_HEAD_5424 = re.compile(rb" (?P<host>\S+) (?P<tag>\S+) (?P<pid>\d+|-) \S+ (?:-|\[.*?\]) (?:\xef\xbb\xbf)?")
#: Postfix daemons by name; any of them marks its line as Postfix's, whatever the syslog_name before it.
_DAEMONS = frozenset(
    b"anvil bounce cleanup defer discard dnsblog error flush lmtp local master nqmgr oqmgr pickup pipe postalias "
    b"postcat postconf postdrop postfix postfix-script postfix-tls-script postkick postlock postlog postlogd postmap "
    b"postmulti postqueue postscreen postsuper proxymap proxywrite qmgr qmqpd retry scache script sendmail showq smtp "
    b"smtpd spawn tlsmgr tlsproxy trace trivial-rewrite verify virtual".split()
)
#: Processes whose heads are remembered.
_MOST_HEADS = 20_000
_MOST_SECONDS = 4_096

_ReadText = Callable[[int, Origin, bytes], None]
#: How texts of one program are read: by the first bytes after the queue id, without any colon, and all others.
_Readers = tuple[Mapping[bytes, Reader], _ReadText, _ReadText]
#: What a head means: microseconds that its zone is ahead of UTC, who writes, and the three ways to read it.
_Known = tuple[int, Origin, Mapping[bytes, Reader], _ReadText, _ReadText]


class LogReader:
    """Reads lines one after another. ``reference`` is a moment that no line is written after (``stamps``)."""

    def __init__(self, listener: Listener, reference: int, zone: tzinfo = UTC) -> None:
        self.stamps = Stamps(reference, zone)
        self.last = reference
        self._listener = listener
        self._skipping = not listener.wants_connects
        self._postfix = PostfixReader(listener)
        self._postfix_readers = (self._postfix.readers, self._postfix.plain, self._postfix.rare)
        self._others = OthersReader(listener)
        self._heads: dict[bytes, _Known] = {}
        self._seconds: dict[bytes, int] = {}

    def read(self, data: bytes) -> int:
        """Read whole lines, each with its newline. Return their number."""
        lines = data.split(b"\n")
        lines.pop()
        heads, seconds, skipping = self._heads, self._seconds, self._skipping
        at = self.last
        second_text, second = b"\n", 0
        for line in lines:
            parts = line.split(b": ", 2)
            head = parts[0]
            # 26 bytes are an RFC 3339 stamp with microseconds, without its zone; 15 are a BSD stamp.
            known = heads.get(head[26:])
            try:
                if known is not None:
                    if skipping and len(parts) == 2 and parts[1].startswith(b"connect from "):
                        continue
                    if not head.startswith(second_text):
                        second_text = head[:19]
                        second = seconds[second_text]
                    at = second + int(head[20:26]) - known[0]
                else:
                    known = heads[head[15:]]
                    at = seconds[head[:15]]
            except (KeyError, ValueError):
                at = self._read_unfamiliar(line)
                second_text = b"\n"
                continue
            _, origin, readers, plain, rare = known
            if len(parts) == 3:
                _, queue_id, rest = parts
                reader = readers.get(rest[:3])
                if (
                    reader is None
                    or queue_id in NOT_QUEUE_IDS
                    or not queue_id.isalnum()
                    or not reader(at, origin, queue_id, rest)
                ):
                    rare(at, origin, queue_id + b": " + rest)
            else:
                plain(at, origin, parts[1])
        self.last = at
        return len(lines)

    def _read_unfamiliar(self, line: bytes) -> int:
        """A line whose head or second was not met before, or that has an unusual form. Return its moment; a line
        without a readable stamp has that of the one before."""
        stamp = self.stamps.read(line)
        if stamp is None:
            self._listener.not_understood(self.last, _NOBODY, None, line)
            return self.last
        at, after = stamp
        self.last = at
        match = _HEAD.match(line, after) or _HEAD_5424.match(line, after)
        if match is None:
            self._listener.not_understood(at, _NOBODY, None, line[after:])
            return at
        origin = Origin(match["host"], match["tag"], match["pid"] or b"")
        is_postfix = origin.daemon in _DAEMONS or origin.instance.startswith(b"postfix")
        other = self._others.reader_of(origin.daemon) if origin.instance == origin.daemon else None
        read = other or (self._postfix.read if is_postfix else self._listener.foreign)
        readers = self._postfix_readers if read == self._postfix.read else ({}, read, read)
        self._remember(line, at, after, match.end(), origin, readers)
        read(at, origin, line[match.end() :])
        return at

    def _remember(self, line: bytes, at: int, after: int, text: int, origin: Origin, readers: _Readers) -> None:
        """Remember head and second where the stamp has one of the two usual forms."""
        if line[text - 2 : text] != b": " or b": " in line[: text - 2]:
            return
        if len(self._heads) > _MOST_HEADS:
            self._heads.clear()
        if len(self._seconds) > _MOST_SECONDS:
            self._seconds.clear()
        if after == 32 and line[19:20] == b"." and line[26:27] in (b"+", b"-"):
            sign = -1 if line[26:27] == b"-" else 1
            offset = sign * (int(line[27:29]) * 3600 + int(line[30:32]) * 60) * 1_000_000
            self._heads[line[26 : text - 2]] = (offset, origin, *readers)
            self._seconds[line[:19]] = self.stamps.second(line[:19], b"Z")
        elif after == 15 and not self.stamps.is_ambiguous:
            self._heads[line[15 : text - 2]] = (0, origin, *readers)
            self._seconds[line[:15]] = at


_NOBODY = Origin(b"", b"", b"")
