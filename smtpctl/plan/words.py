"""A plan in words: what it does to a host in one sentence, and step by step with the reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from smtpctl.model.plans import Change, FileChange, HostPlan, UnitAction

#: So many files are named in a summary; more are counted.
FEW = 2


def summary(plan: HostPlan) -> str:
    """What ``plan`` does, in the order in which it is done; ``no changes`` for an empty one."""
    return "; ".join(effects(plan))


def effects(plan: HostPlan) -> tuple[str, ...]:
    """The parts of the summary, so that hosts can share them."""
    if plan.empty:
        return ("no changes",)
    parts = [
        f"undo an unfinished change ({plan.unfinished})" if plan.unfinished else "",
        _list("install", plan.packages),
        _list("stop", plan.stop),
        *plan.effects,
        _files(plan, Change.CREATE, "new"),
        _files(plan, Change.ATTRIBUTES, "with other mode or owner"),
        _files(plan, Change.REMOVE, "removed"),
        _list("mask", plan.mask),
        _list("unmask", plan.unmask),
        _list("enable", plan.enable),
        *(
            _list(action, [step.unit for step in plan.steps if step.action is action])
            for action in (UnitAction.START, UnitAction.RESTART, UnitAction.RELOAD)
        ),
    ]
    return tuple(part for part in parts if part) or ("record that it is as wanted",)


def folded(plans: Mapping[str, HostPlan]) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Hosts, and what happens on just these, in one sentence each: what hosts share stands once."""
    hosts_of: dict[str, list[str]] = {}
    for host, plan in plans.items():
        for part in effects(plan):
            hosts_of.setdefault(part, []).append(host)
    sentences: dict[tuple[str, ...], list[str]] = {}
    for host, plan in plans.items():
        for part in effects(plan):
            hosts = tuple(hosts_of[part])
            if hosts[0] == host:
                sentences.setdefault(hosts, []).append(part)
    return tuple((hosts, "; ".join(parts)) for hosts, parts in sentences.items())


def explain(plan: HostPlan) -> tuple[str, ...]:
    """Everything that an apply of ``plan`` does, in the order in which it is done, with the reasons; a line each."""
    lines = [f"undo an unfinished change ({plan.unfinished})"] if plan.unfinished else []
    lines += [f"install {package}" for package in plan.packages]
    lines += [f"upgrade {upgrade}" for upgrade in plan.upgrades]
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
    if not lines and plan.unrecorded:
        lines += [f"record revision {plan.revision}: everything is as wanted already"]
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


def _files(plan: HostPlan, change: Change, what: str) -> str:
    """Files that change so: by name where they are few."""
    paths = [item.path for item in plan.files if item.change is change]
    if len(paths) > FEW:
        return f"{len(paths)} files {what}"
    return f"{', '.join(paths)} {what}" if paths else ""


def _list(verb: str, names: Sequence[str]) -> str:
    return f"{verb} {', '.join(name.removesuffix('.service') for name in names)}" if names else ""
