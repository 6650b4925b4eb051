"""Which files change, and how that looks."""

from __future__ import annotations

import difflib

from smtpctl.model.artifacts import DesiredHost, ManagedFile
from smtpctl.model.plans import Change, FileChange, FileFact, Kind, ObservedHost

#: What stands where nothing was observed.
NOTHING = FileFact()


def file_changes(desired: DesiredHost, observed: ObservedHost) -> tuple[FileChange, ...]:
    """Every difference in files, by path. A file that smtpctl never wrote and does not want is left alone."""
    changes = [_wanted(desired.files[path], observed) for path in desired.files]
    changes += [_unwanted(path, observed) for path in observed.owned if path not in desired.files]
    return tuple(sorted((change for change in changes if change), key=lambda change: change.path))


def _wanted(file: ManagedFile, observed: ObservedHost) -> FileChange | None:
    before = observed.files.get(file.path, NOTHING)
    same_content = before.kind is Kind.FILE and before.sha256 == file.sha256
    if same_content and (before.mode, before.owner, before.group) == (file.mode, file.owner, file.group):
        return None
    change = Change.ATTRIBUTES if same_content else Change.CHANGE
    if before.kind is Kind.ABSENT:
        change = Change.CREATE
    owned = observed.owned.get(file.path)
    return FileChange(
        path=file.path,
        change=change,
        before=before,
        after=file,
        diff=_diff(file.path, before, observed.contents.get(file.path), file),
        edited=bool(owned) and change is Change.CHANGE and _by_hand(before, observed, file.path),
        foreign=owned is None and before.kind is not Kind.ABSENT,
    )


def _unwanted(path: str, observed: ObservedHost) -> FileChange | None:
    before = observed.files.get(path, NOTHING)
    if before.kind is Kind.ABSENT:
        return None
    old = None if observed.owned[path].secret else observed.contents.get(path)
    return FileChange(
        path=path,
        change=Change.REMOVE,
        before=before,
        after=None,
        diff=_diff(path, before, old, None),
        edited=_by_hand(before, observed, path),
    )


def _by_hand(before: FileFact, observed: ObservedHost, path: str) -> bool:
    return before.kind is not Kind.FILE or before.sha256 != observed.owned[path].sha256


def _diff(path: str, before: FileFact, old: bytes | None, after: ManagedFile | None) -> str:
    """A unified diff with its attributes, and no content at all where either side is secret."""
    lines = _attributes(before, after)
    new = after.content if after else b""
    if (after and after.secret) or (before.kind is not Kind.ABSENT and old is None and _content_differs(before, after)):
        return "".join([*lines, f"{_labels(path, before, after)}(secret content changes)\n"])
    if not _content_differs(before, after):
        return "".join(lines)
    old_lines, new_lines = _text(old or b""), _text(new)
    if old_lines is None or new_lines is None:
        return "".join([*lines, f"{_labels(path, before, after)}(binary: {len(old or b'')} to {len(new)} bytes)\n"])
    changed = list(difflib.unified_diff(old_lines, new_lines))[2:]
    return "".join([*lines, _labels(path, before, after), *changed])


def _labels(path: str, before: FileFact, after: ManagedFile | None) -> str:
    return f"--- {'/dev/null' if before.kind is Kind.ABSENT else path}\n+++ {path if after else '/dev/null'}\n"


def _content_differs(before: FileFact, after: ManagedFile | None) -> bool:
    return after is None or before.kind is not Kind.FILE or before.sha256 != after.sha256


def _attributes(before: FileFact, after: ManagedFile | None) -> list[str]:
    """What changes beside the content, a line each."""
    if before.kind in (Kind.DIRECTORY, Kind.OTHER):
        return [f"{before.kind} in the place of a file\n"]
    if after is None or before.kind is not Kind.FILE:
        return []
    pairs = (
        ("mode", f"{before.mode:04o}", f"{after.mode:04o}"),
        ("owner", before.owner, after.owner),
        ("group", before.group, after.group),
    )
    return [f"{name} {old} -> {new}\n" for name, old, new in pairs if old != new]


def _text(content: bytes) -> list[str] | None:
    """Lines of a text; None for anything else. A missing last newline is said, as diff does."""
    if b"\0" in content:
        return None
    try:
        lines = content.decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        return None
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n\\ No newline at end of file\n"
    return lines
