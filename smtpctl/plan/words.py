"""A plan in words: what it does to a host in one sentence, and step by step with the reasons."""

from __future__ import annotations

from collections.abc import Sequence

from smtpctl.model.plans import Change, FileChange, HostPlan, UnitAction


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


def explain(plan: HostPlan) -> tuple[str, ...]:
    """Everything that an apply of ``plan`` does, in the order in which it is done, with the reasons; a line each."""
    lines = [f"undo an unfinished change ({plan.unfinished})"] if plan.unfinished else []
    lines += [f"install {package}" for package in plan.packages]
    lines += [f"check {check.name}" for check in plan.checks]
    lines += [f"stop and disable {unit}: no longer wanted" for unit in plan.stop]
    lines += [f"{change.change} {change.path}{_remarks(change)}" for change in plan.files]
    lines += [f"make users of {path}" for path in plan.sysusers]
    lines += [f"make folders of {path}" for path in plan.tmpfiles]
    lines += [f"unmask {unit}" for unit in plan.unmask]
    lines += [f"mask {unit}" for unit in plan.mask]
    lines += ["read unit files again"] if plan.daemon_reload else []
    lines += [f"enable {unit}" for unit in plan.enable]
    lines += [f"{step.action} {step.unit}: {', '.join(step.reasons)}" for step in plan.steps]
    if not plan.empty:
        lines += [f"probe {probe.name}" for probe in plan.probes]
        lines += ["confirm over a new connection: the change could lock us out"] if plan.risks_access else []
    return tuple(lines)


def _remarks(change: FileChange) -> str:
    remarks = [
        "edited by hand" if change.edited else "",
        "not written by smtpctl" if change.foreign else "",
    ]
    said = ", ".join(remark for remark in remarks if remark)
    return f" ({said})" if said else ""


def _count(number: int, what: str) -> str:
    return f"{number} {'file' if number == 1 else 'files'} {what}" if number else ""


def _list(verb: str, names: Sequence[str]) -> str:
    return f"{verb} {', '.join(name.removesuffix('.service') for name in names)}" if names else ""
