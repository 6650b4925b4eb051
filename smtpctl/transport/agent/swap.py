"""Changing files: new ones are laid beside the old, then swapped in by rename, and can be swapped back.

Invariants, for every path, whenever the process or the machine stops:

- The path holds the whole old file or the whole new one: rename within one folder is atomic (POSIX rename).
- Until ``clean``, the old file lives on under a name of its own in the same folder (a hard link), so that leading back
  needs no free space and brings back the very same inode. Where that name is lost, the object of its hash serves.

All space is taken before the first rename: a full disk stops a run while nothing has changed yet.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import facts
from .store import Store, sync_folder

#: Postfix re-reads a main.cf that is younger than two seconds in steps of 0.3 s: give files an age.
AGE = 60


def missing_folders(paths: Iterable[str]) -> list[str]:
    """Folders that have to be made for ``paths``, parents first."""
    missing = set()
    for path in paths:
        for folder in Path(path).parents:
            if folder.exists():
                break
            missing.add(str(folder))
    return sorted(missing)


def lay_out(store: Store, wanted: Mapping[str, Mapping[str, Any]], staged: Path | None = None) -> None:
    """Put every wanted file beside its place, and keep a link to what stands there now. What was validated in the tree
    ``staged`` is moved from there; what cannot be, since it is another file system, is written anew."""
    for path, fact in wanted.items():
        if fact["kind"] != "absent":
            Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if fact["kind"] == "file":
            if staged is None or not _moved(staged / path.lstrip("/"), _new(path)):
                write_file(_new(path), store.get(fact["sha256"]), fact)
        elif fact["kind"] == "link":
            _new(path).unlink(missing_ok=True)
            _new(path).symlink_to(fact["target"])
    for path in wanted:
        _old(path).unlink(missing_ok=True)
        if os.path.lexists(path):
            os.link(path, _old(path), follow_symlinks=False)


def switch(wanted: Mapping[str, Mapping[str, Any]]) -> None:
    """Put every wanted file into its place, and remove what is to be absent."""
    for path, fact in wanted.items():
        if fact["kind"] == "absent":
            Path(path).unlink(missing_ok=True)
        else:
            _new(path).replace(path)
    _sync(wanted)


def restore(store: Store, before: Mapping[str, Mapping[str, Any]], folders: Iterable[str]) -> None:
    """Lead every path back to what stood there ``before``, wherever between the steps above the run stopped."""
    for path, fact in before.items():
        _new(path).unlink(missing_ok=True)
        if facts.file_fact(path) != fact:
            _restore_one(store, path, fact)
    clean(before)
    remove_empty(folders)
    _sync(before)


def remove_empty(folders: Iterable[str]) -> None:
    """Remove ``folders``, the inner ones first. Those that hold anything stay: somebody else has used them."""
    for folder in sorted(map(Path, folders), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def clean(paths: Iterable[str]) -> None:
    """Drop the links to the old files, and what was laid out."""
    for path in paths:
        _old(path).unlink(missing_ok=True)
        _new(path).unlink(missing_ok=True)


def write_file(path: Path, content: bytes, fact: Mapping[str, Any]) -> None:
    """``content`` at ``path`` with mode and owner of ``fact``, durable, aged; readable by nobody else meanwhile."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchown(file.fileno(), facts.user_id(fact["owner"]), facts.group_id(fact["group"]))
        os.fchmod(file.fileno(), fact["mode"])
        past = time.time() - AGE
        os.utime(file.fileno(), (past, past))
        os.fsync(file.fileno())


def _moved(source: Path, target: Path) -> bool:
    """Whether ``source`` could be moved to ``target``: on the same file system."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _restore_one(store: Store, path: str, fact: Mapping[str, Any]) -> None:
    if fact["kind"] == "absent":
        Path(path).unlink(missing_ok=True)
        return
    if facts.file_fact(str(_old(path))) == fact:
        _old(path).replace(path)
        return
    lay_out(store, {path: fact})
    _new(path).replace(path)


def _sync(paths: Iterable[str]) -> None:
    for folder in sorted({str(Path(path).parent) for path in paths}):
        if Path(folder).is_dir():
            sync_folder(Path(folder))


def _new(path: str) -> Path:
    return Path(path).with_name(f".{Path(path).name}.smtpctl-new")


def _old(path: str) -> Path:
    return Path(path).with_name(f".{Path(path).name}.smtpctl-old")
