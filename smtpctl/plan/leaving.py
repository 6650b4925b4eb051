"""What a change would leave mail behind in: instances that stop, transports that go, hosts that are forgotten. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from smtpctl.model.artifacts import DesiredHost
from smtpctl.model.plans import HostPlan, ObservedHost
from smtpctl.plan.effects.postfix import logical_lines

#: Where every host has the names and addresses of all.
PEERS = "/etc/smtpctl/peers.json"

#: The instance whose mail is bound to a transport when it comes in: the one of its stream's pool.
SUBMISSION = "submission"
_MASTER = f"/etc/postfix-{SUBMISSION}/master.cf"


def stopping(plan: HostPlan) -> tuple[str, ...]:
    """Postfix instances that the plan stops for good."""
    units = (unit for unit in plan.stop if unit.startswith("postfix@"))
    return tuple(unit.removeprefix("postfix@").removesuffix(".service") for unit in units)


def going(plan: HostPlan, observed: ObservedHost) -> tuple[str, ...]:
    """Transports that the submission instance has and will not have; none where it stops as a whole."""
    old = observed.contents.get(_MASTER)
    new = next((change.after for change in plan.files if change.path == _MASTER), None)
    if old is None or new is None or SUBMISSION in stopping(plan):
        return ()
    return tuple(sorted(_clients(old) - _clients(new.content)))


def leaving(desired: DesiredHost, observed: ObservedHost) -> dict[str, str]:
    """Hosts that this one knows and is to forget, by name with their address. Another name for an address is none."""
    old, new = observed.contents.get(PEERS), desired.files.get(PEERS)
    if old is None or new is None:
        return {}
    stay = json.loads(new.content)
    return {name: address for name, address in json.loads(old).items() if address not in stay.values()}


def stranded(instances: Mapping[str, int], transports: Mapping[str, int]) -> tuple[str, ...]:
    """What waits where a plan would leave it, in words."""
    return (
        *(f"{_messages(count)} in the queue of postfix@{name}, which it stops" for name, count in instances.items()),
        *(f"{_messages(count)} of postfix@{SUBMISSION} for pool {name}" for name, count in transports.items()),
    )


def _messages(count: int) -> str:
    return f"{count} message{'s' if count != 1 else ''}"


def _clients(text: bytes) -> set[str]:
    lines: Sequence[list[str]] = [line.split() for line in logical_lines(text.decode(errors="replace"))]
    return {words[0] for words in lines if len(words) > 7 and words[1] == "unix" and words[7] == "smtp"}
