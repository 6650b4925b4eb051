"""What is published against what is wanted. Pure: answers are values; `smtpctl.dns.resolve` gets them.

Of TXT records only those of the same kind count (``v=spf1``, ``v=DKIM1``, …): a domain may carry others beside ours.
White space, letter case of names and the order of tags do not count either, as receivers do not mind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import dns.rdata
from dns.rdtypes.ANY.TXT import TXT

from smtpctl.dns.record import Record

#: A name and a record type.
Question = tuple[str, str]

#: The published values, or why nobody could tell.
Answer = tuple[str, ...] | str


@dataclass(frozen=True, slots=True)
class Finding:
    """One name and type whose records are not as wanted. ``found`` holds values, or the reason under unanswered."""

    name: str
    type: str
    problem: Literal["missing", "wrong", "unanswered"]
    wanted: tuple[str, ...]
    found: tuple[str, ...]

    def __str__(self) -> str:
        wanted, found = " + ".join(self.wanted), " + ".join(self.found)
        match self.problem:
            case "missing":
                return f"missing: {self.name} {self.type} {wanted}"
            case "wrong":
                return f"wrong: {self.name} {self.type} is {found}; wanted: {wanted}"
        return f"unanswered: {self.name} {self.type}: {found}"


def questions(records: Iterable[Record]) -> tuple[Question, ...]:
    """What to ask to see whether ``records`` are published."""
    return tuple(dict.fromkeys((record.name, record.type) for record in records))


def findings(records: Iterable[Record], answers: Mapping[Question, Answer]) -> tuple[Finding, ...]:
    """Given wanted records and the answer to each of their questions, return what is not as wanted."""
    wanted: dict[Question, list[str]] = {}
    for record in records:
        wanted.setdefault((record.name, record.type), []).append(record.value)
    compared = (_compare(question, tuple(values), answers[question]) for question, values in wanted.items())
    return tuple(finding for finding in compared if finding)


def _compare(question: Question, wanted: tuple[str, ...], answer: Answer) -> Finding | None:
    name, kind = question
    if isinstance(answer, str):
        return Finding(name, kind, "unanswered", wanted, (answer,))
    found = tuple(value for value in answer if kind != "TXT" or _tag(value) in {_tag(text) for text in wanted})
    if not found:
        return Finding(name, kind, "missing", wanted, ())
    # Two equal SPF records are as bad as two different ones (RFC 7208 §4.5), so it is lists that are compared.
    if sorted(_meaning(kind, value) for value in found) != sorted(_meaning(kind, value) for value in wanted):
        return Finding(name, kind, "wrong", wanted, found)
    return None


def _meaning(kind: str, value: str) -> str:
    """A value without what receivers do not look at."""
    if kind != "TXT":
        return " ".join(value.lower().split())
    text = joined(value)
    if _tag(value) == "v=spf1":
        # The order of addresses makes no difference; what comes last does ("all" ends the evaluation, RFC 7208 §4.6).
        *terms, last = text.lower().split()
        return " ".join([*sorted(terms), last])
    # In a key the letter case counts; white space may stand around tags and inside a key (RFC 6376 §3.2, §3.6.1).
    tags = ("".join(tag.split()) for tag in text.split(";"))
    return ";".join(sorted(tag for tag in tags if tag))


def _tag(value: str) -> str:
    """What a TXT record says it is: ``v=spf1``, ``v=dkim1``, …"""
    return joined(value).replace(";", " ").split(" ")[0].lower()


def joined(value: str) -> str:
    """The strings of a TXT record, given in zone-file form, as one text."""
    parsed = dns.rdata.from_text("IN", "TXT", value)
    assert isinstance(parsed, TXT)  # noqa: S101 (for the type checker: the type was given a line above)
    return b"".join(parsed.strings).decode("utf-8", "replace")
