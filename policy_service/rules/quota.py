"""Rule: the limits of a credential and of its senders. What is counted and the words; ``leases`` does the counting."""

from __future__ import annotations

from policy_service.gcra import SECOND
from policy_service.leases import Book, Key, Refusal
from policy_service.ruleset import Credential, Limit

NAME = "quota"
DESCRIPTION = "The message is within every limit of its credential and sender."


def units_of(limit: Limit, recipients: int) -> int:
    """What one message of so many recipients takes from a limit."""
    return recipients if limit.counted == "recipients" else 1


def keys_of(book: Book, credential: Credential, sender: str, recipients: int) -> list[tuple[Key, int]]:
    """The keys that a message is charged to, with its units."""
    return [
        (_key(book, limit, credential.name if limit.key == "credential" else sender), units_of(limit, recipients))
        for limit in credential.limits
    ]


def beyond_burst(credential: Credential, recipients: int) -> str | None:
    """The final refusal of a message that no limit could ever pass, or None."""
    for limit in credential.limits:
        if units_of(limit, recipients) > limit.shape.burst:
            return (
                f"554 5.7.1 {recipients} recipients in one message are more than the {limit.shape.burst} at once "
                f"of the limit of {limit.title}; send it in parts"
            )
    return None


def refusal_text(refusal: Refusal) -> str:
    """The answer to the client: which limit, whose, and when to try again."""
    limit, owner = refusal.key.limit, refusal.key.name.split(":", 3)[3]
    if not isinstance(limit, Limit):
        raise TypeError(f"key {refusal.key.name!r} stands for no limit")
    seconds = max(-(-refusal.wait // SECOND), 1)
    if refusal.away:
        return (
            f"450 4.7.1 The count of {limit.title} for {limit.key} {owner} is not available now; retry in {seconds} s"
        )
    return f"450 4.7.1 Limit of {limit.title} for {limit.key} {owner} reached; retry in {seconds} s"


def _key(book: Book, limit: Limit, owner: str) -> Key:
    return book.key(limit.bucket(owner), limit.shape, limit)
