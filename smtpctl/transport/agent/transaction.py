"""One apply on this host after the barrier: journal, swap, units, probes, commit. The way back is ``undo``.

The journal holds what the way back needs and nothing else does, so that any later process can take it: the timer of
PID 1, recovery at boot, or the next controller.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import PROTOCOL, StepError, complaints, facts, packages, probes, processes, staging, steps, swap, timer, units
from .steps import Report
from .store import Store, now


def journal_of(store: Store, request: Mapping[str, Any], wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The intent, with everything that the way back needs. The old contents go to the object store first.

    ``folders`` are made by this apply; ``made`` are all that smtpctl ever made here and still needs; ``left`` those
    that it needs no longer.
    """
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
    named = [step["unit"] for step in request["steps"]]
    current = store.current() or {}
    made = swap.missing_folders(path for path, fact in wanted.items() if fact["kind"] != "absent")
    ours = current.get("made", [])
    left = [folder for folder in ours if not any(path.startswith(f"{folder}/") for path in request["record"]["files"])]
    return {
        **request["record"],
        "protocol": PROTOCOL,
        "number": store.next_number(),
        "previous": current.get("revision", ""),
        "begun": now(),
        "before": before,
        "folders": made,
        "left": left,
        "made": sorted({*ours, *made} - {*left}),
        "units_before": facts.unit_facts(
            [*named, *request["stop"], *request["mask"], *request["unmask"], *request["enable"]]
        ),
        **{key: request[key] for key in ("steps", "stop", "enable", "mask", "unmask", "daemon_reload")},
        "added": request["added"],
        "upgrades": request["upgrades"],
    }


def carry_out(
    store: Store, journal: Mapping[str, Any], request: Mapping[str, Any], wanted: Mapping[str, Any], report: Report
) -> None:
    """Make the new state live. The journal is durable and the timer is armed when this is called."""
    if request["stop"]:
        report("stop", " ".join(request["stop"]))
        units.stop(request["stop"])
        units.disable(request["stop"])
    if request["upgrades"]:
        report("upgrade", " ".join(request["upgrades"]))
        packages.upgrade(request["upgrades"])
    if wanted:
        report("swap", "1 file" if len(wanted) == 1 else f"{len(wanted)} files")
    swap.lay_out(store, wanted, staging.tree(store))
    began = time.time()
    named = [service["unit"] for service in request["services"]]
    swap.switch(wanted)
    try:
        _settle_system(request)
        _prove(journal, request, steps.run(request["steps"], report), report)
    except StepError as error:
        said = [line for line in complaints.since(began, named) if line not in error.detail]
        raise StepError(error.step, "\n".join([error.detail, *said])) from error
    if said := complaints.since(began, named):
        raise StepError("log", "\n".join(said))


def _prove(journal: Mapping[str, Any], request: Mapping[str, Any], started: Sequence[str], report: Report) -> None:
    """Health checks: everything runs, answers, and stays up."""
    since = time.monotonic()
    _verify(request["services"])
    if request["probes"]:
        report("probe", f"{len(request['probes'])} health checks")
        probes.run_all(request["probes"])
    # On the first apply of a host there is no mail to protect, and nothing running to go back to.
    if journal["previous"] and started:
        report("watch", f"{' '.join(started)} for {units.SETTLE:g} s")
        _refuse_dying(units.watch(started, since))
    _verify(request["services"])


def commit(store: Store, journal: Mapping[str, Any], keep: int) -> None:
    """The new state is the host's revision from here on; there is no way back but another apply."""
    store.commit({**journal})
    swap.clean(journal["before"])
    swap.remove_empty(journal["left"])
    timer.disarm()
    store.prune(keep)


def _refuse_moved(before: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    moved = [path for path, fact in expected.items() if before[path] != fact]
    if moved:
        raise StepError("journal", f"changed on the host since it was observed: {', '.join(moved)}")


def _settle_system(request: Mapping[str, Any]) -> None:
    """What has to know of new files before services do: users, folders, masks, units."""
    packages.make_users(request["sysusers"])
    if request["tmpfiles"]:
        result = processes.run(["systemd-tmpfiles", "--create", *request["tmpfiles"]], timeout=60)
        if result.code:
            raise StepError("folders", f"systemd-tmpfiles: {result.output.strip()}")
    units.unmask(request["unmask"])
    units.mask(request["mask"])
    units.enable(request["enable"])
    if any(request[name] for name in ("daemon_reload", "stop", "unmask", "mask", "enable")):
        units.daemon_reload()


def _verify(services: Sequence[Mapping[str, Any]]) -> None:
    """Every service of this host runs now."""
    names = [service["unit"] for service in services]
    oneshot = [service["unit"] for service in services if service["oneshot"]]
    bad = units.failed(names, oneshot)
    if bad:
        raise StepError(f"verify {' '.join(bad)}", units.explain(bad) or "not running")


def _refuse_dying(dying: Sequence[str]) -> None:
    if dying:
        raise StepError(f"watch {' '.join(dying)}", f"did not stay up\n{units.explain(dying)}")
