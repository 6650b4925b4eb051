"""What happens to systemd units, and why: the least that makes every changed file count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smtpctl.model.artifacts import Action, DesiredHost, Service
from smtpctl.model.plans import FileChange, ObservedHost, UnitAction, UnitFact, UnitStep
from smtpctl.plan.patterns import matches

#: What a reason asks for, and the reason in words.
Reason = tuple[UnitAction, str]

#: A unit of which nothing was observed.
UNKNOWN = UnitFact()

UNIT_FOLDERS = ("/etc/systemd/system/", "/usr/local/lib/systemd/system/")


def unit_steps(desired: DesiredHost, observed: ObservedHost, changes: Sequence[FileChange]) -> tuple[UnitStep, ...]:
    """Actions on services, in the order of their stages; services that need none have none."""
    stopped_stems = [
        unit.removesuffix(".service") for unit in units_to_mask(desired, observed) if _fact(observed, unit).running
    ]
    steps = [_step(service, desired, observed, changes, stopped_stems) for service in desired.services]
    return tuple(sorted((step for step in steps if step), key=lambda step: step.stage))


def units_to_enable(desired: DesiredHost, observed: ObservedHost) -> tuple[str, ...]:
    """Services that do not start at boot yet."""
    return tuple(s.unit for s in desired.services if not _fact(observed, s.unit).starts_at_boot)


def units_to_stop(desired: DesiredHost, observed: ObservedHost) -> tuple[str, ...]:
    """Services that an earlier revision ran and this one does not want."""
    wanted = {service.unit for service in desired.services}
    return tuple(
        unit
        for unit in observed.owned_services
        if unit not in wanted and (_fact(observed, unit).running or _fact(observed, unit).enabled == "enabled")
    )


def units_to_mask(desired: DesiredHost, observed: ObservedHost) -> tuple[str, ...]:
    return tuple(unit for unit in desired.masked_units if not _fact(observed, unit).masked)


def units_to_unmask(desired: DesiredHost, observed: ObservedHost) -> tuple[str, ...]:
    """Units that an earlier revision masked, and services that somebody did."""
    candidates = [*observed.owned_masks, *(service.unit for service in desired.services)]
    unwanted = dict.fromkeys(unit for unit in candidates if unit not in desired.masked_units)
    return tuple(unit for unit in unwanted if _fact(observed, unit).masked)


def changes_units(changes: Iterable[FileChange]) -> bool:
    """Whether systemd has to read its unit files again."""
    return any(change.path.startswith(UNIT_FOLDERS) for change in changes)


def _step(
    service: Service,
    desired: DesiredHost,
    observed: ObservedHost,
    changes: Sequence[FileChange],
    stopped_stems: Sequence[str],
) -> UnitStep | None:
    fact = _fact(observed, service.unit)
    reasons = _triggered(service, changes) or _stale(service, fact, desired, observed)
    if _template_stem(service.unit) in stopped_stems:
        reasons.append((UnitAction.RESTART, "masking its main unit stops it too (PartOf)"))
    idle = _idle_reason(service, fact, observed)
    if idle:
        reasons.append((UnitAction.RESTART if service.oneshot else UnitAction.START, idle))
    if not reasons:
        return None
    action = max((action for action, _ in reasons), key=list(UnitAction).index)
    if service.oneshot and action is UnitAction.START:
        action = UnitAction.RESTART
    words = tuple(dict.fromkeys(reason for _, reason in reasons))
    return UnitStep(service.unit, service.stage, action, words, service.oneshot, service.serves)


def _triggered(service: Service, changes: Sequence[FileChange]) -> list[Reason]:
    reasons = [
        (_action(action), change.path)
        for change in changes
        for pattern, action in service.triggers
        if matches(change.path, pattern)
    ]
    return reasons + [(UnitAction.RESTART, change.path) for change in changes if _defines(change.path, service.unit)]


def _stale(service: Service, fact: UnitFact, desired: DesiredHost, observed: ObservedHost) -> list[Reason]:
    """Files that came after the service last read its files: a run that died, or a hand, left it on older ones."""
    if not fact.running or not fact.changed:
        return []
    later = sorted(
        path for path, written in observed.written.items() if written > fact.changed and path in desired.files
    )
    return [
        (_action(action), f"runs on an older {path}")
        for path in later
        for pattern, action in service.triggers
        if matches(path, pattern)
    ]


def _action(action: Action) -> UnitAction:
    return UnitAction.RESTART if action is Action.RESTART else UnitAction.RELOAD


def _defines(path: str, unit: str) -> bool:
    """Whether ``path`` is the unit's own file, its template's, or a drop-in of either."""
    stem, at, rest = unit.partition("@")
    names = [unit] + ([f"{stem}@.{rest.rpartition('.')[2]}"] if at else [])
    return any(
        path == f"{folder}{name}" or path.startswith(f"{folder}{name}.d/") for folder in UNIT_FOLDERS for name in names
    )


def _idle_reason(service: Service, fact: UnitFact, observed: ObservedHost) -> str:
    """Why a unit has to be started although no file asks for it; empty when it has not."""
    if service.oneshot:
        if fact.active == "failed":
            return "failed"
        if service.unit not in observed.owned_services:
            return "new"
        return "not run since boot" if fact.remains and not fact.running else ""
    return "" if fact.running else ("failed" if fact.active == "failed" else "not running")


def _template_stem(unit: str) -> str:
    stem, at, _ = unit.partition("@")
    return stem if at else ""


def _fact(observed: ObservedHost, unit: str) -> UnitFact:
    return observed.units.get(unit, UNKNOWN)
