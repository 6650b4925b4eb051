"""Whether the ledger accounts for every message: what came in is what left and what waits. Pure.

    accepted = delivered + bounced + expired + discarded + deleted + requeued + in queue

The left side is what the log says was taken in, by instance; the right side what it says became of it. Both come from
one log, so the sum alone proves little. What proves it is the live queues: the ledger's "in queue" has to be exactly
what the queues hold. The ledger runs a second behind the queues, so one look never agrees on a busy fleet: a message
counts as a difference when every look of some found it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

#: Outcomes of messages that were never taken in.
NOT_ACCEPTED = ("refused", "arriving")
UNEXPLAINED = "not accounted for"

#: Host, instance (without "postfix-"), queue id.
Identity = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Look:
    """What the ledger and the live queues had at one time."""

    ledger: frozenset[Identity]
    live: frozenset[Identity]


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the messages of one instance."""

    host: str
    instance: str
    outcomes: dict[str, int] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        """Messages that were taken in."""
        return sum(count for outcome, count in self.outcomes.items() if outcome not in NOT_ACCEPTED)


@dataclass(frozen=True, slots=True)
class Audit:
    """The answer: accounts by instance, messages that no line explains, and differences to the live queues."""

    accounts: list[Account]
    #: In a live queue, and the ledger does not know that it is: its lines were lost, or the shipper is behind.
    unknown: list[Identity]
    #: In a queue for the ledger, and in none: the line that says how it ended was lost.
    vanished: list[Identity]

    @property
    def unexplained(self) -> int:
        """Messages that left without an attempt, or whose end no line told."""
        return sum(account.outcomes.get(UNEXPLAINED, 0) for account in self.accounts)

    @property
    def differs(self) -> bool:
        """Whether anything is not accounted for."""
        return bool(self.unknown or self.vanished or self.unexplained)


def accounts_of(rows: Iterable[tuple[str, str, str, int]]) -> list[Account]:
    """From (host, instance, outcome, messages)."""
    found: dict[tuple[str, str], Account] = {}
    for host, instance, outcome, messages in rows:
        name = short_name(instance)
        account = found.setdefault((host, name), Account(host, name))
        account.outcomes[outcome] = account.outcomes.get(outcome, 0) + messages
    return [found[key] for key in sorted(found)]


def short_name(instance: str) -> str:
    """An instance as its queue is called; the log calls it by its syslog_name."""
    return instance.removeprefix("postfix-")


def differences(looks: list[Look]) -> tuple[list[Identity], list[Identity]]:
    """(in a queue and not in the ledger, in the ledger and in no queue), as far as every look found it so."""
    unknown = frozenset.intersection(*(look.live - look.ledger for look in looks))
    vanished = frozenset.intersection(*(look.ledger - look.live for look in looks))
    return sorted(unknown), sorted(vanished)
