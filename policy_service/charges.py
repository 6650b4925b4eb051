"""Messages that wait to be charged, what is sent to the shared truth about them, and what comes of it. Values only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policy_service.exchange import Exchange
from policy_service.key import Key


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message was not charged: the key that has no room, and in how many nanoseconds it would have."""

    key: Key
    wait: int
    #: The truth did not answer and the reserve does not suffice: the limit itself may well have room.
    away: bool = False


class _Granted:
    """The message is charged."""


GRANTED = _Granted()
Outcome = _Granted | Refusal


@dataclass(slots=True, eq=False)
class Charge:
    """One message that waits to be charged: units by key, and who is told."""

    units: Sequence[tuple[Key, int]]
    tell: Callable[[Outcome], None]
    deadline: int
    told: bool = False

    def answer(self, outcome: Outcome) -> None:
        """Tell, unless the answer came from the reserve already. What the truth charged then stays charged."""
        if not self.told:
            self.told = True
            self.tell(outcome)


@dataclass(frozen=True, slots=True)
class HandBack:
    """Nanoseconds of a key's rate that the truth may take off again, unless it hears of it after ``not_after``."""

    key: str
    nanoseconds: int
    not_after: int


@dataclass(slots=True, eq=False)
class Sent:
    """An exchange on its way, with the keys of its asks and the messages of its charges."""

    exchange: Exchange
    keys: list[Key]
    charges: list[Charge]
    at: int
