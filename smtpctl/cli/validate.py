"""``smtpctl validate``: everything that is wrong with an inventory, where, and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smtpctl.cli.loading import built_in_templates, inventory_argument
from smtpctl.cli.output import print_json
from smtpctl.errors import UsageError

if TYPE_CHECKING:
    from smtpctl.inventory import Problem
    from smtpctl.model.fleet import Fleet


@click.command()
@inventory_argument
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "github"]),
    default="text",
    show_default=True,
    help="`github` prints annotations for a GitHub workflow.",
)
def validate(inventory: Path, as_json: bool, output_format: str) -> None:
    """Report everything that is wrong with an inventory.

    The inventory is inventory.yml, unless named here or in SMTPCTL_INVENTORY. Exits 1 when it has problems; needs no
    key to the secrets and no network.

    \b
    Examples:
      smtpctl validate inventory/reference.yml
      smtpctl validate --format github
    """
    from smtpctl.inventory import InventoryProblems, load_fleet

    if as_json and output_format != "text":
        raise UsageError("--json and --format github are two forms of one answer", hint="give one of them")
    problems: tuple[Problem, ...] = ()
    fleet: Fleet | None = None
    try:
        fleet = load_fleet(inventory, built_in_templates=built_in_templates)
    except InventoryProblems as error:
        problems = error.problems
    if as_json:
        members = [{name: getattr(problem, name) for name in problem.__match_args__} for problem in problems]
        print_json({"file": str(inventory), "valid": not problems, "problems": members})
    elif fleet is not None:
        click.echo(f"{inventory}: {summary(fleet)}")
    else:
        _print_problems(problems, output_format)
    if problems:
        sys.exit(1)


def _print_problems(problems: Iterable[Problem], output_format: str) -> None:
    for problem in problems:
        click.echo(annotation(problem) if output_format == "github" else str(problem))


def annotation(problem: Problem) -> str:
    """A problem as a workflow command of GitHub Actions."""
    place = f"file={_property(problem.file)},line={problem.line},col={problem.column}"
    text = f"{problem.message}\nHINT: {problem.hint}" if problem.hint else problem.message
    return f"::error {place}::{_data(text)}"


def _data(text: str) -> str:
    """Escaped as the runner unescapes what stands behind ``::`` (actions/toolkit, command.ts)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escaped as the runner unescapes the value of a property."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def summary(fleet: Fleet) -> str:
    """One line about a sound fleet."""
    sources = sum(len(host.sources) for host in fleet.hosts.values())
    parts = [
        _count(len(fleet.hosts), "host"),
        f"{_count(len(fleet.pools), 'pool')} over {_count(sources, 'source address', 'source addresses')}",
        _count(len(fleet.domains.sending), "sending domain"),
        _count(len(fleet.credentials), "credential"),
    ]
    return f"fleet {fleet.fleet} is sound: {', '.join(parts)}"


def _count(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or f'{one}s'}"
