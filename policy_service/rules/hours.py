"""Rule: a credential that names its hours sends within them. Outside, the mail waits with whoever submits it."""

from __future__ import annotations

from time import gmtime, strftime

from policy_service.protocol import Request
from policy_service.rules.rule import DATA, RCPT, Context, Rule, Verdict

_MINUTES_OF_A_WEEK = 7 * 24 * 60


def check(_: Request, context: Context) -> Verdict | None:
    """Put mail off that comes outside the hours, until they begin."""
    credential = context.credential
    if credential is None or not credential.hours:
        return None
    minute = minute_of_week(context.wall)
    if any(start <= minute < end for start, end in credential.hours):
        return None
    waits = min((start - minute) % _MINUTES_OF_A_WEEK for start, _ in credential.hours)
    begins = (int(context.wall) // 60 + waits) * 60
    text = strftime("%Y-%m-%d %H:%M", gmtime(begins))
    return Verdict(
        f"450 4.7.1 Credential {credential.name} sends at other hours; again from {text} UTC, "
        f"in {max(int(begins - context.wall), 1)} s"
    )


def minute_of_week(wall: float) -> int:
    """Minutes since Monday 00:00 UTC."""
    # 1970-01-01 was a Thursday.
    return (int(wall) // 60 + 3 * 24 * 60) % _MINUTES_OF_A_WEEK


RULE = Rule("hours", "It is one of the credential's hours.", frozenset({RCPT, DATA}), check, once=True)
