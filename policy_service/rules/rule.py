"""What a rule is: a check over one request and the credential it was signed in with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from policy_service.protocol import Request
from policy_service.ruleset import Credential

RCPT = b"RCPT"
DATA = b"DATA"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An objection: the action for Postfix (access(5)) with its text."""

    action: str


@dataclass(frozen=True, slots=True)
class Rule:
    """``check`` returns an objection, or None when it has none. ``credential`` is None where nobody known signed in."""

    name: str
    description: str
    stages: frozenset[bytes]
    check: Callable[[Request, Credential | None], Verdict | None]
