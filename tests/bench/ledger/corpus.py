"""A log of any length from a real one: each repetition comes later in time and has queue ids of its own. Edge: files.

The real log is of two instances, one with long queue ids (which hold the time) and one with short ones.
"""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[3]
NAME = "postfix-3.7.11_two-instances_rsyslog-rfc3339_207690.log.gz"
#: Seconds from one repetition to the next; the real log spans less.
_SPAN = 400
_DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_WORD = re.compile(rb"[0-9A-Za-z]{9,17}")
_LONG = re.compile(rb"4[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{9}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{3,6}")
_SHORT_SEEN = re.compile(rb"/\w+\[\d+\]: ([0-9A-F]{9,13}): ")


def source() -> Path | None:
    """The real log; None when the corpora are not beside the checkout."""
    folder = Path(os.environ.get("SMTPCTL_CORPORA") or ROOT.parent / "shared" / "corpora")
    path = folder / "logs" / NAME
    return path if path.is_file() else None


def write(path: Path, lines: int) -> int:
    """Write about so many lines: the real log over and over. Return how many they are."""
    real = source()
    if real is None:
        raise FileNotFoundError(NAME)
    log = gzip.decompress(real.read_bytes()).splitlines(keepends=True)
    short = {match[1] for line in log if (match := _SHORT_SEEN.search(line))}
    count = 0
    with path.open("wb", buffering=1 << 22) as file:
        for repetition in range(-(-lines // len(log))):
            part = log[: lines - count]
            file.writelines(_shifted(part, repetition, short))
            count += len(part)
        file.flush()
        os.fsync(file.fileno())  # who catches up reads what was written long ago
    return count


def _shifted(log: list[bytes], repetition: int, short: set[bytes]) -> Iterator[bytes]:
    seconds = repetition * _SPAN
    stamps: dict[bytes, bytes] = {}
    words: dict[bytes, bytes] = {}

    def renamed(match: re.Match[bytes]) -> bytes:
        word = match[0]
        known = words.get(word)
        if known is None:
            known = words[word] = _renamed(word, repetition, seconds, short)
        return known

    for line in log:
        stamp = line[:19]
        later = stamps.get(stamp)
        if later is None:
            moment = datetime.fromisoformat(stamp.decode()) + timedelta(seconds=seconds)
            later = stamps[stamp] = moment.isoformat().encode()
        yield later + _WORD.sub(renamed, line[19:]) if repetition else line


def _renamed(word: bytes, repetition: int, seconds: int, short: set[bytes]) -> bytes:
    if word in short:
        return word[:5] + b"%X" % (int(word[5:], 16) + repetition * 0x10000)
    if not _LONG.fullmatch(word):
        return word
    value = 0
    for digit in word[:6].decode():
        value = value * 52 + _VALUES[digit]
    value += seconds
    digits = ""
    for _ in range(6):
        digits = _DIGITS[value % 52] + digits
        value //= 52
    return digits.encode() + word[6:]
