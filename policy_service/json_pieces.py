"""A large JSON document read a piece at a time, for who has somebody to answer in between. Pure.

``json.loads`` of a rules file with thousands of credentials takes milliseconds, in which nothing else runs. Here the
document's object, and within it the members that are named large, are read a member at a time by json's own decoder;
what comes out is the same, and whatever is no JSON raises the same ``ValueError``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Generator
from typing import Any

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


def pieces(text: str, large: Collection[str]) -> Generator[None, None, Any]:
    """What ``text`` holds; members of the outermost object that are in ``large`` are read a member at a time, too."""
    at = _next(text, 0)
    if text[at : at + 1] != "{":
        return json.loads(text)
    found, at = yield from _object(text, at, large)
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)
    return found


def _object(text: str, at: int, large: Collection[str]) -> Generator[None, None, tuple[dict[str, Any], int]]:
    """The object that begins at ``at``, and where the next token stands."""
    found: dict[str, Any] = {}
    at = _next(text, at + 1)
    if text[at : at + 1] == "}":
        return found, _next(text, at + 1)
    while True:
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        name, at = _DECODER.raw_decode(text, at)
        at = _next(text, _expected(text, _next(text, at), ":"))
        if name in large and text[at : at + 1] == "{":
            found[name], at = yield from _object(text, at, ())
        else:
            found[name], at = _DECODER.raw_decode(text, at)
            at = _next(text, at)
        yield
        if text[at : at + 1] == "}":
            return found, _next(text, at + 1)
        at = _next(text, _expected(text, at, ","))


def _expected(text: str, at: int, character: str) -> int:
    """The place after ``character``, which has to stand at ``at``."""
    if text[at : at + 1] != character:
        raise json.JSONDecodeError(f"Expecting {character!r} delimiter", text, at)
    return at + 1


def _next(text: str, at: int) -> int:
    """The place of the next character that is no space."""
    match = _SPACE.match(text, at)
    return match.end() if match else at
