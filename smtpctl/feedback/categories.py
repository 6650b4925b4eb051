"""Why a message was not delivered, and which of the reasons are about the address itself."""

from __future__ import annotations

from enum import StrEnum


class Category(StrEnum):
    """Why a message was not delivered."""

    INVALID_MAILBOX = "invalid_mailbox"
    MAILBOX_DISABLED = "mailbox_disabled"
    MAILBOX_FULL = "mailbox_full"
    BAD_DOMAIN = "bad_domain"
    CONTENT = "content"
    VIRUS = "virus"
    REPUTATION = "reputation"
    RATE_LIMIT = "rate_limit"
    GREYLISTING = "greylisting"
    AUTHENTICATION = "authentication"
    POLICY = "policy"
    RELAY_DENIED = "relay_denied"
    SIZE = "size"
    NETWORK = "network"
    SYSTEM = "system"
    UNKNOWN = "unknown"


#: Categories in which the address is bad: nothing that we or the provider do later brings it back.
HARD = frozenset({Category.INVALID_MAILBOX, Category.BAD_DOMAIN})
