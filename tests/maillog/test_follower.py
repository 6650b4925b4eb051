"""Following files over rotation of every kind: each byte once, in order, whatever happens between two looks."""

from __future__ import annotations

import gzip
import lzma
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpctl.maillog.files import rotated_files
from smtpctl.maillog.follower import Follower
from smtpctl.maillog.positions import Position


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "mail.log"


def lines(first: int, last: int) -> bytes:
    return b"".join(b"2026-11-21T22:00:00 line %06d of the log\n" % number for number in range(first, last))


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def read_all(follower: Follower, limit: int = 1 << 20) -> bytes:
    data = b""
    while (chunk := follower.read(limit)) is not None:
        data += chunk.data
    return data


def rotate(path: Path) -> None:
    """As logrotate renames: every old file one further, the log to .1."""
    for number in range(9, 0, -1):
        old = path.with_name(f"{path.name}.{number}")
        if old.exists():
            old.rename(path.with_name(f"{path.name}.{number + 1}"))
    path.rename(path.with_name(f"{path.name}.1"))


def reopened(follower: Follower) -> Follower:
    """A follower after a restart: from the position that the last one reached."""
    position = follower._position
    follower.close()
    place = Position.restore(position.generation, position.offset, position.marks) if position.offset else None
    return Follower(follower.path, place, since=0)


def test_what_is_appended_is_read_once(log: Path) -> None:
    append(log, lines(0, 10))
    follower = Follower(log)
    assert read_all(follower) == lines(0, 10)
    assert follower.read(1 << 20) is None
    append(log, lines(10, 12))
    assert read_all(follower) == lines(10, 12)


def test_a_line_without_its_newline_waits(log: Path) -> None:
    append(log, b"first\nsecond li")
    follower = Follower(log)
    assert read_all(follower) == b"first\n"
    append(log, b"ne\n")
    assert read_all(follower) == b"second line\n"


def test_chunks_end_at_newlines_and_keep_to_their_limit(log: Path) -> None:
    append(log, lines(0, 1000))
    follower = Follower(log)
    first = follower.read(1000)
    assert first is not None
    assert first.data.endswith(b"\n")
    assert len(first.data) <= 1000
    assert first.data + read_all(follower, 1000) == lines(0, 1000)


def test_a_line_longer_than_the_limit_stops_nothing(log: Path) -> None:
    append(log, b"x" * 5000 + b"\nnext\n")
    assert read_all(Follower(log), 1000).replace(b"\n", b"") == b"x" * 5000 + b"next"


def test_a_missing_log_is_waited_for(log: Path) -> None:
    follower = Follower(log)
    assert follower.read(100) is None
    append(log, lines(0, 1))
    assert read_all(follower) == lines(0, 1)


def test_a_first_start_leaves_older_history_alone(log: Path) -> None:
    append(log.with_name("mail.log.1"), lines(0, 5))
    os.utime(log.with_name("mail.log.1"), (1000, 1000))
    append(log, lines(5, 9))
    assert read_all(Follower(log, since=2000)) == lines(5, 9)


def test_a_log_that_was_rotated_before_its_first_line_was_read_is_not_missed(log: Path) -> None:
    log.touch()
    follower = Follower(log, since=2000)
    assert follower.read(100) is None
    append(log, lines(0, 5))
    rotate(log)
    append(log, lines(5, 9))
    assert read_all(Follower(log, since=2000)) == lines(0, 9)


def test_an_empty_log_is_waited_for(log: Path) -> None:
    log.touch()
    follower = Follower(log)
    assert follower.read(100) is None
    append(log, lines(0, 1))
    assert read_all(follower) == lines(0, 1)


def test_a_renamed_log_is_read_to_its_end_and_the_new_one_from_its_start(log: Path) -> None:
    append(log, lines(0, 5))
    follower = Follower(log)
    assert read_all(follower) == lines(0, 5)
    rotate(log)
    append(log.with_name("mail.log.1"), lines(5, 7))  # the writer has not moved yet
    assert read_all(follower) == lines(5, 7)
    log.touch()
    append(log.with_name("mail.log.1"), lines(7, 8))
    assert read_all(follower) == lines(7, 8)
    append(log, lines(8, 9))
    assert read_all(follower) == lines(8, 9)


def test_the_last_line_of_a_renamed_log_is_read_though_it_has_no_newline(log: Path) -> None:
    append(log, b"whole\ncut o")
    follower = Follower(log)
    assert read_all(follower) == b"whole\n"
    rotate(log)
    append(log, b"new\n")
    assert read_all(follower) == b"cut o\nnew\n"


def test_several_rotations_between_two_looks(log: Path) -> None:
    append(log, lines(0, 5))
    follower = Follower(log)
    assert read_all(follower) == lines(0, 5)
    for number in range(1, 4):
        append(log, lines(number * 5, number * 5 + 3))
        rotate(log)
        append(log, lines(number * 5 + 3, number * 5 + 5))
    assert read_all(follower) == lines(5, 20)


@pytest.mark.parametrize("compress", [None, gzip.compress, lzma.compress])
def test_rotations_while_nobody_followed(log: Path, compress: object) -> None:
    append(log, lines(0, 50))
    follower = Follower(log)
    assert follower.read(1000) is not None
    read = follower._position.offset
    for number in (1, 2):
        rotate(log)
        append(log, lines(number * 50, number * 50 + 50))
    if callable(compress):
        old = log.with_name("mail.log.2")
        suffix = ".gz" if compress is gzip.compress else ".xz"
        old.with_name(old.name + suffix).write_bytes(compress(old.read_bytes()))
        old.unlink()
    again = reopened(follower)
    assert read_all(again) == lines(0, 150)[read:]


