"""What commands that change hosts share: asking first, a line for each step, the result of every host."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from smtpctl.cli.output import JSON_VERSION, print_error, progress, styled, tame
from smtpctl.errors import UsageError

if TYPE_CHECKING:
    from smtpctl.model.plans import HostPlan
    from smtpctl.model.records import Event, HostResult
    from smtpctl.model.rollouts import Rollout

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a line: events, then results. Needs --yes."
)

COLOURS = {"failed": "red", "undo": "yellow", "reconnect": "yellow", "done": "green"}


def agreement(
    mask: Callable[[str], str],
    order: Callable[[Mapping[str, HostPlan]], Rollout],
    *,
    yes: bool,
    as_json: bool,
) -> Callable[[Mapping[str, HostPlan]], bool]:
    """Whether a run may go on, once its plans are known: they are shown, and somebody is asked unless that was forgone.

    Raise UsageError where nobody can be asked.
    """
    if as_json and not yes:
        raise UsageError("--json cannot ask", hint="add --yes")

    def agree(plans: Mapping[str, HostPlan]) -> bool:
        from smtpctl.cli.plan_text import show_paused, show_plans
        from smtpctl.cli.rollout_text import show_rollout
        from smtpctl.plan import folded

        if not as_json and yes:
            show_paused(plans)
            for sharing, sentence in folded(plans):
                progress(mask(f"{', '.join(sharing)}: {sentence}"))
        if yes:
            return True
        show_plans(plans, mask)
        show_rollout(order(plans), plans)
        return click.confirm(f"\nDo this on {len(plans)} {'host' if len(plans) == 1 else 'hosts'}?", err=True)

    return agree


def reporter(mask: Callable[[str], str], as_json: bool) -> Callable[[Event], None]:
    """What to do with the events of a run."""
    show = _json_event if as_json else _show_event
    return lambda event: show(replace(event, detail=mask(event.detail)))


def conclude(results: Sequence[HostResult], as_json: bool) -> None:
    """The result of every host, and the error that the run as a whole amounts to."""
    from smtpctl.deploy.apply import verdict

    if as_json:
        for result in results:
            _json_line({"result": result.host, **asdict(result)})
    else:
        _show_results(results)
    error = verdict(results)
    if error is not None:
        raise error


def _show_results(results: Sequence[HostResult]) -> None:
    """Results on stdout, a line each; the words of the hosts that failed on stderr."""
    for result in results:
        if result.detail:
            print_error(f"{result.host}: {result.step}: {result.detail}", result.hint)
    if all(result.outcome == "unchanged" for result in results):
        click.echo(f"no changes: {len(results)} hosts are as they should be")
        return
    for result in results:
        click.echo(f"{result.host:<12} {result.outcome:<10} {result.revision}  {result.seconds:6.2f} s")


def _show_event(event: Event) -> None:
    progress(f"{event.host:<12} {styled(event.step, COLOURS.get(event.step, 'cyan'))} {tame(event.detail)}")


def _json_event(event: Event) -> None:
    _json_line({"event": event.step, "host": event.host, "detail": event.detail})


def _json_line(document: Mapping[str, Any]) -> None:
    click.echo(json.dumps({"version": JSON_VERSION, **document}, ensure_ascii=False))
