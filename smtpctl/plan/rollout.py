"""What gives way before a host changes: sessions at the balancers, the virtual address, queues. Pure.

A reload costs nobody anything, so that nothing gives way for it. Whatever else happens to a unit counts for the roles
that the unit serves. A host that serves nothing yet has nobody to spare.
"""

from __future__ import annotations

from collections.abc import Mapping

from smtpctl.model.fleet import Fleet, Role
from smtpctl.model.plans import HostPlan, UnitAction
from smtpctl.model.rollouts import Drain, Move, Rollout, Server, Turn
from smtpctl.plan.waves import waves

#: Admin sockets of the two kinds of HAProxy, and the backends of the balancers' (templates/balancer, /submission).
BALANCER_SOCKET = "/run/haproxy/admin.sock"
LOOPBACK_SOCKET = "/run/haproxy-submission/admin.sock"
BALANCER_BACKENDS = ("submission", "submissions")


def rollout(fleet: Fleet, plans: Mapping[str, HostPlan]) -> Rollout:
    """The order in which the hosts of ``plans`` change, and what each needs around it."""
    fresh = [name for name, plan in plans.items() if not plan.observed_revision]
    last = [name for name, plan in plans.items() if plan.holds_address]
    turns = {name: Turn(name) if name in fresh else _turn(fleet, plan) for name, plan in plans.items()}
    return Rollout(waves(fleet, list(plans), fresh=fresh, last=last), turns)


def _turn(fleet: Fleet, plan: HostPlan) -> Turn:
    hit = _interrupted(fleet, plan)
    drains: dict[str, list[Server]] = {}
    queues: list[str] = []
    alone: list[str] = []
    move = _balancer(fleet, plan, alone) if Role.BALANCER in hit else None
    if Role.SUBMISSION in hit:
        queues += _submission(fleet, plan.host, drains, alone)
    if Role.RELAY in hit:
        queues += _relay(fleet, plan.host, _pools(fleet, plan), drains, alone)
    ordered = tuple(Drain(at, tuple(servers)) for at, servers in drains.items())
    return Turn(plan.host, move, ordered, tuple(queues), tuple(alone))


def _interrupted(fleet: Fleet, plan: HostPlan) -> set[Role]:
    """Roles of the host that more than a reload happens to. What is stopped or masked may have served any of them."""
    own = set(fleet.hosts[plan.host].roles)
    if plan.stop or plan.mask or plan.unmask:
        return own
    served = {role for step in plan.steps if step.action is not UnitAction.RELOAD for role in step.serves}
    return {role for role in own if role.value in served}


def _balancer(fleet: Fleet, plan: HostPlan, alone: list[str]) -> Move | None:
    others = _others(fleet, Role.BALANCER, plan.host)
    address = (fleet.balancing.virtual_address or "").partition("/")[0]
    if not others:
        alone.append("no other balancer: applications are refused until it is back")
    elif plan.holds_address:
        return Move(address, others)
    return None


def _submission(fleet: Fleet, host: str, drains: dict[str, list[Server]], alone: list[str]) -> tuple[str, ...]:
    """Drain ``host`` at all balancers; the instances that run empty then."""
    if not _others(fleet, Role.SUBMISSION, host):
        alone.append("no other submission host: applications are refused until it is back")
        return ()
    for balancer in fleet.hosts_with(Role.BALANCER):
        servers = drains.setdefault(balancer, [])
        servers += [Server(BALANCER_SOCKET, f"{backend}/{host}") for backend in BALANCER_BACKENDS]
    return (Role.SUBMISSION.value,)


def _relay(
    fleet: Fleet, host: str, pools: tuple[str, ...], drains: dict[str, list[Server]], alone: list[str]
) -> tuple[str, ...]:
    """Drain the ``pools`` of ``host`` at all submission hosts; the instances that run empty then."""
    shared = tuple(pool for pool in pools if fleet.relays_of(pool) != (host,))
    for pool in pools:
        if pool not in shared:
            alone.append(f"no other relay of {pool}: its mail waits on the submission hosts until it is back")
    for submission in fleet.hosts_with(Role.SUBMISSION) if shared else ():
        servers = drains.setdefault(submission, [])
        servers += [Server(LOOPBACK_SOCKET, f"{pool}/{host}") for pool in shared]
    return shared


def _pools(fleet: Fleet, plan: HostPlan) -> tuple[str, ...]:
    """Pools that stop for a while: those whose instances do; all, where it is something that they share."""
    pools = fleet.pools_of(plan.host)
    instances = {f"postfix@{pool}.service": pool for pool in pools}
    units = [
        step.unit for step in plan.steps if step.action is not UnitAction.RELOAD and Role.RELAY.value in step.serves
    ]
    if not units or not all(unit in instances for unit in units):
        return pools
    return tuple(pool for unit, pool in instances.items() if unit in units)


def _others(fleet: Fleet, role: Role, host: str) -> tuple[str, ...]:
    return tuple(name for name in fleet.hosts_with(role) if name != host)
