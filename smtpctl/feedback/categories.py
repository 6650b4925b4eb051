"""Why a message was not delivered, and which of the reasons are about the address itself."""

from __future__ import annotations

from enum import StrEnum


class Category(StrEnum):
    """Why a message was not delivered; the words of the ledger's `category` columns."""

    INVALID_MAILBOX = "invalid mailbox"
    INACTIVE = "inactive"
    FULL = "full"
    DNS = "dns"
    SPAM = "spam"
    CONTENT = "content"
    REPUTATION = "reputation of address"
    RATE = "rate"
    GREYLISTING = "greylisting"
    AUTHENTICATION = "authentication"
    POLICY = "policy"
    RELAY = "relay"
    SIZE = "size"
    NETWORK = "network"
    SYSTEM = "system"
    OTHER = "other"


#: Categories in which the address is bad: nothing that we or the provider do later brings it back.
HARD = frozenset({Category.INVALID_MAILBOX, Category.DNS})
