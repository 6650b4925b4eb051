"""Rule: the limits of a credential, its senders, clients, stream and recipients' providers. What counts, and the words.

``leases`` does the counting. Recipients and messages are charged at DATA, bytes at END-OF-MESSAGE where they are known.
"""

from __future__ import annotations

from policy_service.charges import Refusal
from policy_service.gcra import SECOND
from policy_service.ruleset import Limit

NAME = "quota"
DESCRIPTION = "The message is within every limit that holds for it."


def units_of(limit: Limit, recipients: int, size: int = 0) -> int:
    """What one message of so many recipients and bytes takes from a limit."""
    if limit.counted == "recipients":
        return recipients
    return 1 if limit.counted == "messages" else size


def beyond_burst(limit: Limit, units: int) -> str | None:
    """The final refusal of a message that the limit could never pass, or None."""
    if units <= limit.shape.burst:
        return None
    return (
        f"554 5.7.1 {units} {limit.counted} in one message are more than the {limit.shape.burst} at once "
        f"of the limit of {limit.title}; send it in parts"
    )


def refusal_text(refusal: Refusal) -> str:
    """The answer to the client: which limit, whose, and when to try again."""
    limit, owner = refusal.key.limit, refusal.key.name.split(":", 3)[3]
    if not isinstance(limit, Limit):
        raise TypeError(f"key {refusal.key.name!r} stands for no limit")
    seconds = max(-(-refusal.wait // SECOND), 1)
    whose = " and ".join(f"{part} {name}" for part, name in zip(limit.key, owner.split(","), strict=False))
    if refusal.away:
        return f"450 4.7.1 The count of {limit.title} for {whose} is not available now; retry in {seconds} s"
    return f"450 4.7.1 Limit of {limit.title} for {whose} reached; retry in {seconds} s"
