"""Syntax errors of YAML in plain words, the same ones on every machine.

libyaml and PyYAML's own parser word the same mistake differently, so a text that fails is parsed again by the latter,
whose words are known here.
"""

from __future__ import annotations

import re

import yaml

#: Characters that YAML does not allow, not even inside quotes (YAML 1.2 §5.1).
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_SEE = "compare it with: smtpctl schema --format sample"

#: Place (line, column), message, hint.
Description = tuple[tuple[int, int], str, str]

#: Pattern over "problem, context" of PyYAML's parser -> message and hint. The first that matches counts.
_WORDS: tuple[tuple[str, str, str], ...] = (
    (
        r"mapping values are not allowed|found unexpected ':'",
        "a ':' is not expected here",
        "quote the text if the colon belongs to it; else look at the indentation of this line and the one above",
    ),
    (
        r"expected <block end>",
        "this line does not fit the lines above it",
        "indent it as far as its neighbours of the same list or mapping",
    ),
    (r"could not find expected ':'", "a ':' is missing after this key", "write KEY: VALUE"),
    (
        r"found unexpected end of stream.*quoted scalar|quoted scalar.*found unexpected",
        "a quotation mark is not closed",
        "close it on the same line",
    ),
    (r"flow (sequence|mapping)", "a bracket is not closed, or a comma is missing", "look for the missing ] or } or ,"),
    (r"unknown escape character", "a backslash sequence is unknown", "in single quotes a backslash is just itself"),
    (
        r"\b(anchor|alias|tag|directive)\b",
        "this character has a meaning of its own in YAML",
        "put the text in quotes, if it is meant",
    ),
    (r"Unicode character escape", "this escape names no character", "write the character itself, in UTF-8"),
    (
        r"cannot start any token|expected the node content",
        "a text cannot start with this character",
        "put the text in quotes",
    ),
    (r"sequence entries are not allowed", "a list item is not expected here", "start the list on a line of its own"),
)


def find_unreadable_character(text: str) -> Description | None:
    """The first character that no YAML file may hold, if there is one."""
    match = _UNREADABLE.search(text)
    if match is None:
        return None
    before = text[: match.start()]
    place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
    return place, f"the character U+{ord(match[0]):04X} is not allowed in YAML", "remove it"


def describe_syntax_error(text: str, error: yaml.YAMLError) -> Description:
    """Place, message and hint of the syntax error for which ``text`` was refused with ``error``."""
    error = _reference_error(text) or error
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return (1, 1), f"this is not YAML: {error}", _SEE
    mark = error.problem_mark
    place = (mark.line + 1, mark.column + 1)
    tab = _tab_in_indentation(text, mark.line)
    if tab is not None:
        return (mark.line + 1, tab), "a tab stands in the indentation", "indent with spaces (YAML 1.2 §6.1)"
    words = ", ".join(part for part in (error.problem, error.context) if part)
    for pattern, message, hint in _WORDS:
        if re.search(pattern, words):
            opened = error.context_mark if "not closed" in message else None
            return (opened.line + 1, opened.column + 1) if opened else place, message, hint
    return place, f"this is not YAML: {words}", _SEE


def _reference_error(text: str) -> yaml.YAMLError | None:
    try:
        for _ in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.YAMLError as error:
        return error
    return None


def _tab_in_indentation(text: str, line: int) -> int | None:
    """Column (from 1) of a tab in the white space at the head of a line (from 0)."""
    lines = text.split("\n")
    if line >= len(lines):
        return None
    indentation = lines[line][: len(lines[line]) - len(lines[line].lstrip())]
    return indentation.index("\t") + 1 if "\t" in indentation else None
