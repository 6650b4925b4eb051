"""A plan in words: what it does to a host, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from smtpctl.model.plans import Change, HostPlan, UnitAction


def summary(plan: HostPlan) -> str:
    """What ``plan`` does, in the order in which it is done; ``no changes`` for an empty one."""
    if plan.empty:
        return "no changes"
    counts = {change: sum(1 for item in plan.files if item.change is change) for change in Change}
    parts = [
        f"undo an unfinished change ({plan.unfinished})" if plan.unfinished else "",
        _list("install", plan.packages),
        _list("stop", plan.stop),
        _count(counts[Change.CREATE], "new"),
        _count(counts[Change.CHANGE], "changed"),
        _count(counts[Change.ATTRIBUTES], "with other mode or owner"),
        _count(counts[Change.REMOVE], "removed"),
        _list("mask", plan.mask),
        _list("unmask", plan.unmask),
        _list("enable", plan.enable),
        *(
            _list(action, [step.unit for step in plan.steps if step.action is action])
            for action in (UnitAction.START, UnitAction.RESTART, UnitAction.RELOAD)
        ),
    ]
    return "; ".join(part for part in parts if part)


def _count(number: int, what: str) -> str:
    return f"{number} {'file' if number == 1 else 'files'} {what}" if number else ""


def _list(verb: str, names: Sequence[str]) -> str:
    return f"{verb} {', '.join(name.removesuffix('.service') for name in names)}" if names else ""
