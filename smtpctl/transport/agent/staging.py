"""The staged tree: the new files under /var/lib/smtpctl/stage, as a copy of the host's folders around them.

Its folders have mode and owner of the live ones, because the tree is seen over those during validation; the folder
above it is closed to everybody but root.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .store import Store
from .swap import write_file


def clear(store: Store) -> None:
    """Remove the tree of an earlier run."""
    if store.stage.exists():
        shutil.rmtree(store.stage)


def build(store: Store, wanted: Mapping[str, Mapping[str, Any]]) -> None:
    """Make the tree of all files that change."""
    clear(store)
    store.stage.mkdir(mode=0o700)
    tree(store).mkdir()
    scratch(store).mkdir()
    for path, fact in wanted.items():
        if fact["kind"] == "absent":
            continue
        staged = staged_path(store, path)
        _make_folder(tree(store), staged.parent)
        if fact["kind"] == "link":
            staged.symlink_to(fact["target"])
        else:
            write_file(staged, store.get(fact["sha256"]), fact)


def tree(store: Store) -> Path:
    """Top of the tree: it stands for the root of the host."""
    return store.stage / "tree"


def scratch(store: Store) -> Path:
    """Where a namespace mounts what it throws away."""
    return store.stage / "scratch"


def staged_path(store: Store, path: str) -> Path:
    """Where the file for ``path`` stands in the tree."""
    return tree(store) / path.lstrip("/")


def mount_points(paths: Iterable[str]) -> list[str]:
    """Folders over which the tree has to be seen so that every one of ``paths`` is; none lies inside another.

    All of /etc is one, since servers' files refer to each other there. Elsewhere it is the lowest folder that exists:
    an overlay hides what is mounted below it, so that a high one such as /var would hide too much.
    """
    points: set[str] = set()
    for path in paths:
        points.add("/etc" if path.startswith("/etc/") else str(_existing_parent(Path(path))))
    return sorted(point for point in points if not any(point.startswith(f"{other}/") for other in points))


def _existing_parent(path: Path) -> Path:
    return next(folder for folder in path.parents if folder.is_dir())


def _make_folder(stage: Path, folder: Path) -> None:
    if folder == stage or folder.exists():
        return
    _make_folder(stage, folder.parent)
    folder.mkdir(mode=0o755)
    live = Path("/") / folder.relative_to(stage)
    if live.is_dir():
        status = live.stat()
        os.chown(folder, status.st_uid, status.st_gid)
        folder.chmod(stat.S_IMODE(status.st_mode))
