"""What a rules file says, as frozen values: credentials with their limits, streams, rules' modes. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from policy_service.gcra import SECOND, Shape

#: Recipients whose domain no provider names.
OTHER_PROVIDER = "default"


_WINDOWS = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}


class RulesError(Exception):
    """The rules file is not usable. ``problems`` names each place and what is right there."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Limit:
    """Never more than ``shape.count`` of ``counted`` in any window, counted apart by ``key``."""

    key: tuple[str, ...]
    counted: str
    shape: Shape
    #: Whether it is a day's of a new credential's ramp.
    ramp: bool = False

    @property
    def title(self) -> str:
        """The limit in words, such as ``10 recipients an hour``."""
        seconds = self.shape.window // SECOND
        return f"{self.shape.count} {self.counted} {_WINDOWS.get(seconds, f'in {seconds} s')}"

    @property
    def kind(self) -> str:
        """What it is counted apart by, as the name of a key begins."""
        return "ramp" if self.ramp else "+".join(self.key)

    def bucket(self, owners: Mapping[str, str]) -> str:
        """The name of the key of these owners. The count is no part of it: it may change."""
        owner = ",".join(owners[part] for part in self.key)
        return f"{self.kind}:{self.counted}:{self.shape.window // SECOND}:{owner}"


@dataclass(frozen=True, slots=True)
class Stream:
    """A kind of mail, and the FILTER destination that hands it to its pool.

    ``message_size`` is the largest message in bytes, 0 for none; ``prepend`` a header field that each message gets.
    """

    name: str
    filter: str
    message_size: int = 0
    prepend: str = ""


@dataclass(frozen=True, slots=True)
class Ramp:
    """A new credential's first days: ``first`` recipients on day ``since`` (from the epoch), twice as many each day."""

    since: int
    first: int
    days: int


@dataclass(frozen=True, slots=True)
class InvalidRecipients:
    """So many invalid recipients in a row hold a credential for so long (seconds)."""

    in_a_row: int
    hold: int


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Credential:
    """What an application signs in with, and what it may do.

    Of ``senders``, ``shop.test`` stands for the domain and all under it, ``@shop.test`` for the domain alone, and
    ``a@shop.test`` for the address. ``hours`` are minutes of a week.
    """

    name: str
    senders: frozenset[str]
    stream: Stream
    recipients_per_message: int
    limits: tuple[Limit, ...]
    reserved: frozenset[str] = frozenset()
    null_sender: bool = False
    clients: tuple[Network, ...] = ()
    hours: tuple[tuple[int, int], ...] = ()
    ramp: Ramp | None = None

    def may_use(self, address: str) -> bool:
        """Whether ``address`` (lower case) is one of its senders. Reserved domains are never: those are the mail
        servers' own, such as the domain that bounces come back to."""
        domain = address.rpartition("@")[2]
        if address in self.senders or f"@{domain}" in self.senders:
            return not self._is_reserved(domain)
        return self._below(domain)

    def knows(self, domain: str) -> bool:
        """Whether some address of ``domain`` may be one of its senders."""
        return any(sender.rpartition("@")[2] == domain for sender in self.senders) or self._below(domain)

    def _below(self, domain: str) -> bool:
        while domain and domain not in self.reserved:
            if domain in self.senders:
                return True
            domain = domain.partition(".")[2]
        return False

    def _is_reserved(self, domain: str) -> bool:
        while domain and domain not in self.reserved:
            domain = domain.partition(".")[2]
        return bool(domain)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Everything that a rules file says. ``hosts`` share the quotas; empty where one process is alone with them.

    ``providers`` names the mailbox provider of recipient domains.
    """

    fleet: str
    hosts: tuple[str, ...]
    credentials: Mapping[str, Credential]
    modes: Mapping[str, str]
    actions: Mapping[str, str] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    invalid_recipients: InvalidRecipients | None = None

    def mode(self, rule: str) -> str:
        """``enforce``, ``shadow`` (log what it would do) or ``off``."""
        return self.modes.get(rule, "enforce")

    def agrees_with(self, other: Ruleset) -> bool:
        """Whether both say the same, but for their credentials."""
        return replace(self, credentials=other.credentials) == other

    @property
    def processes(self) -> int:
        """How many processes share the quotas."""
        return max(len(self.hosts), 1)

    def provider(self, domain: str) -> str:
        """The provider of a recipient domain (lower case)."""
        return self.providers.get(domain, OTHER_PROVIDER)
