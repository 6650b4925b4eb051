"""What was learnt about domains, kept in a file over restarts. Edge.

A line a domain: its name, its exchange (``-``: none), until when that is believed (Unix time). It is a cache: a line
that cannot be read is left out, and losing the file costs some questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from policy_service.learnt import Learnt
from policy_service.log import WARNING, log

HEAD = "smtpctl-learnt 1\n"

#: Lines written at once: a fraction of a millisecond, in which nobody is answered.
AT_ONCE = 200


def load(path: Path) -> Iterator[tuple[str, str, float]]:
    """The entries of the file; none where there is no file, or another kind of one."""
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            if file.readline() != HEAD:
                return
            for line in file:
                words = line.split()
                with suppress(ValueError):
                    domain, exchange, until = words
                    yield domain, "" if exchange == "-" else exchange, float(until)
    except FileNotFoundError:
        return
    except OSError as error:
        log(WARNING, "learnt-unread", file=path, text=error)


def lines(learnt: Learnt) -> Iterator[str]:
    """The file's lines."""
    yield HEAD
    for domain, exchange, until in learnt.entries():
        if domain.isascii() and " " not in domain:
            yield f"{domain} {exchange or '-'} {until:.0f}\n"


def save(path: Path, learnt: Learnt) -> None:
    """Write the file as a whole."""
    new = path.with_suffix(".new")
    new.write_text("".join(lines(learnt)), encoding="ascii")
    new.replace(path)


async def save_between(path: Path, learnt: Learnt) -> None:
    """Write the file as a whole, a little at a time, so that answers go on in between."""
    new = path.with_suffix(".new")
    with new.open("w", encoding="ascii") as file:
        for number, line in enumerate(lines(learnt)):
            file.write(line)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
    new.replace(path)
