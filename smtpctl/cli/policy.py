"""``smtpctl policy``: the rules and the routing that the policy service answers by."""

from __future__ import annotations

import json
from pathlib import Path

import click

from smtpctl.cli.loading import inventory_argument


@click.group()
def policy() -> None:
    """Compile the policy service's rules, and see how it decides."""


@policy.command("compile")
@inventory_argument
@click.option("--routing", "host", metavar="HOST", help="Print the routing of a relay host instead of the rules.")
def compile_(inventory: Path, host: str | None) -> None:
    """Print the rules file that every submission host gets.

    A Postfix that smtpctl does not manage can be served from the same file:
    python -m policy_service serve --rules FILE --listen unix:PATH
    """
    from smtpctl.errors import UsageError
    from smtpctl.inventory import load_fleet
    from smtpctl.render.context_policy import policy_rules, routing_table

    fleet = load_fleet(inventory)
    if host is not None and host not in fleet.hosts:
        raise UsageError(f"there is no host {host!r}", hint=f"hosts: {', '.join(fleet.hosts)}")
    document = policy_rules(fleet) if host is None else routing_table(fleet, host)
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
