"""Actions on units in their stages: all of one stage are handled before the next begins.

A restart of rsyslog takes the socket away that haproxy.service mounts, so that both at once can fail; hence stages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from . import complaints, facts, reloads, units

Report = Callable[[str, str], None]
Step = Mapping[str, Any]

#: Within a stage: what goes away and comes back first, what only reads its files again, what was not there.
ACTIONS = ("restart", "reload", "start")


def run(steps: Iterable[Step], report: Report, *, leave_out: Collection[str] = ()) -> list[str]:
    """Carry out ``steps`` but those of ``leave_out``; the services that were started or restarted by it."""
    started: list[str] = []
    for stage in _stages(step for step in steps if step["unit"] not in leave_out):
        started += _run_stage(stage, report)
    return started


def _stages(steps: Iterable[Step]) -> list[list[Step]]:
    by_stage: dict[int, list[Step]] = {}
    for step in steps:
        by_stage.setdefault(step["stage"], []).append(step)
    return [by_stage[stage] for stage in sorted(by_stage)]


def _run_stage(steps: Sequence[Step], report: Report) -> list[str]:
    started: list[str] = []
    states = facts.unit_facts(step["unit"] for step in steps)
    asks_postfix = any(step["action"] == "reload" and step["unit"].startswith("postfix@") for step in steps)
    throttled = complaints.throttled() if asks_postfix else set()
    due = {step["unit"]: _due(step, states[step["unit"]], throttled) for step in steps}
    never_ran = [unit for unit, state in states.items() if not state["invocation"]]
    for action in ACTIONS:
        chosen = [step for step in steps if due[step["unit"]] == action]
        names = [step["unit"] for step in chosen]
        if names:
            report(action, " ".join(names))
            asked = [name for name in names if action == "reload" and name.startswith("postfix@")]
            reload = reloads.Reloads(asked, time.time())
            units.act(action, names, never_ran=never_ran)
            reload.wait()
        if action != "reload":
            started += [step["unit"] for step in chosen if not step["oneshot"]]
    return started


def _due(step: Step, state: Mapping[str, Any], throttled: Collection[str]) -> str:
    """What a step asks for, now: a unit that does not run is started instead of reloaded, and a Postfix in which a
    service is throttled is restarted, because a reload would leave it so."""
    if step["action"] == "reload" and not units.is_running(state):
        return "restart" if step["oneshot"] else "start"
    if step["action"] == "reload" and step["unit"] in throttled:
        return "restart"
    return str(step["action"])
