"""``smtpctl policy doctor``: whether Postfix asks the policy service as it has to, on the hosts or in one folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smtpctl.cli.fleet import host_option

if TYPE_CHECKING:
    from smtpctl.operate.policy_settings import Finding

    #: Runs a command where the Postfix is; returns its exit code and what it printed.
    Run = Callable[[list[str]], tuple[int, str]]

#: Where our hosts have it, and what it listens on there.
FOLDER = "/etc/postfix-submission"


@click.command()
@click.argument("inventory", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@host_option
@click.option(
    "--config", "folder", metavar="DIR", help="Look at this configuration of Postfix on this machine instead."
)
@click.option(
    "--rules", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Rules that go with --config."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(
    inventory: Path | None, hosts: tuple[str, ...], folder: str | None, rules: Path | None, as_json: bool
) -> None:
    """Hold a running Postfix's settings against what the policy service needs of them.

    Exits with 1 when there is something to mend.

    \b
    Examples:
      smtpctl policy doctor inventory/reference.yml
      smtpctl policy doctor --config /etc/postfix --rules /etc/policy.json
    """
    from smtpctl.cli.output import print_json
    from smtpctl.errors import UsageError

    if (inventory is None) == (folder is None):
        raise UsageError("name either an inventory or a folder", hint="smtpctl policy doctor --config /etc/postfix")
    if inventory is not None:
        found = _of_fleet(inventory, hosts)
    else:
        found = {"this machine": _examine(_run_here, folder or "", counts_bytes=_counts_bytes(rules))}
    if as_json:
        print_json({"hosts": {host: [_plain(one) for one in some] for host, some in found.items()}})
    else:
        for host, some in found.items():
            _print(host, some)
    sys.exit(1 if any(found.values()) else 0)


def _print(host: str, found: tuple[Finding, ...]) -> None:
    if not found:
        click.echo(f"{host}: Postfix asks the policy service as it should")
    for one in found:
        click.echo(f"{host}: {one.place}: {one.text}\n  right: {one.remedy}")


def _plain(finding: Finding) -> dict[str, Any]:
    return {"place": finding.place, "text": finding.text, "remedy": finding.remedy}


def _of_fleet(inventory: Path, hosts: tuple[str, ...]) -> dict[str, tuple[Finding, ...]]:
    from smtpctl.cli.fleet import select
    from smtpctl.render.context_policy import policy_rules
    from smtpctl.transport.connection import Connection

    chosen = select(inventory, hosts, roles=["submission"], placeholders=True)
    counts_bytes = _any_bytes(policy_rules(chosen.fleet))
    found = {}
    for name, target in chosen.targets.items():
        connection = Connection(target)
        prefix = [] if target.user == "root" else ["sudo", "-n"]

        def run(command: list[str], connection: Connection = connection, prefix: list[str] = prefix) -> tuple[int, str]:
            channel = connection.run(shlex.join([*prefix, *command]))
            output: bytes = channel.makefile("rb").read()
            return channel.recv_exit_status(), output.decode()

        try:
            found[name] = _examine(run, FOLDER, counts_bytes=counts_bytes)
        finally:
            connection.close()
    return found


def _run_here(command: list[str]) -> tuple[int, str]:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout


def _examine(run: Run, folder: str, *, counts_bytes: bool) -> tuple[Finding, ...]:
    """The findings about the Postfix of ``folder``, in files as they are, and about the sockets that it asks."""
    from smtpctl.errors import TransportError
    from smtpctl.operate.policy_settings import backlog, findings
    from smtpctl.render.rules.postfix_files import Instance, parameters, services

    texts = []
    for name in ("main.cf", "master.cf"):
        code, text = run(["cat", f"{folder}/{name}"])
        if code:
            raise TransportError(f"{folder}/{name} cannot be read", hint="--config names the folder of main.cf")
        texts.append(text)
    instance = Instance(folder, parameters(texts[0]), services(texts[1]))
    found = [*findings(instance, counts_bytes=counts_bytes)]
    code, listening = run(["ss", "--no-header", "--listening", "--numeric", "--unix", "--tcp"])
    asked = sorted({where for _, _, value, _ in instance.settings() for where in _endpoints(value)})
    for where in asked:
        path = f"{instance.queue}/{where}" if "/" in where and not where.startswith("/") else where
        lengths = [int(words[3]) for line in listening.splitlines() if path in (words := line.split())]
        if code == 0 and lengths:
            found += backlog(path, max(lengths))
    return tuple(found)


def _endpoints(value: str) -> list[str]:
    """The addresses that a restriction asks policy services at: a path, or host and port."""
    return re.findall(r"check_policy_service\s+\{?\s*(?:unix|inet):([^\s,{}]+)", value)


def _counts_bytes(rules: Path | None) -> bool:
    import json

    return rules is not None and _any_bytes(json.loads(rules.read_text(encoding="utf-8")))


def _any_bytes(rules: dict[str, Any]) -> bool:
    credentials = rules.get("credentials", {}).values()
    return any(limit.get("counted") == "bytes" for one in credentials for limit in one.get("limits", []))
