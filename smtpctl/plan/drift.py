"""Drift: how a host differs from what smtpctl left there, whatever the inventory says by now."""

from __future__ import annotations

from smtpctl.model.artifacts import DesiredHost
from smtpctl.model.plans import Finding, FindingKind, Kind, ObservedHost, UnitFact
from smtpctl.plan.files import file_changes
from smtpctl.plan.units import unit_steps


def findings(desired: DesiredHost, observed: ObservedHost) -> tuple[Finding, ...]:
    """Everything that drifted, and at the end whether the inventory is ahead of the host."""
    found = [*_files(observed), *_units(observed), *_stale(desired, observed)]
    if observed.unfinished:
        found.append(Finding(FindingKind.UNFINISHED, "", f"an apply was interrupted: {observed.unfinished}"))
    if desired.revision != observed.revision:
        found.append(Finding(FindingKind.PENDING, "", _pending(desired, observed)))
    return tuple(found)


def _files(observed: ObservedHost) -> list[Finding]:
    found = []
    for path, owned in sorted(observed.owned.items()):
        fact = observed.files[path]
        if fact.kind is Kind.ABSENT:
            found.append(Finding(FindingKind.MISSING, path, "was removed"))
        elif fact.kind is not Kind.FILE:
            found.append(Finding(FindingKind.EDITED, path, f"is a {fact.kind} now"))
        elif fact.sha256 != owned.sha256:
            found.append(Finding(FindingKind.EDITED, path, "was edited by hand"))
        elif (fact.mode, fact.owner, fact.group) != (owned.mode, owned.owner, owned.group):
            was = f"{owned.mode:04o} {owned.owner}:{owned.group}"
            found.append(
                Finding(FindingKind.ATTRIBUTES, path, f"is {fact.mode:04o} {fact.owner}:{fact.group}, not {was}")
            )
    return found


def _units(observed: ObservedHost) -> list[Finding]:
    found = []
    for unit in observed.owned_services:
        fact = observed.units.get(unit, UnitFact())
        # A one-shot unit that does not remain is inactive when all is well.
        if fact.active == "failed" or not (fact.running or fact.kind == "oneshot"):
            found.append(Finding(FindingKind.STOPPED, unit, f"is {fact.active}"))
        if not fact.starts_at_boot:
            found.append(Finding(FindingKind.DISABLED, unit, "does not start at boot"))
    return found + [
        Finding(FindingKind.UNMASKED, unit, "is not masked any more")
        for unit in observed.owned_masks
        if not observed.units.get(unit, UnitFact()).masked
    ]


def _stale(desired: DesiredHost, observed: ObservedHost) -> list[Finding]:
    """Services that run on older files than those that are there."""
    return [
        Finding(FindingKind.STALE, step.unit, reason)
        for step in unit_steps(desired, observed, ())
        for reason in step.reasons
        if reason.startswith("runs on an older ")
    ]


def _pending(desired: DesiredHost, observed: ObservedHost) -> str:
    if not observed.revision:
        return "smtpctl has never been applied here"
    count = len(file_changes(desired, observed))
    return f"the inventory is ahead of revision {observed.revision}: {count} files differ"
