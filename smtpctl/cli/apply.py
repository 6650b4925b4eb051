"""``smtpctl apply``: bring the hosts to what the inventory says, as one transaction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from smtpctl.cli.fleet import host_option, role_option, select
from smtpctl.cli.loading import inventory_argument
from smtpctl.cli.runs import agreement, conclude, json_option, reporter, yes_option
from smtpctl.errors import UsageError

if TYPE_CHECKING:
    from smtpctl.model.records import OnFailure


@click.command()
@inventory_argument
@host_option
@role_option
@yes_option
@click.option("--take-over", is_flag=True, help="Overwrite files that were edited by hand on a host.")
@click.option("--continue", "go_on", is_flag=True, help="Go on with the other hosts when one fails.")
@click.option("--rollback-all", is_flag=True, help="When a host fails, take back the hosts before it, too.")
@json_option
def apply(
    inventory: Path,
    hosts: tuple[str, ...],
    roles: tuple[str, ...],
    yes: bool,
    take_over: bool,
    go_on: bool,
    rollback_all: bool,
    as_json: bool,
) -> None:
    """Bring the hosts to what the inventory says, or carry out a saved plan.

    Every host is staged and validated before anything goes live on any; a host on which a step fails leads itself
    back to what it was.

    \b
    Examples:
      smtpctl apply inventory/reference.yml
      smtpctl apply inventory/reference.yml --host relay1 --yes
      smtpctl apply friday.plan
    """
    from smtpctl.cli.plan_files import read_plans

    if go_on and rollback_all:
        raise UsageError("--continue and --rollback-all exclude each other")
    saved = read_plans(inventory)
    if saved and (hosts or roles):
        raise UsageError("a plan file names its hosts", hint="leave --host and --role out")
    selection = select(saved.inventory, list(saved.hosts)) if saved else select(inventory, hosts, roles)
    called = selection.call()
    from smtpctl.deploy.apply import Settings, apply_fleet, rendered

    settings = Settings(
        order=selection.order,
        turns=selection.turns,
        neighbours=selection.neighbours,
        keep=selection.fleet.retention.revisions,
        take_over=take_over,
        on_failure=_on_failure(go_on, rollback_all),
        expected=saved.hosts if saved else {},
    )
    results = apply_fleet(
        selection.targets,
        rendered(selection.render, called),
        settings,
        reporter(selection.secrets.mask, as_json),
        agreement(selection.secrets.mask, selection.rollout, yes=yes, as_json=as_json),
        selection.secrets.mask,
    )
    conclude(results, as_json)


def _on_failure(go_on: bool, rollback_all: bool) -> OnFailure:
    from smtpctl.model.records import OnFailure

    if rollback_all:
        return OnFailure.ROLL_BACK
    return OnFailure.GO_ON if go_on else OnFailure.STOP
