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
    URL = "url"
    REPUTATION = "reputation of address"
    REPUTATION_OF_DOMAIN = "reputation of domain"
    REPUTATION_OF_NETWORK = "reputation of network"
    RATE = "rate"
    CONNECTIONS = "connections"
    GREYLISTING = "greylisting"
    AUTHENTICATION = "authentication"
    TLS = "tls"
    POLICY = "policy"
    RELAY = "relay"
    SIZE = "size"
    NETWORK = "network"
    PROTOCOL = "protocol"
    SYSTEM = "system"
    OTHER = "other"


class Action(StrEnum):
    """What to do about it; `rules/actions.toml` says each in a sentence."""

    REMOVE = "remove"
    REST = "rest"
    RETRY = "retry"
    SLOW = "slow"
    PAUSE = "pause"
    APPEAL = "appeal"
    REPAIR = "repair"
    REVIEW = "review"
    SHRINK = "shrink"
    READ = "read"


#: Categories in which the address is bad: nothing that we or the provider do later brings it back.
HARD = frozenset({Category.INVALID_MAILBOX, Category.DNS})
