"""What pydantic found, said in plain words about the inventory: what is wrong, with which value, and what is right."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from pydantic_core import ErrorDetails

from smtpctl.inventory.document import Document
from smtpctl.inventory.flow import flow
from smtpctl.inventory.problems import Finding, Path, path_text
from smtpctl.inventory.shape import annotation_at, bare, choices, field_at, keys_at
from smtpctl.model.fleet import Role
from smtpctl.model.forms import FormError

#: Longest piece of a wrong value that a message repeats.
_LONGEST_EXCERPT = 60


def finding_of(error: ErrorDetails, document: Document) -> Finding:
    """The finding that one error of pydantic stands for."""
    path: Path = tuple(error["loc"])
    at_key = path[-1:] == ("[key]",)
    if at_key:
        path = path[:-1]
    explain = _EXPLAIN.get(error["type"], _explain_other)
    message, hint = explain(path, error, document)
    at_key = at_key or error["type"] in ("missing", "unexpected_keyword_argument")
    return Finding(path, message, hint or _described(path), at_key=at_key)


def without_misspelt(findings: Iterable[Finding], errors: Iterable[ErrorDetails]) -> list[Finding]:
    """Findings without those of missing keys that an unknown key beside them was meant to be."""
    meant = set()
    for error in errors:
        if error["type"] == "unexpected_keyword_argument":
            path: Path = tuple(error["loc"])
            meant.add((*path[:-1], nearest(str(path[-1]), keys_at(path[:-1]))))
    missing = {tuple(error["loc"]) for error in errors if error["type"] == "missing"}
    return [finding for finding in findings if finding.path not in missing & meant]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` was most likely meant to be."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def suggestion(word: str, known: Iterable[str], *, what: str) -> str:
    """``did you mean …?``, or all that there is; ``what`` names the choices in the plural."""
    known = list(known)
    guess = nearest(word, known)
    if guess is not None:
        return f"did you mean {guess!r}?"
    return f"known {what}: {', '.join(known)}" if known else f"the inventory has no {what}"


def excerpt(value: Any) -> str:
    """A wrong value, named by what YAML took it for, short enough for a message."""
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    if len(text) > _LONGEST_EXCERPT:
        text = f"{text[:_LONGEST_EXCERPT]}…"
    return f"the text {text}" if isinstance(value, str) else f"the number {text}"


Words = tuple[str, str]


def _explain_missing(path: Path, error: ErrorDetails, document: Document) -> Words:
    return f"{path_text(path[:-1]) or 'the inventory'} lacks {str(path[-1])!r}", ""


def _explain_unknown_key(path: Path, error: ErrorDetails, document: Document) -> Words:
    where = path_text(path[:-1]) or "the inventory"
    return f"{where} has an unknown key {str(path[-1])!r}", suggestion(str(path[-1]), keys_at(path[:-1]), what="keys")


def _explain_form(path: Path, error: ErrorDetails, document: Document) -> Words:
    cause = error["ctx"]["error"]
    if isinstance(cause, FormError):
        return f"{path_text(path)}: {cause.wrong}", f"write {cause.right}"
    return f"{path_text(path)}: {cause}", ""


def _explain_choice(path: Path, error: ErrorDetails, document: Document) -> Words:
    annotation, value = annotation_at(path), error["input"]
    words = choices(annotation)
    if len(words) == 1:
        return f"{path_text(path)} must be {words[0]}, not {excerpt(value)}", _in_digits(path, value, document)
    if not isinstance(value, str):
        return f"{path_text(path)} must be one of {', '.join(words)}, not {excerpt(value)}", ""
    within = next(str(step) for step in reversed(path) if isinstance(step, str))
    what = "role" if bare(annotation) is Role else within
    return f"{path_text(path)}: unknown {what} {value!r}", suggestion(value, words, what="values")


def _explain_number(path: Path, error: ErrorDetails, document: Document) -> Words:
    value = error["input"]
    return f"{path_text(path)} must be a whole number, not {excerpt(value)}", _in_digits(path, value, document)


def _in_digits(path: Path, value: Any, document: Document) -> str:
    """What to do about a text that should be a number."""
    if not isinstance(value, str):
        return ""
    if path in document.quoted:
        return "remove the quotes" if value.isdecimal() else ""
    return "write it in decimal digits, without leading zeros, + or _"


def _explain_text(path: Path, error: ErrorDetails, document: Document) -> Words:
    value = error["input"]
    message = f"{path_text(path)} must be text, not {excerpt(value)}"
    if value is None:
        return message, "" if field_at(path) else 'write "" for an empty text'
    return message, "" if isinstance(value, dict | list) else "put it in quotes, if it is meant"


def _explain_list(path: Path, error: ErrorDetails, document: Document) -> Words:
    value = error["input"]
    hint = f"write [{value}]" if isinstance(value, str | int) else ""
    return f"{path_text(path)} must be a list, not {excerpt(value)}", hint


def _explain_mapping(path: Path, error: ErrorDetails, document: Document) -> Words:
    keys = keys_at(path)
    hint = f"write KEY: VALUE below it, with keys of: {', '.join(keys)}" if keys else ""
    return f"{path_text(path) or 'the inventory'} must be a mapping, not {excerpt(error['input'])}", hint


def _explain_range(path: Path, error: ErrorDetails, document: Document) -> Words:
    context = error["ctx"]
    limit = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
    return f"{path_text(path)} must be {limit}, not {error['input']}", ""


def _explain_empty(path: Path, error: ErrorDetails, document: Document) -> Words:
    return f"{path_text(path)} must not be empty", ""


def _explain_other(path: Path, error: ErrorDetails, document: Document) -> Words:
    return f"{path_text(path) or 'the inventory'}: {error['msg']}", ""


def _described(path: Path) -> str:
    """What the key at ``path``, or the nearest one around it, means, with an example where the model has one."""
    field = field_at(path)
    while field is None and len(path) > 1:
        path = path[:-1]
        field = field_at(path)
    if field is None:
        return "see docs/inventory-reference.md"
    text = f"{path[-1]}: {field.metadata['description']}"
    examples = field.metadata.get("examples")
    return f"{text} Example: {flow(examples[0])}" if examples else text


_EXPLAIN: dict[str, Callable[[Path, ErrorDetails, Document], Words]] = {
    "missing": _explain_missing,
    "unexpected_keyword_argument": _explain_unknown_key,
    "value_error": _explain_form,
    "enum": _explain_choice,
    "literal_error": _explain_choice,
    "int_type": _explain_number,
    "string_type": _explain_text,
    "list_type": _explain_list,
    "dict_type": _explain_mapping,
    "dataclass_type": _explain_mapping,
    "greater_than_equal": _explain_range,
    "less_than_equal": _explain_range,
    "too_short": _explain_empty,
}
