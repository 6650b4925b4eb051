"""One apply on this host after the barrier: journal, undo timer, swap, units, probes; then commit, or the way back.

The journal holds what ``undo`` needs and nothing else does, so that any later process can lead the host back: the timer
of PID 1, recovery at boot, or the next controller. Undoing is idempotent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import PROTOCOL, StepError, facts, packages, probes, processes, swap, timer, units
from .store import Store, now

Report = Callable[[str, str], None]


def journal_of(store: Store, request: Mapping[str, Any], wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The intent, with everything that the way back needs. The old contents go to the object store first."""
    before = {path: facts.file_fact(path) for path in wanted}
    _refuse_moved(before, request["expected"])
    for path, fact in before.items():
        if fact["kind"] in ("directory", "other"):
            raise StepError("journal", f"{path} is not a regular file (it is a {fact['kind']})")
        if fact["kind"] == "file":
            store.put(Path(path).read_bytes())
    for path, file in request["record"]["files"].items():
        if path not in wanted:
            store.keep(path, file["sha256"])
    steps = request["steps"]
    named = [step["unit"] for step in steps] + request["stop"] + request["mask"] + request["unmask"]
    current = store.current()
    return {
        **request["record"],
        "protocol": PROTOCOL,
        "number": store.next_number(),
        "previous": current["revision"] if current else "",
        "begun": now(),
        "before": before,
        "folders": swap.missing_folders(path for path, fact in wanted.items() if fact["kind"] != "absent"),
        "units_before": facts.unit_facts([*named, *request["enable"]]),
        "steps": steps,
        "stop": request["stop"],
        "enable": request["enable"],
        "mask": request["mask"],
        "unmask": request["unmask"],
        "daemon_reload": request["daemon_reload"],
    }


def carry_out(
    store: Store, journal: Mapping[str, Any], request: Mapping[str, Any], wanted: Mapping[str, Any], report: Report
) -> None:
    """Make the new state live. The journal is durable and the timer is armed when this is called."""
    if request["stop"]:
        report("stop", " ".join(request["stop"]))
        units.stop(request["stop"])
        units.disable(request["stop"])
    report("swap", f"{len(wanted)} files" if len(wanted) != 1 else "1 file")
    swap.lay_out(store, wanted)
    swap.switch(wanted)
    _settle_system(request)
    for stage in _stages(request["steps"]):
        _run_stage(stage, report)
    _verify(request["services"])
    if request["probes"]:
        report("probe", f"{len(request['probes'])} health checks")
        probes.run_all(request["probes"])
        _verify(request["services"])


def commit(store: Store, journal: Mapping[str, Any], keep: int) -> None:
    """The new state is the host's revision from here on; there is no way back but another apply."""
    store.commit({**journal})
    timer.disarm()
    swap.clean(journal["before"])
    store.prune(keep)


def undo(store: Store, journal: Mapping[str, Any], reason: str, *, booting: bool = False) -> str:
    """Lead the host back to what the journal recorded; what could not be led back, or nothing.

    Every part is tried even when an earlier one fails. At boot only files are led back: units start after it.
    """
    problems: list[str] = []
    parts: list[Callable[[], None]] = [lambda: swap.restore(store, journal["before"], journal["folders"])]
    parts.append(lambda: _undo_masks(journal))
    if booting or journal["daemon_reload"] or journal["enable"]:
        parts.append(units.daemon_reload)
    parts.append(lambda: _undo_enablement(journal))
    parts.append(lambda: _cancel_starts(journal) if booting else _undo_units(journal))
    for part in parts:
        try:
            part()
        except (StepError, OSError) as error:
            problems.append(str(error))
    outcome = "; ".join(problems)
    store.abandon({**journal}, {"undone": now(), "reason": reason, "problems": outcome})
    timer.disarm()
    return outcome


