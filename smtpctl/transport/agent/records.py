"""What earlier applies left on this host for the next one to read: the unfinished journal, the committed revisions.

Read-only, and light: every plan reads them. ``store`` writes them.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BASE = "/var/lib/smtpctl"

JOURNAL = "journal.json"
REVISIONS = "revisions"
STAGE = "stage"


def journal(base: str = BASE) -> dict[str, Any] | None:
    """The unfinished apply, if there is one."""
    return load(f"{base}/{JOURNAL}")


def current(base: str = BASE) -> dict[str, Any] | None:
    """The committed revision with the highest number."""
    names = revision_names(base)
    return load(f"{base}/{REVISIONS}/{names[-1]}") if names else None


def revision_names(base: str = BASE) -> list[str]:
    """Files of committed revisions, oldest first."""
    try:
        return sorted(name for name in os.listdir(f"{base}/{REVISIONS}") if name.endswith(".json"))
    except FileNotFoundError:
        return []


def load(path: str) -> dict[str, Any] | None:
    """A record, if it is there."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return None
    value: dict[str, Any] = json.loads(content)
    return value
