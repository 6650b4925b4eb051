"""How full the fleet's limits are, from the first submission host that answers. Edge: a connection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smtpctl.errors import SmtpctlError, TransportError
from smtpctl.transport.connection import Target
from smtpctl.transport.program import run_on

PROGRAM = ("python3", "/usr/local/lib/smtpctl/policy.pyz")
PLACES = ("--rules", "/etc/smtpctl/policy.json", "--database-file", "/etc/smtpctl/secrets/policy-database")


@dataclass(frozen=True, slots=True)
class Levels:
    """Keys that something is counted for (key, limit, used, room), and credentials that are held until when."""

    quotas: list[Mapping[str, Any]] = field(default_factory=list)
    held: dict[str, float] = field(default_factory=dict)


def ask_levels(targets: Mapping[str, Target], key: str = "") -> Levels:
    """Levels of the keys that contain ``key``. Raise SmtpctlError when no host has an answer."""
    last: SmtpctlError = TransportError("no submission host could be asked")
    for target in targets.values():
        try:
            return _ask(target, key)
        except SmtpctlError as error:
            last = error
    raise last


def _ask(target: Target, key: str) -> Levels:
    ended = run_on(target, "root", *PROGRAM, "quota", *PLACES, "--json", "show", "--", key)
    if ended.code:
        raise TransportError(f"{target.host}: quotas: {ended.errors}")
    document = json.loads(ended.output)
    return Levels(document["quotas"], document["held"])
