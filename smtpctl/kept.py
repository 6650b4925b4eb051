"""What was made from a text, kept in a folder from run to run, for as long as text and code are the same. Edge.

Reading an inventory or a role takes libraries whose import alone takes longer than all else that a plan does here.
A value is kept as a pickle: whoever can write into the folder can run code as this user, so the caller gives one that
nobody else writes to, or None. What holds secrets is kept sealed, and nothing else: with a key that is made from those
very secrets, so that the file says nothing to whoever cannot open them anyway.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

#: The packages whose code decides what is made.
_CODE = ("model", "inventory", "render")

#: Bytes of a nonce of AES-GCM (RFC 5116 section 5.1).
_NONCE = 12

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


def sealed(folder: Path | None, name: str, source: bytes, secret: bytes, make: Callable[[], Made]) -> Made:
    """Like ``kept``, for what is made of ``source``, ``secret``, templates and any code of ours, and holds secrets.

    It is bound to all of those: after any change of them it does not open, and is made anew.
    """
    if folder is None:
        return make()
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher = AESGCM(hashlib.sha256(b"smtpctl: what is kept\0" + secret).digest())
    place, bound = folder / name, _everything() + hashlib.sha256(source).digest()
    with suppress(OSError, ValueError, InvalidTag):
        content = place.read_bytes()
        found: Made = pickle.loads(cipher.decrypt(content[:_NONCE], content[_NONCE:], bound))  # noqa: S301 - as above
        return found
    made = make()
    nonce = os.urandom(_NONCE)
    with suppress(OSError):
        _write(place, nonce + cipher.encrypt(nonce, pickle.dumps(made), bound))
    return made


def _write(place: Path, content: bytes) -> None:
    """Wholly or not at all: another run may be reading or writing the same."""
    import tempfile  # brings many others, and is needed when something has changed only

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
    """What changes when the code does that decides what is made, or another release of smtpctl is installed."""
    root = Path(__file__).parent
    return _digest(str(root / folder) for folder in _CODE)


@cache
def _everything() -> bytes:
    """What changes with all that decides what is rendered beside a fleet and its secrets: every file of ours, since
    whole packages are rendered into programs; the library that fills templates in; the interpreter."""
    root = Path(__file__).parent
    folders = [root, root.parent / "policy_service", root.parent / "templates"]
    if (library := find_spec("jinja2")) is not None:
        folders += [Path(folder) for folder in library.submodule_search_locations or ()]
    return _digest(map(str, folders))


def _digest(folders: Iterable[str]) -> bytes:
    """Of the stamps of all files below. To read the files takes as long as to sign in to the hosts."""
    stamps = (stamp for folder in folders for stamp in _stamps(folder))
    return hashlib.sha256("\n".join((sys.version, *stamps)).encode()).digest()


def _stamps(folder: str) -> Iterator[str]:
    """Path, size and times of each file; no program can set the time of the last change of an inode (ctime) back."""
    if not os.path.isdir(folder):  # noqa: PTH112 - hundreds of files; a wheel has the templates elsewhere
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _stamps(entry.path)
        else:
            status = entry.stat()
            yield f"{entry.path} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
