"""What a rule is: a check over one request, and what is known beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from policy_service.protocol import Request
from policy_service.ruleset import Credential

RCPT = b"RCPT"
DATA = b"DATA"
END = b"END-OF-MESSAGE"


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule may look at beside the request. ``credential`` is None where nobody known signed in."""

    credential: Credential | None
    #: Seconds since the epoch, by this host's clock.
    wall: float = 0.0
    #: Until when (seconds since the epoch) the credential is held, 0 when it is not.
    held_until: float = 0.0
    #: Whether mail to this recipient is suppressed.
    suppressed: Callable[[bytes], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class Verdict:
    """An objection: the action for Postfix (access(5)) with its enhanced status code and text."""

    action: str


@dataclass(frozen=True, slots=True)
class Rule:
    """``check`` returns an objection, or None when it has none.

    ``once`` says that the answer is the same for every message of one credential, sender and client, until the rules,
    the minute or the held credentials change; so it need not be asked again for each.
    """

    name: str
    description: str
    stages: frozenset[bytes]
    check: Callable[[Request, Context], Verdict | None]
    once: bool = False


def acted(action: str, wanted: str) -> str:
    """The objection ``action``, turned into what the rules file wants it to be.

    A refusal keeps its text and the last digits of its status (RFC 3463): 5.7.1 becomes 4.7.1 where it is put off.
    """
    if not wanted:
        return action
    _, status, text = action.split(" ", 2)
    if wanted == "hold":
        return f"HOLD {text}"
    if wanted == "reject":
        return f"REJECT 5{status[1:]} {text}"
    word = "450" if wanted == "defer" else "DEFER_IF_PERMIT"
    return f"{word} 4{status[1:]} {text}"
