"""``smtpctl upgrade``: newer versions of the packages that carry mail, host after host."""

from __future__ import annotations

from pathlib import Path

import click

from smtpctl.cli.fleet import host_option, role_option, select
from smtpctl.cli.loading import inventory_argument
from smtpctl.cli.runs import agreement, conclude, json_option, reporter, yes_option


@click.command()
@inventory_argument
@host_option
@role_option
@yes_option
@click.option("--continue", "go_on", is_flag=True, help="Go on with the other hosts when one fails.")
@json_option
def upgrade(
    inventory: Path, hosts: tuple[str, ...], roles: tuple[str, ...], yes: bool, go_on: bool, as_json: bool
) -> None:
    """Upgrade the packages that carry mail, host after host, without mail noticing.

    Takes what the hosts' own repositories offer of the packages that unattended-upgrades leaves alone here: Postfix,
    HAProxy, Dovecot and the like. All is fetched on every host before it begins on any. Then it goes in the waves of an
    apply, with its drains: everything that runs an upgraded program is restarted and probed. Packages cannot be taken
    back.

    \b
    Examples:
      smtpctl upgrade inventory/reference.yml
      smtpctl upgrade inventory/reference.yml --role relay --yes
    """
    from smtpctl.deploy.apply import Settings, apply_fleet, rendered
    from smtpctl.model.records import OnFailure

    selection = select(inventory, hosts, roles)
    results = apply_fleet(
        selection.targets,
        rendered(selection.render),
        Settings(
            order=selection.order,
            turns=selection.turns,
            neighbours=selection.neighbours,
            keep=selection.fleet.retention.revisions,
            kind="upgrade",
            on_failure=OnFailure.GO_ON if go_on else OnFailure.STOP,
        ),
        reporter(selection.secrets.mask, as_json),
        agreement(selection.secrets.mask, selection.rollout, yes=yes, as_json=as_json),
        selection.secrets.mask,
    )
    conclude(results, as_json)
