"""In which order the hosts of a fleet change."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from smtpctl.model.fleet import Fleet, Role

#: What others depend on comes first: the database, then what receives feedback, then relays, then the entrance.
ORDER = (Role.CONTROL, Role.MAILBOX, Role.FEEDBACK, Role.RELAY, Role.SUBMISSION, Role.BALANCER)


def waves(
    fleet: Fleet, hosts: Sequence[str], *, fresh: Collection[str] = (), last: Collection[str] = ()
) -> tuple[tuple[str, ...], ...]:
    """``hosts`` in waves that follow each other; a host's place is that of the last of its roles in ``ORDER``.

    The first host of a role is the canary of the others. Among equals ``last`` ones, which hold the virtual address,
    come after the others.

    Two hosts that share a role never change in one wave, so that one of them serves while the other changes; but
    ``fresh`` ones, which serve nothing yet, do not wait for each other: all of them change at once, and after them
    those at the entrance, whose health checks hand a message over to a relay.
    """
    remaining = sorted(hosts, key=lambda host: (_rank(fleet, host), host in last))
    result = []
    while remaining:
        first = remaining[0]
        wave: list[str] = []
        for host in remaining:
            serving = [other for other in wave if not {host, other} <= set(fresh)]
            due = _rank(fleet, host) == _rank(fleet, first) or (
                {host, first} <= set(fresh) and _at_entrance(fleet, host) == _at_entrance(fleet, first)
            )
            if due and not any(_share_role(fleet, host, other) for other in serving):
                wave.append(host)
        result.append(tuple(wave))
        remaining = [host for host in remaining if host not in wave]
    return tuple(result)


def _rank(fleet: Fleet, host: str) -> int:
    return max(ORDER.index(role) for role in fleet.hosts[host].roles)


def _at_entrance(fleet: Fleet, host: str) -> bool:
    return _rank(fleet, host) >= ORDER.index(Role.SUBMISSION)


def _share_role(fleet: Fleet, one: str, other: str) -> bool:
    return bool(set(fleet.hosts[one].roles) & set(fleet.hosts[other].roles))
