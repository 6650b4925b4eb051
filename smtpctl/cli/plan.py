"""``smtpctl plan``: every difference between the inventory and the hosts, and what an apply would do about it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smtpctl.cli.fleet import Selection, host_option, role_option, select
from smtpctl.cli.loading import inventory_argument
from smtpctl.cli.output import print_error, print_json
from smtpctl.errors import SmtpctlError

if TYPE_CHECKING:
    from smtpctl.model.plans import HostPlan

#: Exit code under --exit-code when there is something to change.
CHANGES_PENDING = 3


@click.command()
@inventory_argument
@host_option
@role_option
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option("--exit-code", is_flag=True, help="Exit with 3 when there is something to change.")
def plan(inventory: Path, hosts: tuple[str, ...], roles: tuple[str, ...], as_json: bool, exit_code: bool) -> None:
    """Show every difference between the inventory and the hosts. Writes nothing anywhere.

    \b
    Examples:
      smtpctl plan inventory/reference.yml
      smtpctl plan inventory/reference.yml --role relay --exit-code
    """
    from smtpctl.deploy.apply import plan_fleet

    selection = select(inventory, hosts, roles)
    plans, errors = plan_fleet(selection.targets, selection.desired, lambda event: None)
    if as_json:
        print_json({"hosts": {name: plan_document(item, selection) for name, item in plans.items()}})
    else:
        show_plans(plans, selection)
    for error in errors:
        print_error(selection.secrets.mask(str(error)), error.hint)
    if errors:
        raise SmtpctlError(f"{len(errors)} of {len(selection.desired)} hosts could not be observed")
    if exit_code and any(not item.empty for item in plans.values()):
        sys.exit(CHANGES_PENDING)


def show_plans(plans: Mapping[str, HostPlan], selection: Selection) -> None:
    """Summaries first, then the differences; a difference that several hosts share stands once."""
    from smtpctl.plan import summary

    for name, item in plans.items():
        click.echo(f"{name}: {summary(item)}")
        if item.edited:
            click.echo(f"{name}: edited by hand, not overwritten without --take-over: {', '.join(item.edited)}")
    shared: dict[tuple[str, str, str], list[str]] = {}
    for name, item in plans.items():
        for change in item.files:
            shared.setdefault((change.path, change.change, change.diff), []).append(name)
    for (path, change_kind, diff), names in shared.items():
        click.echo(f"\n{', '.join(names)}: {change_kind} {path}")
        click.echo(selection.secrets.mask(diff), nl=False)


def plan_document(item: HostPlan, selection: Selection) -> dict[str, Any]:
    """One host's plan for machines."""
    from smtpctl.plan import summary

    return {
        "summary": summary(item),
        "changes": not item.empty,
        "revision": item.revision,
        "observed_revision": item.observed_revision,
        "fingerprint": item.fingerprint,
        "packages": item.packages,
        "files": [
            {
                "path": change.path,
                "change": change.change,
                "edited": change.edited,
                "foreign": change.foreign,
                "diff": selection.secrets.mask(change.diff),
            }
            for change in item.files
        ],
        "stop": item.stop,
        "mask": item.mask,
        "unmask": item.unmask,
        "enable": item.enable,
        "steps": [
            {"unit": step.unit, "stage": step.stage, "action": step.action, "reasons": step.reasons}
            for step in item.steps
        ],
    }
