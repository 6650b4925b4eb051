"""The escape hatch: extra main.cf parameters go to an instance that exists, and not into what smtpctl answers for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from smtpctl.inventory.checks.check import Findings, reads
from smtpctl.inventory.checks.owned_parameters import OVERLAY, reason_against
from smtpctl.inventory.problems import Finding, Path
from smtpctl.inventory.words import suggestion
from smtpctl.model.fleet import Fleet, Host, Role


def _instances(fleet: Fleet) -> tuple[str, ...]:
    """Names of the fleet's Postfix instances (the mailbox role has none: it is Dovecot)."""
    return ("submission", "feedback", *fleet.pools)


def _instances_on(fleet: Fleet, name: str, host: Host) -> tuple[str, ...]:
    roles = [role for role in (Role.SUBMISSION, Role.FEEDBACK) if role in host.roles]
    return (*map(str, roles), *fleet.pools_of(name))


def _all_parameters(fleet: Fleet) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Every mapping of parameters in the inventory with its path."""
    yield from ((("parameters", name), parameters) for name, parameters in fleet.parameters.items())
    yield from ((("pools", name, "parameters"), pool.parameters) for name, pool in fleet.pools.items())
    for host_name, host in fleet.hosts.items():
        for name, parameters in host.parameters.items():
            yield ("hosts", host_name, "parameters", name), parameters


@reads("parameters", "pools", "hosts")
def parameters_have_an_instance(fleet: Fleet) -> Findings:
    """Extra parameters name a Postfix instance: `submission`, `feedback` or a pool; those of a host, one that runs on
    it."""
    instances = _instances(fleet)
    for name in fleet.parameters:
        if name not in instances:
            hint = suggestion(name, instances, what="instances")
            yield Finding(("parameters", name), f"there is no Postfix instance {name!r}", hint, at_key=True)
    for host_name, host in fleet.hosts.items():
        own = _instances_on(fleet, host_name, host)
        for name in host.parameters:
            if name not in own:
                hint = suggestion(name, own, what=f"instances on {host_name}")
                message = f"no Postfix instance {name!r} runs on {host_name!r}"
                yield Finding(("hosts", host_name, "parameters", name), message, hint, at_key=True)


@reads("parameters", "pools", "hosts")
def safety_is_not_a_parameter(fleet: Fleet) -> Findings:
    """Extra parameters are none of those that smtpctl keeps to itself (see the table below)."""
    for path, parameters in _all_parameters(fleet):
        for name in parameters:
            reason = reason_against(name)
            if reason is not None:
                message = f"{name} is not for the inventory: it decides {reason.decides}"
                yield Finding((*path, name), message, reason.instead or OVERLAY, at_key=True)


@reads("parameters", "pools")
def a_pool_parameter_stands_once(fleet: Fleet) -> Findings:
    """A parameter of a pool stands under the pool or under `parameters` of the fleet, not under both."""
    for name, pool in fleet.pools.items():
        for parameter in pool.parameters:
            if parameter in fleet.parameters.get(name, {}):
                message = f"{parameter} of pool {name!r} also stands under parameters.{name}, which would win"
                yield Finding(("pools", name, "parameters", parameter), message, "remove one of the two", at_key=True)


CHECKS = (parameters_have_an_instance, safety_is_not_a_parameter, a_pool_parameter_stands_once)
