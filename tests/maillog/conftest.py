"""Reading lines in tests: what they say, and what a tracker makes of them."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smtpctl.maillog.labels import Labels
from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.recorder import Recorder, Said
from smtpctl.maillog.tracker import Tracker
from smtpctl.model.deliveries import Hardness, Rows, Verdict, moment_of

#: A moment after every line of the tests and the corpora.
REFERENCE = moment_of(datetime(2026, 12, 31, tzinfo=UTC))

#: Programs whose tags stand as they are; any other word is a daemon of Postfix.
_BESIDE = ("opendkim", "smtpctl", "dovecot", "haproxy", "rsyslogd", "systemd-journald")


def classify(dsn: bytes, reply: bytes, provider: bytes | None) -> Verdict:
    """A judgement that is easy to foresee: by the class of the code."""
    return Verdict(Hardness.HARD if dsn.startswith(b"5") else Hardness.SOFT, "test")


@pytest.fixture
def say() -> Callable[[str], Said]:
    """What one text of a Postfix daemon says, after ``daemon[pid]: ``."""

    def read(text: str) -> Said:
        recorder = Recorder()
        LogReader(recorder, REFERENCE).read(
            f"2026-11-21T22:08:53.240556+00:00 mx1 postfix/smtp[524]: {text}\n".encode()
        )
        (said,) = recorder.said
        return said

    return read


@pytest.fixture
def read_lines() -> Callable[[str], list[Said]]:
    """What whole lines say."""

    def read(lines: str) -> list[Said]:
        recorder = Recorder()
        LogReader(recorder, REFERENCE).read(lines.encode())
        return recorder.said

    return read


@pytest.fixture
def track() -> Callable[..., Rows]:
    """The rows of some lines. Each line is ``DAEMON TEXT`` or ``SECONDS DAEMON TEXT``; without seconds a line comes a
    millisecond after the one before. The daemon may be a whole tag."""

    def follow(lines: str, labels: Labels | None = None) -> Rows:
        tracker = Tracker(labels or Labels(), classify)
        reader = LogReader(tracker, REFERENCE)
        reader.read(log_of(lines).encode())
        return tracker.take(reader.last)

    return follow


def log_of(lines: str) -> str:
    """Lines of a test as rsyslog writes them."""
    moment = 0.0
    log = []
    for line in filter(None, map(str.strip, lines.splitlines())):
        first, _, rest = line.partition(" ")
        if first.replace(".", "").isdigit():
            moment, line = float(first), rest
        tag, _, text = line.partition(" ")
        tag = tag if "/" in tag or tag.startswith(_BESIDE) else f"postfix/{tag}"
        tag = tag if "[" in tag else f"{tag}[10]"
        minutes, seconds = divmod(moment, 60)
        hours, minutes = divmod(int(minutes), 60)
        days, hours = divmod(hours, 24)
        log.append(f"2026-11-{1 + days:02}T{hours:02}:{minutes:02}:{seconds:09.6f}+00:00 mx1 {tag}: {text}\n")
        moment += 0.001
    return "".join(log)


@pytest.fixture(scope="session")
def corpus() -> Callable[[str], bytes]:
    """A file of real logs, uncompressed. Skips where the corpora are not."""
    default = Path(__file__).parent.parent.parent.parent / "shared" / "corpora"
    folder = Path(os.environ.get("SMTPCTL_CORPORA", default)) / "logs"

    def read(name: str) -> bytes:
        path = folder / name
        if not path.is_file():
            pytest.skip(f"{path} is not here: set SMTPCTL_CORPORA to the folder of the corpora")
        return gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()

    return read
