"""Paths against the patterns by which roles name them."""

from __future__ import annotations

from fnmatch import fnmatchcase


def matches(path: str, pattern: str) -> bool:
    """Whether ``pattern`` (fnmatch) means ``path``. Most patterns are a path themselves, and are only compared: to make
    a regular expression of each took longer than all else in a plan that finds nothing to do."""
    if any(wild in pattern for wild in "*?["):
        return fnmatchcase(path, pattern)
    return path == pattern
