"""``smtpctl apply``: bring the hosts to what the inventory says, as one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smtpctl.cli.fleet import Selection, host_option, role_option, select
from smtpctl.cli.loading import inventory_argument
from smtpctl.cli.output import JSON_VERSION, print_error, progress, styled
from smtpctl.errors import UsageError

if TYPE_CHECKING:
    from smtpctl.model.plans import HostPlan
    from smtpctl.model.records import Event, HostResult


@click.command()
@inventory_argument
@host_option
@role_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--take-over", is_flag=True, help="Overwrite files that were edited by hand on a host.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: events, then results. Needs --yes.")
def apply(
    inventory: Path, hosts: tuple[str, ...], roles: tuple[str, ...], yes: bool, take_over: bool, as_json: bool
) -> None:
    """Bring the hosts to what the inventory says.

    Every host is staged and validated before anything goes live on any; a host on which a step fails leads itself
    back to what it was.

    \b
    Examples:
      smtpctl apply inventory/reference.yml
      smtpctl apply inventory/reference.yml --host relay1 --yes
    """
    from smtpctl.deploy.apply import Settings, apply_fleet, verdict
    from smtpctl.plan import waves

    if as_json and not yes:
        raise UsageError("--json cannot ask", hint="add --yes")
    selection = select(inventory, hosts, roles)
    results = apply_fleet(
        selection.targets,
        selection.desired,
        Settings(
            order=lambda plans: waves(
                selection.fleet, list(plans), fresh=[name for name, item in plans.items() if not item.observed_revision]
            ),
            keep=selection.fleet.retention.revisions,
            take_over=take_over,
        ),
        _json_event if as_json else _show_event,
        _agree(selection, silent=as_json, yes=yes),
        selection.secrets.mask,
    )
    if as_json:
        for result in results:
            _json_line({"result": result.host, **asdict(result)})
    else:
        show_results(results)
    error = verdict(results)
    if error is not None:
        raise error


def show_results(results: Sequence[HostResult]) -> None:
    """The result of every host on stdout, a line each; the words of those that failed on stderr."""
    for result in results:
        if result.detail:
            print_error(f"{result.host}: {result.step}: {result.detail}")
    if all(result.outcome == "unchanged" for result in results):
        click.echo(f"no changes: {len(results)} hosts are as the inventory says")
        return
    for result in results:
        click.echo(f"{result.host:<12} {result.outcome:<10} {result.revision}  {result.seconds:6.2f} s")


def _agree(selection: Selection, *, silent: bool, yes: bool) -> Callable[[Mapping[str, HostPlan]], bool]:
    """Show the plans, and ask unless that was forgone."""
    from smtpctl.cli.plan import show_plans

    def agree(plans: Mapping[str, HostPlan]) -> bool:
        if silent:
            return True
        if yes:
            from smtpctl.plan import summary

            for name, item in plans.items():
                progress(f"{name}: {summary(item)}")
            return True
        show_plans(plans, selection)
        return click.confirm(f"\nApply this to {len(plans)} hosts?", err=True)

    return agree


def _show_event(event: Event) -> None:
    colour = {"failed": "red", "undo": "yellow", "done": "green"}.get(event.step, "cyan")
    progress(f"{event.host:<12} {styled(event.step, colour)} {event.detail}")


def _json_event(event: Event) -> None:
    _json_line({"event": event.step, "host": event.host, "detail": event.detail})


def _json_line(document: Mapping[str, Any]) -> None:
    click.echo(json.dumps({"version": JSON_VERSION, **document}, ensure_ascii=False))
