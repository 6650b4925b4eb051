"""``smtpctl plan``: every difference between the inventory and the hosts, and what an apply would do about it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smtpctl.cli.fleet import host_option, role_option, select
from smtpctl.cli.loading import inventory_argument
from smtpctl.cli.output import print_error, print_json
from smtpctl.errors import HostError, SmtpctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Exit code under --exit-code when there is something to change.
CHANGES_PENDING = 3


@click.command()
@inventory_argument
@host_option
@role_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Keep the plan, for `smtpctl apply FILE`.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option("--exit-code", is_flag=True, help="Exit with 3 when there is something to change.")
def plan(
    inventory: Path, hosts: tuple[str, ...], roles: tuple[str, ...], out: Path | None, as_json: bool, exit_code: bool
) -> None:
    """Show every difference between the inventory and the hosts. Writes nothing anywhere.

    \b
    Examples:
      smtpctl plan inventory/reference.yml
      smtpctl plan inventory/reference.yml --role relay --exit-code
      smtpctl plan inventory/reference.yml --out friday.plan && smtpctl apply friday.plan
    """
    selection = select(inventory, hosts, roles)
    called = selection.call()
    from smtpctl.cli.plan_files import write_plans
    from smtpctl.cli.plan_text import plan_document, show_plans
    from smtpctl.cli.rollout_text import rollout_document, show_rollout
    from smtpctl.deploy.apply import plan_fleet, rendered

    mask = selection.secrets.mask
    plans, errors = plan_fleet(selection.targets, rendered(selection.render, called), lambda event: None)
    if as_json:
        documents = {name: plan_document(item, mask) for name, item in plans.items()}
        print_json({"hosts": documents, "waves": rollout_document(selection.rollout(plans), plans)})
    else:
        show_plans(plans, mask)
        show_rollout(selection.rollout(plans), plans)
    stop_on(errors, len(selection.targets), mask)
    if out:
        write_plans(out, inventory, plans)
    if exit_code and any(not item.empty for item in plans.values()):
        sys.exit(CHANGES_PENDING)


def stop_on(errors: Sequence[SmtpctlError], hosts: int, mask: Callable[[str], str]) -> None:
    """Print every host's error, and raise one for all."""
    for error in errors:
        print_error(mask(str(error)), error.hint)
    if errors:
        broken = sum(1 for error in errors if isinstance(error, HostError) and error.step == "rules")
        what = "contradict each other: an apply would refuse" if broken else "could not be observed"
        raise SmtpctlError(f"{'the files of ' if broken else ''}{len(errors)} of {hosts} hosts {what}")
