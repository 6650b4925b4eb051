"""The shape of a line: what is the same in all lines of its kind. Unknown lines are counted by it."""

from __future__ import annotations

import re

#: Most unknown lines of one kind differ in numbers, names in brackets and quotes, and queue ids.
_VARIABLE = re.compile(
    rb"<[^>]*>|\[[^\]]*\]|\"[^\"]*\"|\b[0-9A-F]{6,}\b|\b[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,}z\w+|\S+@\S+|\d+(?:\.\d+)*"
)
_LONGEST = 120


def shape_of(line: bytes) -> bytes:
    """``line`` with everything that varies replaced by ``*``, cut to a bounded length."""
    return _VARIABLE.sub(b"*", line[:512])[:_LONGEST]
