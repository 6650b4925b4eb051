"""``smtpctl status``: one screen that says whether mail is flowing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smtpctl.cli.fleet import Selection, select
from smtpctl.cli.loading import inventory_option
from smtpctl.cli.output import print_json
from smtpctl.errors import SmtpctlError, UsageError

if TYPE_CHECKING:
    from smtpctl.operate.health import Status

#: How far back incidents are looked for.
RECENT = timedelta(days=1)


@click.command()
@click.argument("wanted", required=False, metavar="[HOST|ROLE|STREAM|PROVIDER]")
@inventory_option
@click.option(
    "--minutes", default=15, show_default=True, type=click.IntRange(1, 1440), help="How far back flows are counted."
)
@click.option("--watch", type=click.FloatRange(min=1.0), metavar="SECONDS", help="Look again and again.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(wanted: str | None, inventory: Path, minutes: int, watch: float | None, as_json: bool) -> None:
    """Show whether mail is flowing: what arrives, what waits, what is paused, what is wrong.

    Exits with 0 when all is well, with 1 when something is wrong; what is wrong stands last, a line each.

    \b
    Examples:
      smtpctl status
      smtpctl status google --minutes 60
      smtpctl status relay --watch 5
      smtpctl status --json
    """
    selection = select(inventory, placeholders=True)
    hosts, stream, provider = _about(selection, wanted)
    while True:
        found = _look(selection, hosts, minutes)
        flows = [flow for flow in found.flows if stream in (None, flow.stream) and provider in (None, flow.provider)]
        found = replace(found, flows=flows)
        if as_json:
            print_json({"healthy": not found.problems, "minutes": minutes, **asdict(found)})
        else:
            if watch is not None:
                click.clear()
            click.echo("\n".join(_screen(found, minutes)))
        if watch is None:
            break
        time.sleep(watch)
    if found.problems:
        sys.exit(1)


def _about(selection: Selection, wanted: str | None) -> tuple[list[str], str | None, str | None]:
    """The hosts, stream and provider that a word means."""
    fleet = selection.fleet
    everywhere = list(fleet.hosts)
    if wanted is None:
        return everywhere, None, None
    if wanted in fleet.hosts:
        return [wanted], None, None
    having = [name for name, host in fleet.hosts.items() if wanted in map(str, host.roles)]
    if having:
        return having, None, None
    if wanted in fleet.streams:
        return everywhere, wanted, None
    if wanted in fleet.all_providers():
        return everywhere, None, wanted
    raise UsageError(f"{wanted!r} is no host, role, stream or provider of the fleet")


def _look(selection: Selection, hosts: list[str], minutes: int) -> Status:
    from smtpctl.operate.health import flows_of, problems_of
    from smtpctl.operate.status import ask_hosts, virtual_address
    from smtpctl.operate.visits import visits

    with visits({name: selection.targets[name] for name in hosts}) as opened:
        found = ask_hosts(selection.fleet, opened)
    said = _ledger(selection.inventory, minutes)
    lag = {host: seconds for host, seconds in said.lag.items() if host in hosts}
    limits = _limits(selection, [name for name in hosts if name not in found.silent])
    found = replace(
        found,
        flows=flows_of(said.rows),
        accepted=said.accepted,
        limits=limits,
        incidents=said.incidents,
        lag=lag,
        ledger=said.silence,
    )
    balancers = [name for name, host in selection.fleet.hosts.items() if "balancer" in host.roles]
    asked = balancers if set(balancers) <= set(hosts) else []
    return replace(found, problems=problems_of(found, virtual_address(selection.fleet) if asked else "", asked))


def _limits(selection: Selection, hosts: list[str]) -> list[Mapping[str, Any]]:
    """Limits that are nearly spent; none where no submission host is asked, or its database does not answer, which the
    ledger's own line says."""
    from smtpctl.model.fleet import Role
    from smtpctl.operate.levels import ask_levels
    from smtpctl.operate.why import nearly_spent

    submission = {
        name: selection.targets[name] for name in selection.fleet.hosts_with(Role.SUBMISSION) if name in hosts
    }
    try:
        return [row for row in ask_levels(submission).quotas if nearly_spent(row)] if submission else []
    except SmtpctlError:
        return []