def test_a_log_that_was_read_is_compressed_while_it_is_open(log: Path) -> None:
    append(log, lines(0, 50))
    follower = Follower(log)
    assert read_all(follower) == lines(0, 50)
    rotate(log)
    old = log.with_name("mail.log.1")
    old.with_name("mail.log.1.gz").write_bytes(gzip.compress(old.read_bytes()))
    old.unlink()
    append(log, lines(50, 60))
    assert read_all(follower) == lines(50, 60)
    assert read_all(reopened(follower)) == b""


def test_a_new_file_with_the_inode_of_the_old_one_is_new(log: Path) -> None:
    append(log, lines(0, 50))
    follower = Follower(log)
    read_all(follower)
    position = follower._position
    follower.close()
    inode = log.stat().st_ino
    log.unlink()
    append(log, lines(100, 200))
    again = Follower(log, position)
    assert read_all(again) == lines(100, 200)
    assert again._position.generation == position.generation + 1
    assert isinstance(inode, int)


def test_a_log_that_is_copied_and_truncated_goes_on_in_the_copy(log: Path) -> None:
    append(log, lines(0, 50))
    follower = Follower(log)
    assert follower.read(1000) is not None
    read = follower._position.offset
    log.with_name("mail.log.1").write_bytes(log.read_bytes())
    os.truncate(log, 0)
    append(log, lines(50, 60))
    assert read_all(follower) == lines(0, 60)[read:]


def test_a_truncated_log_that_grew_past_the_position_is_noticed(log: Path) -> None:
    append(log, lines(0, 5))
    follower = Follower(log)
    read_all(follower)
    os.truncate(log, 0)
    append(log, lines(100, 150))
    chunk = follower.read(1 << 20)
    assert chunk is not None
    assert chunk.data == lines(100, 150)
    assert "is gone" in chunk.gap


@pytest.mark.parametrize("kept", [1000, 700, 60, 1])
@pytest.mark.parametrize("appended", [0, 10, 2000])
def test_a_log_that_lost_its_end_goes_on_near_where_it_lost_it_and_never_at_its_start(
    log: Path, kept: int, appended: int
) -> None:
    follower = Follower(log)
    for first in range(0, 1000, 10):
        append(log, lines(first, first + 10))
        read_all(follower)
        follower = reopened(follower)
    os.truncate(log, len(lines(0, kept)) + 7)
    append(log, b"\n" + lines(5000, 5000 + appended))
    again = follower
    if kept == 1000 and not appended:
        assert again.read(1 << 20) is not None  # nothing was lost: the seven bytes and the newline are new
        return
    chunks = list(iter(lambda: again.read(1 << 12), None))
    data = b"".join(chunk.data for chunk in chunks)
    assert data.endswith(lines(5000, 5000 + appended))
    read_again = len(data) - len(lines(5000, 5000 + appended)) - 8
    assert 0 <= read_again <= len(lines(1, kept))
    if kept < 1000:
        assert "lost what stood there" in chunks[0].gap
        assert chunks[0].again
        assert not chunks[-1].again or len(lines(0, kept)) + 8 + len(lines(5000, 5000 + appended)) <= len(
            lines(0, 1000)
        )


def test_steps_stay_few_however_long_a_log_grows(log: Path) -> None:
    follower = Follower(log)
    for _ in range(300):
        append(log, b"x" * 60_000 + b"\n")
        read_all(follower)
    assert len(follower._position.steps) < 30
    assert follower._position.steps[0].offset == 60_001


def test_history_is_ordered_by_number_and_by_date(log: Path) -> None:
    for name in ("mail.log.1", "mail.log.10.gz", "mail.log.2.gz", "mail.log.2", "mail.log.old", "mail.logx.1"):
        (log.parent / name).touch()
    assert [path.name for path in rotated_files(log)] == ["mail.log.10.gz", "mail.log.2", "mail.log.1"]
    other = log.with_name("dated.log")
    for name in ("dated.log-20261120", "dated.log.20261121.gz", "dated.log.20261119"):
        (log.parent / name).touch()
    assert [path.name for path in rotated_files(other)] == [
        "dated.log.20261119",
        "dated.log-20261120",
        "dated.log.20261121.gz",
    ]


def storm(log: Path, seed: int) -> Iterator[tuple[str, bytes]]:
    """A life of a log: what happens, and the bytes that it adds."""
    chance = random.Random(seed)
    written = 0
    for _ in range(60):
        what = chance.choices(["write", "half", "rotate", "restart", "compress"], [10, 3, 2, 3, 1])[0]
        added = lines(written, written + chance.randint(1, 40)) if what in ("write", "half") else b""
        written += added.count(b"\n")
        yield what, added


@pytest.mark.parametrize("seed", range(20))
def test_a_log_in_a_storm_is_read_once_and_in_order(log: Path, seed: int) -> None:
    log.touch()
    writer = log.open("ab", buffering=0)
    follower = Follower(log, since=0)
    written = read = b""
    for what, added in storm(log, seed):
        if what == "half":
            writer.write(added[: len(added) // 2])
            read += read_all(follower, 500)
            writer.write(added[len(added) // 2 :])
        else:
            writer.write(added)
        written += added
        if what == "rotate" and log.stat().st_size:
            rotate(log)
            log.touch()
            if seed % 2:
                read += read_all(follower, 500)
            writer.close()
            writer = log.open("ab", buffering=0)
        if what == "compress":
            for old in log.parent.glob("mail.log.[2-9]"):
                old.with_name(old.name + ".gz").write_bytes(gzip.compress(old.read_bytes()))
                old.unlink()
        if what == "restart":
            follower = reopened(follower)
        if seed % 3:
            read += read_all(follower, 700)
    writer.close()
    read += read_all(follower, 700)
    assert read == written