def _refuse_moved(before: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    moved = [path for path, fact in expected.items() if before[path] != fact]
    if moved:
        raise StepError("journal", f"changed on the host since it was observed: {', '.join(moved)}")


def _settle_system(request: Mapping[str, Any]) -> None:
    """What has to know of new files before services do: users, folders, masks, units."""
    packages.make_users(request["sysusers"])
    if request["tmpfiles"]:
        result = processes.run(["systemd-tmpfiles", "--create", *request["tmpfiles"]], timeout=60)
        # 73 (EX_CANTCREAT) and 65 (EX_DATAERR) are failures; see systemd-tmpfiles(8), "Exit status".
        if result.code:
            raise StepError("folders", f"systemd-tmpfiles: {result.output.strip()}")
    units.unmask(request["unmask"])
    units.mask(request["mask"])
    if request["daemon_reload"]:
        units.daemon_reload()
    units.enable(request["enable"])


def _stages(steps: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    by_stage: dict[int, list[Mapping[str, Any]]] = {}
    for step in steps:
        by_stage.setdefault(step["stage"], []).append(step)
    return [by_stage[stage] for stage in sorted(by_stage)]


def _run_stage(steps: Sequence[Mapping[str, Any]], report: Report) -> None:
    """The actions of one stage. What does not run now is started instead of reloaded."""
    states = facts.unit_facts(step["unit"] for step in steps)
    for action in ("restart", "reload", "start"):
        chosen = [step["unit"] for step in steps if _due(step, states[step["unit"]]) == action]
        if chosen:
            report(action, " ".join(chosen))
            units.act(action, chosen)


def _due(step: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    if step["action"] == "reload" and state["active"] != "active":
        return "restart" if step["oneshot"] else "start"
    return str(step["action"])


def _verify(services: Sequence[Mapping[str, Any]]) -> None:
    """Every service of this host runs now."""
    names = [service["unit"] for service in services]
    oneshot = [service["unit"] for service in services if service["oneshot"]]
    bad = units.failed(names, oneshot)
    if bad:
        raise StepError(f"verify {' '.join(bad)}", units.explain(bad) or "not running")


def _undo_masks(journal: Mapping[str, Any]) -> None:
    before = journal["units_before"]
    masked = ("masked", "masked-runtime")
    units.unmask([unit for unit in journal["mask"] if before[unit]["enabled"] not in masked])
    units.mask([unit for unit in journal["unmask"] if before[unit]["enabled"] in masked])


def _undo_enablement(journal: Mapping[str, Any]) -> None:
    before = journal["units_before"]
    now_known = facts.unit_facts([*journal["enable"], *journal["stop"]])
    units.disable(
        [
            unit
            for unit in journal["enable"]
            if before[unit]["enabled"] in ("disabled", "") and now_known[unit]["enabled"] == "enabled"
        ]
    )
    units.enable([unit for unit in journal["stop"] if before[unit]["enabled"] == "enabled"])


def _cancel_starts(journal: Mapping[str, Any]) -> None:
    """At boot, units that the old state did not run may already be queued."""
    before = journal["units_before"]
    units.stop([u for u, fact in before.items() if fact["active"] not in units.RUNNING], wait=False)


def _undo_units(journal: Mapping[str, Any]) -> None:
    """Units that ran run again on the old files, in stages; those that did not are stopped."""
    before = journal["units_before"]
    idle = [step["unit"] for step in journal["steps"] if before[step["unit"]]["active"] not in units.RUNNING]
    loaded = [unit for unit, fact in facts.unit_facts(idle).items() if fact["active"] in units.RUNNING]
    units.stop(loaded)
    for stage in _stages(journal["steps"]):
        running = [step for step in stage if step["unit"] not in idle]
        states = facts.unit_facts(step["unit"] for step in running)
        for action in ("restart", "reload", "start"):
            units.act(action, [step["unit"] for step in running if _due(step, states[step["unit"]]) == action])
    stopped = [unit for unit in journal["stop"] + journal["mask"] if before[unit]["active"] in units.RUNNING]
    units.act("start", stopped)
    wrong = units.failed([step["unit"] for step in journal["steps"] if step["unit"] not in idle])
    if wrong:
        raise StepError("undo", f"not running on the old files: {units.explain(wrong)}")
