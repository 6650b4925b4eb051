"""How plans look: on a terminal, and as JSON. Secrets are masked in both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import click

from smtpctl.cli.output import print_foreign
from smtpctl.model.plans import HostPlan
from smtpctl.plan import explain, folded, summary

Mask = Callable[[str], str]


def show_paused(plans: Mapping[str, HostPlan]) -> None:
    """What somebody has paused by hand, which no plan changes and everybody has to know."""
    from smtpctl.cli.pause import lines_of
    from smtpctl.operate.pausing import current

    records = [dict(record) for plan in plans.values() for record in plan.paused]
    for line in lines_of(current(records, time.time())) if records else ():
        click.echo(line, err=True)


def show_plans(plans: Mapping[str, HostPlan], mask: Mask) -> None:
    """Effects first, then every step with its reasons, then the differences; what hosts share stands once."""
    show_paused(plans)
    for sharing, sentence in folded(plans):
        click.echo(mask(f"{', '.join(sharing)}: {sentence}"))
    for names, line in _shared({name: "\n".join(f"  {step}" for step in explain(p)) for name, p in plans.items()}):
        if line:
            click.echo(f"\n{names}, in this order:\n{line}")
    shared: dict[tuple[str, str], list[str]] = {}
    for name, plan in plans.items():
        for change in plan.files:
            shared.setdefault((f"{change.change} {change.path}", change.diff), []).append(name)
    for (title, diff), hosts in shared.items():
        click.echo(f"\n{', '.join(hosts)}: {title}")
        print_foreign(mask(diff), nl=False)
    for name, plan in plans.items():
        for words in plan.stranded:
            click.echo(f"\n{name}: refused while mail would be left behind: {words}")
        if plan.edited:
            click.echo(f"\n{name}: edited by hand, not overwritten without --take-over: {', '.join(plan.edited)}")


def plan_document(plan: HostPlan, mask: Mask) -> dict[str, Any]:
    """One host's plan for machines."""
    return {
        "summary": mask(summary(plan)),
        "effects": [mask(effect) for effect in plan.effects],
        "changes": not plan.empty,
        "stranded": plan.stranded,
        "paused": [dict(record) for record in plan.paused],
        "revision": plan.revision,
        "observed_revision": plan.observed_revision,
        "fingerprint": plan.fingerprint,
        "steps": explain(plan),
        "packages": plan.packages,
        "files": [
            {
                "path": change.path,
                "change": change.change,
                "edited": change.edited,
                "foreign": change.foreign,
                "diff": mask(change.diff),
            }
            for change in plan.files
        ],
        "units": [
            {"unit": step.unit, "stage": step.stage, "action": step.action, "reasons": step.reasons}
            for step in plan.steps
        ],
    }


def _shared(lines: Mapping[str, str]) -> list[tuple[str, str]]:
    """(hosts, text) for each distinct text."""
    by_text: dict[str, list[str]] = {}
    for name, text in lines.items():
        by_text.setdefault(text, []).append(name)
    return [(", ".join(names), text) for text, names in by_text.items()]