@dataclass
class _Said:
    """What the ledger says of the last minutes, how far each host's log is behind, and why it says nothing."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    accepted: dict[str, int] = field(default_factory=dict)
    incidents: list[Mapping[str, Any]] = field(default_factory=list)
    lag: dict[str, float] = field(default_factory=dict)
    silence: str = ""


def _ledger(inventory: Path, minutes: int) -> _Said:
    from smtpctl.cli.ledger_access import ledger_reader
    from smtpctl.operate.incidents import at_least

    now = datetime.now(UTC)
    since = now - timedelta(minutes=minutes)
    try:
        with ledger_reader(None, inventory) as reader:
            incidents = at_least((row for row in reader.incidents(now - RECENT) if row["open"]), "critical")
            lag = {row["host"]: max((now - row["updated_at"]).total_seconds(), 0.0) for row in reader.sources()}
            return _Said(reader.outgoing(since), reader.accepted(since), [*incidents], lag)
    except SmtpctlError as error:
        return _Said(silence=str(error))


def _screen(found: Status, minutes: int) -> Iterator[str]:
    from smtpctl.cli.pause import lines_of
    from smtpctl.operate.health import first_end
    from smtpctl.operate.pausing import current

    columns = f"{'delivered':>10}{'deferred':>10}{'bounced':>9}{'p50':>9}{'p99':>9}"
    yield f"{'stream':<16}{'provider':<14}{columns}   in {minutes} min"
    for flow in found.flows:
        median, high = ("-" if value is None else f"{value:.1f} s" for value in (flow.median, flow.high))
        yield (
            f"{flow.stream:<16}{flow.provider:<14}{flow.delivered:>10}{flow.deferred:>10}{flow.bounced:>9}"
            f"{median:>9}{high:>9}"
        )
    accepted = ", ".join(f"{stream} {count}" for stream, count in sorted(found.accepted.items()))
    yield f"accepted from applications: {accepted or 'nothing'}"
    for row in found.limits:
        room = "spent" if row["room"] <= 0 else "nearly spent"
        yield f"LIMIT {room}: {row['key']} ({row['limit']}), {row['room']} left"
    for row in found.incidents:
        yield f"INCIDENT: {row['sentence']}; smtpctl incidents show {row['id']}"
    yield ""
    yield f"{'host':<12}{'instance':<16}{'incoming':>9}{'active':>9}{'deferred':>9}{'hold':>9}{'oldest':>9}"
    for host, state in found.hosts.items():
        for instance, queues in state["queues"].items():
            counts = "".join(f"{queues[name]['messages']:>9}" for name in ("incoming", "active", "deferred", "hold"))
            oldest = min((queue["oldest"] for queue in queues.values() if queue["oldest"]), default=None)
            age = "-" if oldest is None else f"{(state['now'] - oldest) / 60:.0f} min"
            yield f"{host:<12}{instance:<16}{counts}{age:>9}"
    yield ""
    for host, state in found.hosts.items():
        notes = [f"disk {state['disk_free']:.0%} free"]
        notes += ["holds the virtual address"] if state["holds_virtual_address"] else []
        notes += [f"ledger {found.lag[host]:.0f} s behind"] if host in found.lag else []
        ends = first_end(state)
        notes += [f"certificates for {ends:.0f} days"] if ends is not None else []
        notes += [f"being emptied: {', '.join(state['handed_over'])}"] if state["handed_over"] else []
        yield f"{host:<12}{', '.join(notes)}"
    records = [record for state in found.hosts.values() for record in state["paused"]]
    paused = current(records, time.time())
    yield from lines_of(record for record in paused if record["kind"] != "client")
    locked_out = sum(record["kind"] == "client" for record in paused)
    if locked_out:
        yield f"{locked_out} addresses are locked out: smtpctl pause lists them"
    for problem in found.problems:
        yield f"WRONG: {problem}"
    if not found.problems:
        yield "all is well"
