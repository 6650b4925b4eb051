"""What was made from a text, kept in a folder from run to run, for as long as text and code are the same. Edge.

Reading an inventory or a role takes libraries whose import alone takes longer than all else that a plan does here.
A value is kept as a pickle: whoever can write into the folder can run code as this user, so the caller gives one that
nobody else writes to, or None. Secrets never go through here.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

#: The packages whose code decides what is made.
_CODE = ("model", "inventory", "inventory/checks", "render")

Made = TypeVar("Made")


def kept(folder: Path | None, name: str, source: bytes, make: Callable[[], Made]) -> Made:
    """What ``make`` makes of ``source``; from the file ``name`` in ``folder`` where an earlier run left it there."""
    if folder is None:
        return make()
    place, key = folder / name, hashlib.sha256(_code() + source).digest()
    with suppress(OSError):
        content = place.read_bytes()
        if content.startswith(key):
            found: Made = pickle.loads(content[len(key) :])  # noqa: S301 - a folder of this user alone
            return found
    made = make()
    with suppress(OSError):  # a full disk costs time, and nothing else
        _write(place, key + pickle.dumps(made))
    return made


def _write(place: Path, content: bytes) -> None:
    """Wholly or not at all: another run may be reading or writing the same."""
    number, name = tempfile.mkstemp(dir=place.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        Path(name).replace(place)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


@cache
def _code() -> bytes:
    """What changes when the code does, or another release of smtpctl is installed."""
    return hashlib.sha256("\n".join(_stamps()).encode()).digest()


def _stamps() -> Iterator[str]:
    root = Path(__file__).parent
    for folder in _CODE:
        for entry in sorted(os.scandir(root / folder), key=lambda entry: entry.name):
            if entry.name.endswith(".py"):
                status = entry.stat()
                yield f"{entry.path} {status.st_size} {status.st_mtime_ns}"
