"""``smtpctl dns``: the records that the fleet needs, and whether they are published."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smtpctl.cli.loading import enter_network_of, inventory_argument, load
from smtpctl.cli.output import print_json, progress
from smtpctl.errors import SmtpctlError, UsageError

if TYPE_CHECKING:
    from smtpctl.dns import Record
    from smtpctl.model.fleet import Fleet
    from smtpctl.model.secrets import Secrets

_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_domain_option = click.option("--domain", metavar="DOMAIN", help="Only records at or below this domain.")


@click.group()
def dns() -> None:
    """Print the DNS records that the fleet needs, or check what is published.

    smtpctl changes no zone: publish the records where your zones are kept.
    """


@dns.command()
@inventory_argument
@_domain_option
@_json_option
def records(inventory: Path, domain: str | None, as_json: bool) -> None:
    """Print every record that the fleet needs, as lines of a zone file.

    Without the key to the secrets, placeholders stand for the DKIM keys.

    \b
    Examples:
      smtpctl dns records inventory/reference.yml
      smtpctl dns records inventory/reference.yml --domain shop.example.com
    """
    from smtpctl.dns import zone_lines

    fleet, secrets = load(inventory, placeholders=True)
    wanted = _wanted(fleet, secrets, domain)
    if any("PLACEHOLDER(" in record.value for record in wanted):
        progress("DKIM keys are missing: placeholders stand for them; do not publish these records")
    if as_json:
        print_json({"records": [asdict(record) for record in wanted]})
    else:
        click.echo(zone_lines(wanted), nl=False)


@dns.command()
@inventory_argument
@_domain_option
@click.option("--server", metavar="ADDRESS", help="Name server to ask; default: the system's resolvers.")
@click.option("--port", default=53, show_default=True, type=click.IntRange(1, 65535), help="Port of --server.")
@_json_option
def check(inventory: Path, domain: str | None, server: str | None, port: int, as_json: bool) -> None:
    """Compare the published records with those that the fleet needs; exit 1 if one is missing or wrong.

    \b
    Examples:
      smtpctl dns check inventory/reference.yml
      smtpctl dns check inventory/reference.yml --server 9.9.9.9
    """
    from smtpctl.dns.check import findings, questions
    from smtpctl.dns.resolve import published

    fleet, secrets = load(inventory)
    wanted = _wanted(fleet, secrets, domain)
    enter_network_of(fleet)
    found = findings(wanted, published(questions(wanted), server=server or _server_of(fleet), port=port))
    if as_json:
        print_json({"checked": len(questions(wanted)), "findings": [asdict(finding) for finding in found]})
    else:
        for finding in found:
            click.echo(str(finding))
    if found:
        raise SmtpctlError(
            f"{len(found)} of {len(questions(wanted))} names and types are not as wanted",
            hint="publish what `smtpctl dns records` prints; a change is seen after the old records' time to live",
        )
    progress(f"{len(questions(wanted))} names and types are as wanted")


def _wanted(fleet: Fleet, secrets: Secrets, domain: str | None) -> tuple[Record, ...]:
    from smtpctl.dns import records_for

    wanted = records_for(fleet, secrets)
    if domain is None:
        return wanted
    within = tuple(record for record in wanted if record.is_within(domain.lower().rstrip(".")))
    if not within:
        raise UsageError(f"the fleet needs no record at or below {domain!r}")
    return within


def _server_of(fleet: Fleet) -> str | None:
    """The fleet's own root name server, where it has one: the lab's."""
    return fleet.network.root_hints[0] if fleet.network.root_hints else None
