"""``smtpctl rollback``: bring hosts back to what they were."""

from __future__ import annotations

from pathlib import Path

import click

from smtpctl.cli.fleet import select
from smtpctl.cli.loading import inventory_option
from smtpctl.cli.runs import agreement, conclude, json_option, reporter, yes_option


@click.command()
@click.argument("host", required=False)
@click.argument("revision", required=False, default="")
@inventory_option
@yes_option
@click.option("--take-over", is_flag=True, help="Overwrite files that were edited by hand on a host.")
@json_option
def rollback(host: str | None, revision: str, inventory: Path, yes: bool, take_over: bool, as_json: bool) -> None:
    """Bring hosts back to what they were.

    HOST goes to REVISION, or to what it was before its last apply. Without a HOST, all hosts that the last command
    changed (an apply, an upgrade, a rollback) go back to what they were before it, and no other.

    This is itself an apply: planned, validated, journalled, probed, and led back when it fails. REVISION is a number
    or the beginning of a name from `smtpctl history`. Neither the key to the secrets nor the old inventory is needed:
    hosts keep their revisions themselves. Packages stay.

    \b
    Examples:
      smtpctl rollback -i inventory/reference.yml
      smtpctl rollback relay1 12 -i inventory/reference.yml
    """
    from smtpctl.deploy.apply import Settings, apply_fleet, before_last_run, kept

    selection = select(inventory, (host,) if host else (), placeholders=True)
    results = apply_fleet(
        selection.targets,
        kept(revision) if host else before_last_run(),
        Settings(
            order=selection.order,
            turns=selection.turns,
            neighbours=selection.neighbours,
            keep=selection.fleet.retention.revisions,
            take_over=take_over,
            kind="rollback",
        ),
        reporter(selection.secrets.mask, as_json),
        agreement(selection.secrets.mask, selection.rollout, yes=yes, as_json=as_json),
        selection.secrets.mask,
    )
    conclude(results, as_json)
