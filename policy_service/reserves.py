"""The keys that the rules alone name, whoever writes: their reserves are taken before anybody needs them. Pure.

A limit by credential or stream has one key a credential, which is known as soon as the rules are. A limit by sender,
domain, client or provider has a key for whoever comes: its reserve is taken with the first message that comes.
"""

from __future__ import annotations

from collections.abc import Iterator

from policy_service.leases import Named
from policy_service.rules import quota, ramp
from policy_service.ruleset import Ruleset

_NAMED = frozenset({"credential", "stream"})


def named(ruleset: Ruleset, wall: float) -> Iterator[Named]:
    """The keys that have a reserve and are known by the rules."""
    if ruleset.mode(quota.NAME) == "off":
        return
    for credential in ruleset.credentials.values():
        owners = {"credential": credential.name, "stream": credential.stream.name}
        day = ramp.limit_of_day(credential, wall, ruleset.processes) if ruleset.mode(ramp.NAME) == "enforce" else None
        for limit in credential.limits if day is None else (*credential.limits, day):
            if limit.shape.reserve and _NAMED.issuperset(limit.key):
                yield limit.bucket(owners), limit.shape, limit
