"""Rule: a new credential may send little at first, twice as much each day, until its limits alone hold.

The limit of the day counts recipients, over a whole day, like any other; so no window of a day, across midnight too,
holds more than the later day's number. Days are this host's, in UTC.
"""

from __future__ import annotations

from policy_service.gcra import default_burst, shape
from policy_service.ruleset import Credential, Limit

NAME = "ramp"
DESCRIPTION = "A new credential is within what it may send on this day."

DAY = 86400


def limit_of_day(credential: Credential, wall: float, processes: int) -> Limit | None:
    """The limit in force at ``wall``, or None when the ramp is over, or there is none."""
    ramp = credential.ramp
    if ramp is None:
        return None
    day = max(int(wall // DAY) - ramp.since, 0)
    if day >= ramp.days:
        return None
    count = ramp.first << day
    burst = min(default_burst(count, credential.recipients_per_message), count)
    return Limit(("credential",), "recipients", shape(count, DAY, burst, processes), ramp=True)
