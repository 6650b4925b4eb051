"""Syntax errors of YAML in plain words, the same ones on every machine.

libyaml and PyYAML's own parser word the same mistake differently, so a text that fails is parsed again by the latter,
whose words are known here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import yaml

#: Characters that YAML does not allow, not even inside quotes (YAML 1.2 §5.1).
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_SEE = "compare it with: smtpctl schema --format sample"

#: Place (line, column), message, hint.
Description = tuple[tuple[int, int], str, str]


class _Wording(NamedTuple):
    """Words for the errors whose "problem, context" matches ``pattern``; ``%s`` is the character at the place.
    ``at_start``: the place is where the text or bracket began, not where the parser gave up."""

    pattern: str
    message: str
    hint: str
    at_start: bool = False


#: The first that matches counts.
_WORDS = (
    _Wording(
        r"mapping values are not allowed|found unexpected ':'",
        "a ':' is not expected here",
        "quote the text if the colon belongs to it; else look at the indentation of this line and the one above",
    ),
    _Wording(
        r"expected <block end>",
        "this line does not fit the lines above it",
        "indent it as far as its neighbours of the same list or mapping",
    ),
    _Wording(r"could not find expected ':'", "a ':' is missing after this key", "write KEY: VALUE"),
    _Wording(
        r"Unicode character escape",
        "an escape in this text names no character",
        "write the character itself, in UTF-8",
        at_start=True,
    ),
    _Wording(
        r"found unexpected end of stream.*quoted scalar",
        "a quotation mark is not closed",
        "close it on the same line",
        at_start=True,
    ),
    _Wording(r"unknown escape character", "this backslash sequence is unknown", "use single quotes, which have none"),
    _Wording(
        r"expected the node content|cannot start any token",
        "a text cannot start with %s",
        "put the text in quotes",
    ),
    _Wording(
        r"flow (sequence|mapping)",
        "a bracket is not closed, or a comma is missing",
        "look for the missing ] or } or ,",
        at_start=True,
    ),
    _Wording(
        r"\b(anchor|alias|tag|directive)\b",
        "%s has a meaning of its own in YAML",
        "put the text in quotes, if it is meant",
        at_start=True,
    ),
    _Wording(r"sequence entries are not allowed", "a list item is not expected here", "start the list on its own line"),
)


def find_unreadable_character(text: str) -> Description | None:
    """The first character that no YAML file may hold, if there is one."""
    match = _UNREADABLE.search(text)
    if match is None:
        return None
    before = text[: match.start()]
    place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
    return place, f"the character U+{ord(match[0]):04X} is not allowed in YAML", "remove it"


def describe_syntax_error(text: str, error: Exception) -> Description:
    """Place, message and hint of the syntax error for which ``text`` was refused with ``error``."""
    error = _reference_error(text) or error
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return (1, 1), f"this is not YAML: {error}", _SEE
    tab = _tab_in_indentation(text, error.problem_mark.line)
    if tab is not None:
        return (
            (error.problem_mark.line + 1, tab),
            "a tab stands in the indentation",
            "indent with spaces (YAML 1.2 §6.1)",
        )
    words = ", ".join(part for part in (error.problem, error.context) if part)
    for wording in _WORDS:
        if re.search(wording.pattern, words):
            mark = (error.context_mark if wording.at_start else None) or error.problem_mark
            message = wording.message.replace("%s", repr(text[mark.index : mark.index + 1]))
            return (mark.line + 1, mark.column + 1), message, wording.hint
    return (error.problem_mark.line + 1, error.problem_mark.column + 1), f"this is not YAML: {words}", _SEE


def _reference_error(text: str) -> yaml.YAMLError | None:
    try:
        for _ in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.YAMLError as error:
        return error
    except (ValueError, OverflowError):  # it trusts numbers in escapes and directives, which libyaml refuses
        return None
    return None


def _tab_in_indentation(text: str, line: int) -> int | None:
    """Column (from 1) of a tab in the white space at the head of a line (from 0)."""
    lines = text.split("\n")
    if line >= len(lines):
        return None
    indentation = lines[line][: len(lines[line]) - len(lines[line].lstrip())]
    return indentation.index("\t") + 1 if "\t" in indentation else None
