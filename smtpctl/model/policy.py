"""What the inventory says to the policy service: limits, hours, ramps, and how its rules are set."""

from __future__ import annotations

from typing import Literal

from smtpctl.model.forms import Date, Duration, LimitKey, TimeOfDay
from smtpctl.model.value import Value, field

#: The rules of the policy service, in the order in which it asks them.
RULES = (
    "authenticated",
    "client",
    "sender",
    "hours",
    "held",
    "suppressed",
    "recipients",
    "size",
    "quota",
    "ramp",
    "invalid-recipients",
    "header-from",
)

#: Those whose objection may be another action than their own.
RULES_WITH_ACTION = ("client", "sender", "hours", "held", "suppressed")

#: The largest message that submission takes in (message_size_limit).
LARGEST_MESSAGE = 26214400


class Limit(Value):
    """Never more than `count` of `counted` in any window of `per`."""

    key: LimitKey = field(
        default="credential",
        description="What is counted apart: `credential`, `sender`, `domain` (the sender's), `client`, `stream`, "
        "`provider` (the recipient's), or several of them joined by '+'.",
        examples=["credential+provider"],
    )
    counted: Literal["messages", "recipients", "bytes"] = field(default="recipients", description="The unit.")
    count: int = field(ge=1, description="The limit.")
    per: Duration = field(description="The window.", examples=["1h"])
    burst: int | None = field(
        default=None,
        ge=1,
        description="How many may go at once; default: the larger of count/100 and one message's recipients or bytes.",
        examples=[500],
    )

    @property
    def parts(self) -> tuple[str, ...]:
        """What is counted apart, one by one."""
        return tuple(self.key.split("+"))

    def largest(self, recipients_per_message: int, message_size: int | None) -> int:
        """What one message may take at most, given its credential's recipients and its stream's bytes."""
        if self.counted == "bytes":
            return message_size or LARGEST_MESSAGE
        return recipients_per_message if self.counted == "recipients" else 1

    def burst_for(self, recipients_per_message: int, message_size: int | None = None) -> int:
        """The burst in force for a credential whose messages may be so large; never below 1."""
        if self.burst is not None:
            return self.burst
        return max(self.count // 100, self.largest(recipients_per_message, message_size))


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _every_day() -> list[Day]:
    return ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Hours(Value):
    """A time of the week, in UTC. One that goes over midnight is two."""

    days: list[Day] = field(default_factory=_every_day, description="Days of the week.", min_length=1)
    start: TimeOfDay = field(description="From this minute on.", examples=["08:00"])
    end: TimeOfDay = field(description="Until before this minute.", examples=["18:00"])


class Ramp(Value):
    """A new credential's first days: `first` recipients on the day `since`, twice as many on each day after it."""

    since: Date = field(description="The first day (UTC).", examples=["2026-11-30"])
    first: int = field(ge=1, description="Recipients on the first day.", examples=[200])
    days: int = field(ge=1, le=30, description="After so many days the limits alone hold.", examples=[10])


class RuleSetting(Value):
    """How a rule of the policy service is set."""

    mode: Literal["enforce", "shadow", "off"] = field(
        default="enforce", description="`shadow`: the log says what it would do, and nothing is done."
    )
    action: Literal["reject", "defer", "defer_if_permit", "hold"] | None = field(
        default=None,
        description="In place of the rule's own action, for `client`, `sender`, `hours`, `held` and `suppressed`.",
        examples=["defer"],
    )


class InvalidRecipients(Value):
    """When a credential that names one suppressed recipient after the other is held."""

    in_a_row: int = field(ge=2, description="So many in a row, on one host.", examples=[20])
    hold: Duration = field(description="How long its mail then goes to the hold queue.", examples=["1d"])
