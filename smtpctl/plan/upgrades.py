"""Package upgrades as a plan: which units have to restart for them. Pure.

A package's own scripts start and stop nothing here, so that everything that is a program of an upgraded package is
restarted by name: of Postfix that is every instance of the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from smtpctl.model.artifacts import DesiredHost, Service
from smtpctl.model.plans import HostPlan, ObservedHost, UnitAction, UnitStep, Upgrade


def patterns(desired: DesiredHost) -> tuple[str, ...]:
    """Names of the packages that are smtpctl's to upgrade on a host, as patterns (fnmatch)."""
    return tuple(sorted({pattern for service in desired.services for pattern in service.packages}))


def plan_upgrades(desired: DesiredHost, observed: ObservedHost, upgrades: Sequence[Upgrade]) -> HostPlan:
    """Given what could be upgraded on a host that is as desired, return everything that doing so means there."""
    steps = [_step(service, upgrades) for service in desired.services]
    return HostPlan(
        host=desired.host,
        revision=desired.revision,
        observed_revision=observed.revision,
        upgrades=tuple(upgrades),
        effects=tuple(f"upgrade {upgrade}" for upgrade in upgrades),
        steps=tuple(sorted((step for step in steps if step), key=lambda step: step.stage)),
        probes=desired.probes,
        holds_address=observed.holds_address,
    )


def _step(service: Service, upgrades: Sequence[Upgrade]) -> UnitStep | None:
    reasons = tuple(
        str(upgrade)
        for upgrade in upgrades
        if any(fnmatchcase(upgrade.package, pattern) for pattern in service.packages)
    )
    if not reasons:
        return None
    return UnitStep(service.unit, service.stage, UnitAction.RESTART, reasons, service.oneshot, service.serves)
