"""The processor's settings: one JSON file, rendered from the inventory.

::

    {
      "host": "feedback1",
      "listen": "127.0.0.1:10024",
      "metrics": "192.0.2.15:9172",
      "database": {"host": "control1.mail.example.com", "hostaddr": "192.0.2.16", "dbname": "smtpctl",
                   "user": "feedback_feedback1", "sslmode": "verify-full", "ca_file": "/etc/smtpctl/ca.pem",
                   "password_file": "/etc/smtpctl/secrets/feedback-database"},
      "providers": {"gmail.com": "google"}
    }

``database`` holds libpq's own keywords, and two paths. ``providers`` (recipient domain to provider) may be missing.
``privacy`` names the file with the keys of the ledger's hash (``lookup_keys_file``); without it addresses are stored in
clear.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smtpctl.errors import SmtpctlError
from smtpctl.ledger.connection import parameters
from smtpctl.ledger.subjects import Privacy


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a TCP port."""

    address: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Given ``ADDRESS:PORT``, an IPv6 address in brackets, return the endpoint; else raise ValueError."""
        address, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal():
            raise ValueError(f"{text!r} is not ADDRESS:PORT")
        return cls(address.removeprefix("[").removesuffix("]"), int(port))


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that the processor is told."""

    host: str
    listen: Endpoint
    metrics: Endpoint
    database: Mapping[str, str]
    providers: Mapping[str, str] = field(default_factory=dict)
    privacy: Privacy | None = None

    def connection_keywords(self) -> dict[str, Any]:
        """What psycopg connects with. The password is read anew each time: it may have been changed meanwhile."""
        return parameters(self.database)


def read_config(path: Path) -> Config:
    """Given the settings file, return its settings. Raise SmtpctlError when it cannot be read or lacks something."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Config(
            host=document["host"],
            listen=Endpoint.parse(document["listen"]),
            metrics=Endpoint.parse(document["metrics"]),
            database=document["database"],
            providers=document.get("providers", {}),
            privacy=Privacy.from_config(document.get("privacy", {})),
        )
    except KeyError as error:
        raise _unusable(path, f"{error} is missing") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _unusable(path, str(error)) from error


def _unusable(path: Path, reason: str) -> SmtpctlError:
    return SmtpctlError(f"settings {path} cannot be used: {reason}", hint="run: smtpctl apply INVENTORY")
