"""What an incident is in words: how serious, what happened, and what to do. Pure.

The ledger's view ``security_events`` says what happened; all events of one kind about one subject are one incident.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

SEVERITIES = ("notice", "warning", "critical")

#: So many events of a kind that is ordinary by ones (a typed password, a full quota) are not ordinary.
MANY = 20


class Kind(NamedTuple):
    """A kind of incident: a sentence about ``{subject}``, and what to do about it."""

    sentence: str
    remedy: str


KINDS = {
    "login": Kind(
        "{subject} failed to sign in",
        "smtpctl pause lists who is locked out; give an application that has an old password the new one",
    ),
    "relay": Kind("{subject} tried to relay mail without signing in", "nothing was taken; firewall it if it goes on"),
    "quota": Kind(
        "credential {subject} asks for more than its quota",
        "smtpctl policy quota show; a flood: smtpctl pause credential {subject}",
    ),
    "client": Kind(
        "credential {subject} is used from a network that is not its own",
        "smtpctl pause credential {subject} --refuse, then give it a new password: smtpctl secrets rotate",
    ),
    "sender": Kind(
        "credential {subject} sends as an address that it does not own",
        "ask its application's owner; a stolen one: smtpctl pause credential {subject} --refuse",
    ),
    "invalid-recipients": Kind(
        "credential {subject} writes to invalid recipients in a row and is held",
        "a bought list or a thief: smtpctl queue list --credential {subject}, then pause it and give it a new password",
    ),
    "changed-by-hand": Kind("{subject} was changed by hand", "smtpctl drift says how; smtpctl apply brings it back"),
    "ssh-key": Kind("{subject} has a new SSH key", "whose is it? If nobody's, take the host off the net"),
    "ban": Kind("{subject} is locked out after failed sign-ins", "smtpctl resume client {subject} lets it in again"),
}
OTHER = Kind("{subject}: {kind}", "smtpctl incidents show {id}")


def severity_of(row: Mapping[str, Any]) -> str:
    """The worst of its events; many of what is ordinary are a warning."""
    known = [severity for severity in SEVERITIES if severity in row["severities"]]
    worst = known[-1] if known else "warning"
    return "warning" if worst == "notice" and row["events"] >= MANY else worst


def sentence_of(row: Mapping[str, Any]) -> str:
    """What happened."""
    return _kind(row).sentence.format(**_words(row))


def remedy_of(row: Mapping[str, Any]) -> str:
    """What to do about it."""
    return _kind(row).remedy.format(**_words(row))


def document_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """An incident with its severity and words."""
    severity = severity_of(row)
    return {**row, "severity": severity, "sentence": sentence_of(row), "remedy": remedy_of(row)}


def at_least(rows: Iterable[Mapping[str, Any]], severity: str) -> list[dict[str, Any]]:
    """Incidents of that severity or worse; worst first, among them the latest first."""
    found = [document_of(row) for row in rows]
    least = SEVERITIES.index(severity)
    kept = [row for row in found if SEVERITIES.index(row["severity"]) >= least]
    kept.sort(key=lambda row: (SEVERITIES.index(row["severity"]), row["last_at"]), reverse=True)
    return kept


def _kind(row: Mapping[str, Any]) -> Kind:
    return KINDS.get(row["kind"], OTHER)


def _words(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(row[name]) for name in ("id", "kind", "subject")}
