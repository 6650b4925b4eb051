"""Putting files into a host's tree before it boots: mode and content are what the caller says, not what umask makes."""

from __future__ import annotations

from pathlib import Path


def put(root: Path, path: str, content: str | bytes, mode: int = 0o644) -> None:
    """Write ``content`` at the absolute ``path`` below ``root``; folders that are missing become 0755."""
    target = root / path.lstrip("/")
    make_folder(target.parent)
    target.unlink(missing_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else content.encode())
    target.chmod(mode)


def put_tree(root: Path, source: Path) -> None:
    """Copy every file below ``source`` to the same path below ``root``. A folder that exists keeps its mode."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            put(root, str(path.relative_to(source)), path.read_bytes())


def link(root: Path, path: str, target: str) -> None:
    """A symbolic link at ``path`` below ``root``; one that is there is replaced."""
    place = root / path.lstrip("/")
    make_folder(place.parent)
    place.unlink(missing_ok=True)
    place.symlink_to(target)


def make_folder(folder: Path) -> None:
    """``folder`` and its parents, 0755 whatever the umask; those that exist stay as they are."""
    if not folder.exists():
        make_folder(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)
