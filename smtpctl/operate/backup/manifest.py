"""What a backup says of itself: a JSON file beside its parts, with nothing personal in it. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from smtpctl.errors import SmtpctlError

FORM = 1
NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class Part:
    """An encrypted file: its size and SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One backup. ``revisions`` are those that the hosts ran; the same inventory and secrets give them again."""

    fleet: str
    release: str
    at: str
    parts: list[Part]
    revisions: dict[str, str]
    ledger: dict[str, Any]
    mailboxes: int
    form: int = field(default=FORM)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Raise SmtpctlError for what is none, or of a newer form."""
        try:
            document = json.loads(text)
            if document["form"] > FORM:
                raise SmtpctlError(
                    f"the backup has form {document['form']}, this smtpctl reads {FORM}", hint="upgrade smtpctl"
                )
            parts = [Part(**part) for part in document.pop("parts")]
            return cls(parts=parts, **document)
        except (ValueError, KeyError, TypeError) as error:
            raise SmtpctlError(f"this is no manifest of a backup: {error}") from None
