"""Incidents in words: how serious they are, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from smtpctl.operate.incidents import KINDS, MANY, at_least, document_of, severity_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def row(kind: str = "login", severity: str = "notice", events: int = 1, subject: str = "192.0.2.9") -> dict[str, Any]:
    return {"id": "3f9a01bc", "kind": kind, "subject": subject, "severities": [severity], "events": events,
            "open": True, "last_at": NOON}  # fmt: skip


@pytest.mark.parametrize(
    ("severity", "events", "expected"),
    [
        ("notice", 1, "notice"),
        ("notice", MANY - 1, "notice"),
        ("notice", MANY, "warning"),
        ("critical", MANY, "critical"),
        ("of another release", 1, "warning"),
    ],
)
def test_many_of_what_is_ordinary_are_a_warning(severity: str, events: int, expected: str) -> None:
    assert severity_of(row(severity=severity, events=events)) == expected


@pytest.mark.parametrize("kind", [*KINDS, "of another release"])
def test_every_kind_has_a_sentence_that_names_whom_it_is_about(kind: str) -> None:
    document = document_of(row(kind))
    assert "192.0.2.9" in document["sentence"]
    assert document["remedy"]
    assert "{" not in document["sentence"] + document["remedy"]


def test_the_worst_stand_first() -> None:
    rows = [row("login"), row("client", "critical"), row("sender", "warning")]
    assert [found["kind"] for found in at_least(rows, "warning")] == ["client", "sender"]
    assert len(at_least(rows, "notice")) == 3
