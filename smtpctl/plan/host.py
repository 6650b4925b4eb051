"""One host: from what is desired and what was observed to a complete plan."""

from __future__ import annotations

from collections.abc import Sequence

from smtpctl.model.artifacts import Check, DesiredHost
from smtpctl.model.plans import FileChange, HostPlan, ObservedHost
from smtpctl.plan import units
from smtpctl.plan.access import risks_access
from smtpctl.plan.files import file_changes
from smtpctl.plan.patterns import matches

SYSUSERS = ("/etc/sysusers.d/", "/usr/local/lib/sysusers.d/")
TMPFILES = ("/etc/tmpfiles.d/", "/usr/local/lib/tmpfiles.d/")


def plan_host(desired: DesiredHost, observed: ObservedHost) -> HostPlan:
    """Given both, return everything that an apply does there: nothing where nothing differs."""
    changes = file_changes(desired, observed)
    steps = units.unit_steps(desired, observed, changes)
    stop, mask = units.units_to_stop(desired, observed), units.units_to_mask(desired, observed)
    return HostPlan(
        host=desired.host,
        revision=desired.revision,
        observed_revision=observed.revision,
        packages=tuple(package for package in desired.packages if package not in observed.packages),
        files=changes,
        effects=_effects(changes, observed),
        checks=_checks(desired, changes),
        stop=stop,
        mask=mask,
        unmask=units.units_to_unmask(desired, observed),
        daemon_reload=units.changes_units(changes),
        sysusers=_written(changes, SYSUSERS),
        tmpfiles=_written(changes, TMPFILES),
        enable=units.units_to_enable(desired, observed),
        steps=steps,
        probes=desired.probes,
        risks_access=risks_access(changes, [*stop, *mask, *(step.unit for step in steps)]),
        unfinished=observed.unfinished,
        holds_address=observed.holds_address,
        paused=observed.paused,
    )


def _effects(changes: Sequence[FileChange], observed: ObservedHost) -> tuple[str, ...]:
    """What the changed files mean; nothing on a host on which everything is new."""
    if not changes or not observed.revision:
        return ()
    from smtpctl.plan.effects import merged, words  # readers of many files, for those that change

    secret = {path for path, owned in observed.owned.items() if owned.secret}
    return merged(
        effect
        for change in changes
        for effect in words(change, None if change.path in secret else observed.contents.get(change.path))
    )


def _checks(desired: DesiredHost, changes: Sequence[FileChange]) -> tuple[Check, ...]:
    """Checkers of what changes."""
    return tuple(
        check
        for check in desired.checks
        if any(matches(change.path, pattern) for change in changes for pattern in check.paths)
    )


def _written(changes: Sequence[FileChange], folders: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(change.path for change in changes if change.after and change.path.startswith(folders))
