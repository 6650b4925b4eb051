"""Reads a log: ``STAMP HOST TAG[PID]: TEXT``, line by line, and tells a listener what the lines say.

The part between stamp and text repeats for every line that one process writes, so what it means is remembered; so is
the second that neighbouring lines share. What remains for an ordinary line is a few look-ups and its reader: this loop
is what the speed of the ledger hangs on. A slice costs as much as three look-ups here, so it takes none that it can do
without. A line of any other form, or with a head that was not met before, is read with care.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, tzinfo

from smtpctl.maillog.listener import Listener, Origin
from smtpctl.maillog.others import OthersReader
from smtpctl.maillog.postfix import LONGEST_OF_THESE, NOT_QUEUE_IDS, TLS_ESTABLISHED, PostfixReader, Reader
from smtpctl.maillog.stamps import Stamps

#: So many bytes are taken apart at once: what processors keep near.
_BLOCK = 32 * 1024
#: Of an RFC 3339 stamp: up to its second, and the six digits after the point.
_unpack = struct.Struct("19sx6s").unpack_from
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
#: How texts of one program are read: by the first byte after a queue id, without any colon, and any other way.
_Readers = tuple[Sequence[Reader], _ReadText, _ReadText]
#: What a head means: microseconds that its zone is ahead of UTC, who writes, and the three ways to read it.
_Known = tuple[int, Origin, Sequence[Reader], _ReadText, _ReadText]


class LogReader:
    """Reads lines one after another. ``reference`` is a moment that no line is written after (``stamps``)."""

    def __init__(self, listener: Listener, reference: int, zone: tzinfo = UTC) -> None:
        self.stamps = Stamps(reference, zone)
        self.last = reference
        self._listener = listener
        self._skipping = not listener.wants_sessions
        self._postfix = PostfixReader(listener)
        self._postfix_readers = (self._postfix.readers, self._postfix.plain, self._postfix.rare)
        self._others = OthersReader(listener)
        self._heads: dict[bytes, _Known] = {}
        self._seconds: dict[bytes, int] = {}

    def read(self, data: bytes) -> int:
        """Read whole lines, each with its newline. Return their number."""
        return sum(map(self._read_block, _blocks(data)))

    def _read_block(self, lines: list[bytes]) -> int:
        heads, seconds, hung_up = self._heads, self._seconds, self._listener.hung_up
        at, skipping = self.last, self._skipping
        second_text, second = b"\n", 0
        for line in lines:
            parts = line.split(b": ", 2)
            head, count = parts[0], len(parts)
            # 26 bytes are an RFC 3339 stamp with microseconds, without its zone; 15 are a BSD stamp.
            known = heads.get(head[26:])
            try:
                if known is not None:
                    ahead, origin, readers, plain, rare = known
                    if count == 2 and skipping:
                        beginning = parts[1][:13]
                        if beginning == b"connect from " or (beginning == b"disconnect fr" and not hung_up(origin)):
                            continue
                    stamp, fraction = _unpack(head)
                    if stamp != second_text:
                        second = seconds[stamp]
                        second_text = stamp
                    # int() takes signs and spaces too, and refuses nothing at all
                    at = second + int(fraction if fraction.isdigit() else b"")
                    if ahead:
                        at -= ahead
                else:
                    _, origin, readers, plain, rare = heads[head[15:]]
                    at = seconds[head[:15]]
            except (KeyError, ValueError):
                self.last = at
                at = self._read_unfamiliar(line)
                second_text = b"\n"
                continue
            if count == 3:
                _, queue_id, rest = parts
                if not queue_id.isalnum():
                    if not skipping or queue_id[:13] not in TLS_ESTABLISHED:
                        rare(at, origin, queue_id + b": " + rest)
                elif (
                    not rest
                    or (len(queue_id) <= LONGEST_OF_THESE and queue_id in NOT_QUEUE_IDS)
                    or not readers[rest[0]](at, origin, queue_id, rest)
                ):
                    rare(at, origin, queue_id + b": " + rest)
            elif count == 2:
                plain(at, origin, parts[1])
            else:  # cut right after the head
                self.last = at
                at = self._read_unfamiliar(line)
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
        readers = self._postfix_readers if read == self._postfix.read else ([_read_nothing] * 256, read, read)
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


def _blocks(data: bytes) -> Iterator[list[bytes]]:
    """Stretches of lines, without their newlines."""
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + _BLOCK) + 1 or data.find(b"\n", start) + 1 or len(data)
        lines = data[start:end].split(b"\n")
        lines.pop()
        yield lines
        start = end


def _read_nothing(at: int, origin: Origin, queue_id: bytes, rest: bytes) -> bool:
    """For programs whose texts are read whole."""
    return False


_NOBODY = Origin(b"", b"", b"")
