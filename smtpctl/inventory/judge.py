"""The text of an inventory to a Fleet, or to everything that is wrong with it. Pure: no file, no clock, no network.

Three layers look at it, each at what the one before left whole: YAML, the shape of each part (pydantic), and the fleet
as a whole (``checks``). A check that reads a section in which something is wrong already stays silent, because what it
would say might only follow from that; every other check speaks, so that one run shows as much as can be known.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from smtpctl.inventory.checks import ALL_CHECKS
from smtpctl.inventory.document import Document, read_document
from smtpctl.inventory.problems import Finding, Problem
from smtpctl.inventory.shape import annotations_of, model_of
from smtpctl.inventory.words import finding_of, nearest, without_misspelt
from smtpctl.model.fleet import Fleet
from smtpctl.model.value import default_of, fields_of, required


def judge(text: str, name: str) -> tuple[Fleet | None, Document | None, tuple[Problem, ...]]:
    """The fleet that ``text`` describes (None when it has problems), and the problems in the file's order.

    ``name`` is what the problems call the file.
    """
    document, troubles = read_document(text)
    problems = {Problem(name, *trouble.place, trouble.message, trouble.hint) for trouble in troubles}
    if document is None:
        return None, None, tuple(sorted(problems))
    places = {trouble.place for trouble in troubles}
    spoilt = {section for place in places if (section := document.section_at(place)) is not None}
    fleet, findings = _shape(document, spoilt)
    # Where the YAML is wrong already, what it would have meant is nobody's concern.
    problems |= {
        place_finding(finding, document, name)
        for finding in findings
        if document.place_of(finding.path, at_key=finding.at_key) not in places
    }
    return (None if problems else fleet), document, tuple(sorted(problems))


def place_finding(finding: Finding, document: Document, name: str) -> Problem:
    """A finding as a problem with its place in the file."""
    place = document.place_of(finding.path, at_key=finding.at_key)
    return Problem(name, place.line, place.column, finding.message, finding.hint)


def _shape(document: Document, spoilt: set[str]) -> tuple[Fleet | None, list[Finding]]:
    """The fleet, if every part of it has its shape, and all findings of shape and checks."""
    try:
        fleet: Fleet = adapter().validate_python(document.data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        findings = without_misspelt([finding_of(detail, document) for detail in errors], errors)
        if not isinstance(document.data, dict):
            return None, findings
        spoilt = spoilt | {str(finding.path[0]) for finding in findings if finding.path}
        spoilt |= {meant for key in spoilt if (meant := nearest(key, fields_of(Fleet))) is not None}
        return None, findings + list(_check(_sound_parts(document.data, spoilt), spoilt))
    return fleet, list(_check(fleet, spoilt))


def _check(fleet: Fleet, spoilt: set[str]) -> Iterator[Finding]:
    """Findings of all checks that read none of the ``spoilt`` sections."""
    for check in ALL_CHECKS:
        if not spoilt.intersection(check.reads):
            yield from check.find(fleet)


def _sound_parts(data: dict[str, Any], spoilt: set[str]) -> Fleet:
    """A fleet of those sections that are as they should be; the others are absent, or stand at their defaults."""
    sound = {
        section: _adapter(section).validate_python(value)
        for section, value in data.items()
        if section in fields_of(Fleet) and section not in spoilt
    }
    defaults = {name: default_of(field) for name, field in fields_of(Fleet).items() if not required(field)}
    fleet = object.__new__(Fleet)
    vars(fleet).update(defaults | sound)
    return fleet


@cache
def adapter() -> TypeAdapter[Fleet]:
    """Validates a whole fleet, and has its JSON schema."""
    return TypeAdapter(Fleet)


@cache
def _adapter(section: str) -> TypeAdapter[Any]:
    """Validates one section as the fleet does."""
    annotation = annotations_of(Fleet)[section]
    # A model brings its own strictness and refuses a second one.
    return TypeAdapter(annotation, config=None if model_of(annotation) else ConfigDict(strict=True))
