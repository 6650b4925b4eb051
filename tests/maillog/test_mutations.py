"""Lines that were damaged at random: reading never raises, no line goes uncounted, and every row can be stored.

The seed is fixed, so a failure comes again; its line is what the assertion shows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from smtpctl.intake.shipper.run import clean
from smtpctl.intake.shipper.verdicts import classify
from smtpctl.ledger.copying import RowEncoder
from smtpctl.maillog.labels import Labels
from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.recorder import Recorder
from smtpctl.maillog.tracker import Tracker
from tests.maillog.conftest import REFERENCE

#: Lines of the programs beside Postfix, our own among them.
OTHERS = [
    b"2026-11-21T22:08:53.240556+00:00 edge1 " + text
    for text in (
        b'smtpctl-policy[9]: decision rule=credential state=DATA credential=shop recipients=3 queue_id="" action=no',
        b"smtpctl-policy[9]: would-decide rule=sender credential=shop sender=<a@b.test> queue_id=4jX5vT1sY3zJk9D",
        b"smtpctl-policy[9]: warning: incident kind=sender severity=warning credential=shop sender=a@b.test",
        b"smtpctl-guard[9]: incident kind=login severity=critical address=192.0.2.1",
        b"smtpctl-from-guard[9]: decision rule=from queue_id=4jX5vT1sY3zJk9D sender=a@b.test action=reject",
        b"opendkim-rsa[77]: 4jX5vT1sY3zJk9D: DKIM-Signature field added (s=s2026, d=shop.test)",
        b"dovecot: lmtp(ada@shop.test)<1><x>: msgid=<1@x>: saved mail to INBOX",
        b"haproxy[5]: 192.0.2.1:4711 [21/Nov/2026:22:08:53.240] submission edge/<NOSRV> 0/-1/-1/0 0 SC 1/1/0/0/0",
        b"rsyslogd: imuxsock[pid 9]: 12 messages lost due to rate-limiting (500 allowed within 5 seconds)",
    )
]
#: What lines are made of, where it hurts.
PIECES = [
    b": ", b"]: ", b", ", b"<", b">", b"<>", b"=", b"(", b")", b'"', b"\\", b"[", b"]", b"\0", b"\xff", b"\xc3\xa4",
    b" ", b"\t", b"\r", b"to=<", b", relay=", b", status=", b", dsn=", b"from=<", b", orig_to=<", b"NOQUEUE: ",
    b"warning: ", b"removed", b"client=", b"message-id=<", b"queued as ", b"9" * 30, b"-1",
    b"message repeated 2 times: [",
    b"4jX5vT1sY3zJk9D: ",
]  # fmt: skip


def damaged(lines: list[bytes], chance: random.Random) -> bytes:
    """One line, changed in one to four ways."""
    line = chance.choice(lines)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(line) + 1)
        end = min(len(line), start + chance.randint(0, 12))
        line = chance.choice(
            (
                line[:start],
                line[start:],
                line[:start] + line[end:],
                line[:end] + line[start:],
                line[:start] + chance.choice(PIECES) + line[end:],
                line[:start] + chance.choice(lines)[start:],
            )
        )
    return line.replace(b"\n", b" ")


class Numbers(dict[bytes, int]):
    """A number for every address."""

    def __missing__(self, address: bytes) -> int:
        return len(address)


def stored(tracker: Tracker, moment: int) -> Iterator[bytes]:
    """Everything that came up, as the ledger would get it."""
    encoder = RowEncoder(1, b"mx1", 1 << 40, Numbers())
    rows = tracker.take(moment)
    yield from map(encoder.message, rows.messages)
    yield from map(encoder.delivery, rows.deliveries)
    yield from map(encoder.event, rows.events)
    for line in rows.unknown:
        yield line.shape + line.sample


@pytest.mark.parametrize("name", ["edge_postfix-3.10.13_postlogd.log.gz", "edge_postfix-3.7.11_rsyslog-rfc3339.log.gz"])
def test_no_damaged_line_stops_the_reader_or_goes_uncounted(corpus: Callable[[str], bytes], name: str) -> None:
    chance = random.Random(name)
    lines = corpus(name).splitlines() + OTHERS * 20
    tracker, recorder = Tracker(Labels(), classify), Recorder()
    reader, telling = LogReader(tracker, REFERENCE), LogReader(recorder, REFERENCE)
    for _ in range(200):
        batch = [damaged(lines, chance) for _ in range(20)]
        data = clean(b"".join(line + b"\n" for line in batch))
        assert reader.read(data) == data.count(b"\n") == len(batch)
        for line in data.splitlines(keepends=True) if b"\r" not in data else ():
            before = len(recorder.said)
            telling.read(line)
            assert len(recorder.said) > before or b"message repeated" in line, line
        assert all(0 < len(row) < 1 << 20 for row in stored(tracker, reader.last)), batch
