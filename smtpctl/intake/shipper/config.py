"""The shipper's configuration file (JSON), as smtpctl renders it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from smtpctl.errors import UsageError
from smtpctl.ledger.subjects import Privacy
from smtpctl.maillog.labels import Labels


@dataclass(frozen=True, slots=True)
class Config:
    """What one shipper does.

    ``host`` names the host in the ledger; ``log`` is the file; ``database`` is how to reach it (host, hostaddr, port,
    dbname, user, password_file, ca_file); ``metrics`` is where Prometheus asks, ``ADDRESS:PORT``, or empty;
    ``privacy`` seals addresses; ``timezone`` matters only to logs without one in their stamps; ``linger``: for how many
    seconds lines gather before a commit.
    """

    host: str
    log: Path
    database: dict[str, Any]
    metrics: str = ""
    timezone: tzinfo = UTC
    privacy: Privacy | None = None
    labels: Labels = field(default_factory=Labels)
    linger: float = 0.4
    batch_bytes: int = 2 << 20


def read_config(path: Path) -> Config:
    """The configuration in ``path``. Raise UsageError with the key that is missing or wrong."""
    try:
        document = json.loads(path.read_text())
        return Config(
            host=document["host"],
            log=Path(document["log"]),
            database=document["database"],
            metrics=document.get("metrics", ""),
            timezone=_zone(document.get("timezone", "")),
            privacy=Privacy.from_config(document.get("privacy", {})),
            labels=Labels.from_config(document),
            linger=float(document.get("linger", 0.4)),
            batch_bytes=int(document.get("batch_bytes", 2 << 20)),
        )
    except KeyError as error:
        raise UsageError(f"{path}: key {error} is missing") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: {error}") from error


def _zone(name: str) -> tzinfo:
    if name:
        return ZoneInfo(name)
    return datetime.now().astimezone().tzinfo or UTC
