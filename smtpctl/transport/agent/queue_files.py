"""The files of a Postfix queue, by their names alone: how many, since when, and due now. Edge: no file is opened.

A long queue id (postconf(5), enable_long_queue_ids) is the second in which the message came, six digits in base 52; the
microseconds, four; a 'z'; and the inode. A short one is the microseconds, five digits in base 16, and the inode. Queues
with many files are hashed into folders by the first digits of the microseconds in base 16 (hash_queue_depth).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

QUEUES = ("incoming", "active", "deferred", "hold")

#: Digits of a long queue id: no vowels, so that no id is a word.
DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
SECONDS, MICROSECONDS = slice(0, 6), slice(6, 10)

#: How deep a queue may be hashed, Postfix's default first.
DEPTHS = (1, 0, 2, 3, 4, 5)


def arrival(queue_id: str) -> float | None:
    """When a message came, from its long queue id; None for a short one."""
    seconds = _number(queue_id[SECONDS]) if _is_long(queue_id) else None
    return None if seconds is None else float(seconds)


def sizes(instance: str, queues: Sequence[str] = QUEUES) -> dict[str, dict[str, Any]]:
    """By queue, how many messages there are and when the oldest came. One that moves meanwhile may be missed."""
    return {queue: _size(Path(f"/var/spool/postfix-{instance}/{queue}")) for queue in queues}


def names(folder: Path) -> Iterator[str]:
    """Names of the files of a queue, hashed into folders or not."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:  # an instance that has never run
        return
    with entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from names(Path(entry.path))
            else:
                yield entry.name


def make_due(spool: str, ids: Sequence[str]) -> int:
    """Have deferred messages come up at the next scan: the time of a file is when it is due (qmgr(8)). How many of
    ``ids`` are so now, or are on their way already."""
    depths = {queue: list(DEPTHS) for queue in ("deferred", "incoming", "active")}
    # One that leaves the deferred queue while it is looked for is in one of the next two.
    return sum(any(_touch(f"{spool}/{queue}", depths[queue], queue_id) for queue in depths) for queue_id in ids)


def _touch(folder: str, depths: list[int], queue_id: str) -> bool:
    """Set a file's time to now, as flush(8) does; whether there is one. The depth that is right comes first then."""
    for depth in depths:
        try:
            os.utime("/".join((folder, *hash_of(queue_id)[:depth], queue_id)))
        except (FileNotFoundError, NotADirectoryError):
            continue
        if depth != depths[0]:
            depths.remove(depth)
            depths.insert(0, depth)
        return True
    return False


def hash_of(queue_id: str) -> str:
    """The digits by which a queue is hashed into folders."""
    if not _is_long(queue_id):
        return queue_id[:5]
    return f"{_number(queue_id[MICROSECONDS]) or 0:05X}"


def _is_long(queue_id: str) -> bool:
    return len(queue_id) > MICROSECONDS.stop and "z" in queue_id[MICROSECONDS.stop :]


def _number(digits: str) -> int | None:
    number = 0
    for digit in digits:
        value = DIGITS.find(digit)
        if value < 0:
            return None
        number = number * len(DIGITS) + value
    return number


def _size(folder: Path) -> dict[str, Any]:
    count, oldest = 0, None
    for name in names(folder):
        count += 1
        came = arrival(name)
        if came is not None and (oldest is None or came < oldest):
            oldest = came
    return {"messages": count, "oldest": oldest}
