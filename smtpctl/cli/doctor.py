"""``smtpctl doctor``: what a plan cannot see."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smtpctl.cli.fleet import select
from smtpctl.cli.loading import inventory_option
from smtpctl.cli.output import print_json

if TYPE_CHECKING:
    from smtpctl.operate.doctor import Expected, Measured
    from smtpctl.transport.host import Host


@click.command()
@click.argument("hosts", metavar="[HOST]...", nargs=-1)
@inventory_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def doctor(hosts: tuple[str, ...], inventory: Path, as_json: bool) -> None:
    """Check what a plan cannot see: clock, DNS, disk, memory, upgrades, kernel, mail that is stuck.

    Also reverse DNS of the source addresses, load, and failed units. Changes nothing. Exits with 1 when something is
    wrong with a host, or it does not answer; each symptom comes with its remedy.

    \b
    Examples:
      smtpctl doctor
      smtpctl doctor relay1 relay2 --json
    """
    from smtpctl.operate.doctor import Measured, symptoms
    from smtpctl.operate.expected import expected_of
    from smtpctl.operate.visits import visits

    selection = select(inventory, hosts, placeholders=True)
    expected = expected_of(selection.fleet, selection.secrets)

    def ask(name: str, host: Host) -> tuple[dict[str, Any], Measured]:
        about: Expected = expected[name]
        asked = time.time()
        request = {"do": "examine", "names": list(about.names), "addresses": list(about.reverse or {})}
        facts = host.ask(request).header
        return facts, Measured(asked, time.time() - asked)

    with visits(selection.targets) as opened:
        answers = opened.each(ask)
    found = {name: symptoms(name, facts, expected[name], when) for name, (facts, when) in answers.items()}
    if as_json:
        print_json(
            {
                "hosts": {name: [asdict(symptom) for symptom in wrong] for name, wrong in found.items()},
                "silent": {name: str(error) for name, error in opened.errors.items()},
            }
        )
    else:
        for name, wrong in found.items():
            for symptom in wrong:
                click.echo(f"{name:<12}{symptom.check:<12}{symptom.sentence}\n{'':<24}to do: {symptom.remedy}")
            if not wrong:
                click.echo(f"{name:<12}all is well")
        for name, error in opened.errors.items():
            click.echo(f"{name:<12}silent      {error}")
    if opened.errors or any(found.values()):
        sys.exit(1)
