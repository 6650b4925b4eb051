"""``smtpctl drift``: what has changed on hosts without smtpctl."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smtpctl.cli.fleet import Selection, host_option, role_option, select
from smtpctl.cli.loading import inventory_argument
from smtpctl.cli.output import print_error, print_json

if TYPE_CHECKING:
    from smtpctl.errors import SmtpctlError
    from smtpctl.model.plans import Finding

#: Exit code under --exit-code when something has drifted.
DRIFTED = 3


@click.command()
@inventory_argument
@host_option
@role_option
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--watch", type=click.FloatRange(min=1.0), metavar="SECONDS", help="Look again and again.")
@click.option(
    "--textfile",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the findings as metrics, for the node exporter's textfile collector.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 3 when something has drifted.")
def drift(
    inventory: Path,
    hosts: tuple[str, ...],
    roles: tuple[str, ...],
    as_json: bool,
    watch: float | None,
    textfile: Path | None,
    exit_code: bool,
) -> None:
    """Report what has changed on the hosts without smtpctl.

    Files edited, removed or given another mode; services stopped, disabled or still on an older file than the one
    that is there. Whether the inventory is ahead of a host is reported too, and is not drift.

    \b
    Examples:
      smtpctl drift inventory/reference.yml --exit-code
      smtpctl drift inventory/reference.yml --watch 300 --textfile /var/lib/node_exporter/smtpctl.prom
    """
    while True:
        # Read anew each time: what was applied meanwhile from a newer inventory is not drift.
        found, errors = _look(select(inventory, hosts, roles), as_json)
        if textfile:
            write_metrics(textfile, found, errors)
        if watch is None:
            break
        time.sleep(watch)
    if errors:
        sys.exit(1)
    if exit_code and any(finding.kind != "pending" for findings in found.values() for finding in findings):
        sys.exit(DRIFTED)


def _look(selection: Selection, as_json: bool) -> tuple[dict[str, tuple[Finding, ...]], dict[str, SmtpctlError]]:
    called = selection.call()
    from smtpctl.deploy.apply import rendered
    from smtpctl.deploy.drift import fleet_drift

    found, errors = fleet_drift(selection.targets, rendered(selection.render, called))
    for error in errors.values():
        print_error(selection.secrets.mask(str(error)), error.hint)
    if as_json:
        document = {
            name: [{"kind": f.kind, "subject": f.subject, "detail": f.detail} for f in findings]
            for name, findings in found.items()
        }
        print_json({"hosts": document, "unreachable": sorted(errors)})
    else:
        _show(found)
    return found, errors


def _show(found: Mapping[str, Sequence[Finding]]) -> None:
    for name, findings in found.items():
        for finding in findings:
            click.echo(f"{name}: {finding.kind}: {finding.subject}{' ' if finding.subject else ''}{finding.detail}")
        if not findings:
            click.echo(f"{name}: no drift")


def write_metrics(path: Path, found: Mapping[str, Sequence[Finding]], errors: Mapping[str, SmtpctlError]) -> None:
    """Findings as metrics, whole or not at all: the collector may read at any moment."""
    from smtpctl.model.plans import FindingKind

    lines = [
        "# HELP smtpctl_drift_findings Differences between what smtpctl left on a host and what is there.",
        "# TYPE smtpctl_drift_findings gauge",
    ]
    for name, findings in sorted(found.items()):
        for kind in FindingKind:
            count = sum(1 for finding in findings if finding.kind is kind)
            lines.append(f'smtpctl_drift_findings{{host="{name}",kind="{kind}"}} {count}')
    lines += [
        "# HELP smtpctl_drift_observed Whether a host could be looked at.",
        "# TYPE smtpctl_drift_observed gauge",
    ]
    lines += [f'smtpctl_drift_observed{{host="{name}"}} {int(name in found)}' for name in sorted({*found, *errors})]
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text("\n".join(lines) + "\n")
    temporary.replace(path)
