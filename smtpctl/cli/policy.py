"""``smtpctl policy``: the rules that the policy service answers by, what it says, and how full its limits are.

What a host knows is asked on a host, of the program that is there. Quotas are the fleet's: any submission host will do.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from smtpctl.cli.loading import inventory_argument
from smtpctl.cli.policy_doctor import doctor
from smtpctl.cli.policy_replay import replay
from smtpctl.operate.levels import PLACES, PROGRAM

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
key_option = click.option("--key", required=True, help="A key as `quota show` names it.")


@click.group()
def policy() -> None:
    """Compile the policy service's rules, and see how it decides."""


policy.add_command(doctor)
policy.add_command(replay)


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


@policy.command()
@inventory_argument
@click.option("--credential", required=True, help="Who signs in.")
@click.option("--sender", required=True, help="Envelope sender; '' for <>.")
@click.option("--recipient", help="One of its recipients: whether it is suppressed, and its provider's limits.")
@click.option("--client", help="The address that it is submitted from.")
@click.option("--recipients", type=click.IntRange(min=1), default=1, show_default=True, help="How many it has.")
@click.option("--size", type=click.IntRange(min=0), default=0, help="Bytes of the message.")
@click.option("--from", "header_from", help="Value of the header From; default: the sender.")
@json_option
def explain(inventory: Path, recipient: str | None, as_json: bool, **asked: str | int | None) -> None:
    """Show what each rule says of a message, how full its limits are, and the answer. Charges nothing.

    A rule that would have to know more says which option it needs.

    \b
    Examples:
      smtpctl policy explain inventory/reference.yml --credential shop --sender orders@shop.example
      smtpctl policy explain inventory/reference.yml --credential shop --sender orders@shop.example \\
        --recipient ada@gmail.com --client 192.0.2.7 --recipients 40 --size 250000
    """
    names = {"header_from": "from"}
    given = {names.get(name, name): str(value) for name, value in asked.items() if value is not None}
    arguments = [f"--{name}={value}" for name, value in given.items()]
    # The recipient goes over standard input: a command line stands in logs of the host.
    told = "" if recipient is None else f"{recipient}\n"
    arguments += ["--recipient=-"] if told else []
    _ask(inventory, ["explain", *PLACES, *arguments, *_json(as_json)], told=told)


@policy.group()
def quota() -> None:
    """Show how full limits are; give quota back."""


@quota.command()
@inventory_argument
@click.option("--key", default="", help="Only keys that contain this.")
@json_option
def show(inventory: Path, key: str, as_json: bool) -> None:
    """Show every key that something is counted for."""
    _ask(inventory, ["quota", *PLACES, *_json(as_json), "show", "--", key])


@quota.command()
@inventory_argument
@key_option
def reset(inventory: Path, key: str) -> None:
    """Forget what was counted for a key."""
    _ask(inventory, ["quota", *PLACES, "reset", "--", key])


@quota.command()
@inventory_argument
@key_option
@click.option("--units", required=True, type=click.IntRange(min=1), help="Messages or recipients to give back.")
def grant(inventory: Path, key: str, units: int) -> None:
    """Give a key part of its quota back."""
    _ask(inventory, ["quota", *PLACES, "grant", "--", key, str(units)])


def _json(as_json: bool) -> list[str]:
    return ["--json"] if as_json else []


def _ask(inventory: Path, arguments: Sequence[str], *, told: str = "") -> None:
    """Run the policy service's program on a submission host that answers, tell it ``told``, pass on what it says."""
    from smtpctl.cli.fleet import select
    from smtpctl.errors import TransportError
    from smtpctl.transport.program import run_on

    problems = []
    for target in select(inventory, roles=["submission"], placeholders=True).targets.values():
        try:
            ended = run_on(target, "root", *PROGRAM, *arguments, told=told.encode())
        except TransportError as error:
            problems.append(str(error))
            continue
        click.echo(ended.output.decode(), nl=False)
        if ended.errors:
            click.echo(ended.errors, err=True)
        sys.exit(ended.code)
    raise TransportError("; ".join(problems), hint="smtpctl plan shows which hosts answer")
