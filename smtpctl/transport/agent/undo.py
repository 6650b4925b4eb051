"""The way back: from a journal to the files, masks and units that a host had before. Idempotent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import StepError, facts, probes, staging, steps, swap, timer, units
from .store import Store, now

MASKED = ("masked", "masked-runtime")


def undo(store: Store, journal: Mapping[str, Any], reason: str, *, booting: bool = False) -> str:
    """Lead the host back to what the journal recorded; what could not be led back, or nothing.

    Every part is tried even when an earlier one fails. At boot no unit is started: systemd does that after us.
    """
    reload_units = booting or any(journal[name] for name in ("daemon_reload", "stop", "unmask", "mask", "enable"))
    parts: list[Callable[[], None]] = [
        # Before the files: systemctl disables only what has a unit file.
        lambda: _disable(journal),
        lambda: swap.restore(store, journal["before"], journal["folders"]),
        lambda: _masks(journal),
        lambda: _enable(journal),
        lambda: units.daemon_reload() if reload_units else None,
        lambda: _cancel_starts(journal) if booting else _running(store, journal),
    ]
    problems: list[str] = []
    for part in parts:
        try:
            part()
        except (StepError, OSError) as error:
            problems.append(str(error))
    outcome = "; ".join(problems)
    staging.clear(store)  # first: on a full disk it makes the room that the record needs
    store.abandon({**journal}, {"undone": now(), "reason": reason, "problems": outcome})
    timer.disarm()
    return outcome


def stays(journal: Mapping[str, Any]) -> str:
    """What of the journal's apply is never led back, in words: packages that it installed or upgraded."""
    upgrades: dict[str, str] = journal.get("upgrades", {})
    installed = facts.installed_packages([*journal.get("added", ()), *upgrades])
    found = [f"{name} {version}" for name, version in installed.items() if upgrades.get(name, version) == version]
    return f", but for packages, which stay: {', '.join(sorted(found))}" if found else ""


def _masks(journal: Mapping[str, Any]) -> None:
    before = journal["units_before"]
    units.unmask([unit for unit in journal["mask"] if before[unit]["enabled"] not in MASKED])
    units.mask([unit for unit in journal["unmask"] if before[unit]["enabled"] in MASKED])


def _disable(journal: Mapping[str, Any]) -> None:
    """What did not start at boot before does not do so again."""
    idle = [unit for unit in journal["enable"] if journal["units_before"][unit]["enabled"] in ("disabled", "")]
    units.disable([unit for unit, fact in facts.unit_facts(idle).items() if fact["enabled"] == "enabled"])


def _enable(journal: Mapping[str, Any]) -> None:
    """What this apply stopped and disabled starts at boot again."""
    dropped = [unit for unit in journal["stop"] if journal["units_before"][unit]["enabled"] == "enabled"]
    units.enable([unit for unit, fact in facts.unit_facts(dropped).items() if fact["enabled"] != "enabled"])


def _running(store: Store, journal: Mapping[str, Any]) -> None:
    """The old state runs again and answers. Where a reload does not bring it back, a restart has to: a master(8) that
    died of the new file counts as running until its last child has ended."""
    try:
        _units(journal)
        _prove(store)
    except StepError:
        units.act("restart", [step["unit"] for step in journal["steps"] if _ran(journal, step["unit"])])
        _prove(store)


def _ran(journal: Mapping[str, Any], unit: str) -> bool:
    """Whether ``unit`` ran before this apply."""
    return units.is_running(journal["units_before"][unit])


def _units(journal: Mapping[str, Any]) -> None:
    """Units that ran run again, on the old files; those that did not are stopped; and that is verified."""
    before = journal["units_before"]
    named = [step["unit"] for step in journal["steps"]]
    idle = [unit for unit in named if not _ran(journal, unit)]
    # One that waits between two crashes is stopped as well: its unit file may be gone, and it would try for ever.
    units.stop([unit for unit, fact in facts.unit_facts(idle).items() if fact["active"] not in ("inactive", "failed")])
    units.forget_failures([unit for unit in idle if before[unit]["active"] != "failed"])
    steps.run(journal["steps"], lambda step, detail: None, leave_out=idle)
    units.act("start", [unit for unit in journal["stop"] + journal["mask"] if _ran(journal, unit)])
    wrong = units.failed([unit for unit in named if unit not in idle])
    if wrong:
        raise StepError("undo", f"not running on the old files: {units.explain(wrong)}")


def _prove(store: Store) -> None:
    """The old state answers as it did when it was applied: its own health checks say so."""
    try:
        probes.run_all((store.current() or {}).get("probes", ()))
    except StepError as error:
        raise StepError("undo", f"not well on the old files: {error.detail}") from None


def _cancel_starts(journal: Mapping[str, Any]) -> None:
    """Units that the old state did not run may already be queued by the boot."""
    before = journal["units_before"]
    units.stop([unit for unit, fact in before.items() if not units.is_running(fact)], wait=False)
