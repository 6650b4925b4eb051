"""``smtpctl policy doctor``: whether Postfix asks the policy service as it has to, on the hosts or in one folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smtpctl.cli.fleet import host_option

if TYPE_CHECKING:
    from smtpctl.operate.policy_settings import Finding, Needs

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
    """Hold a running Postfix's settings against what the policy service needs of them, and ask the service itself.

    As smtpd(8) would, with a question that nothing is charged for. Exits with 1 when there is something to mend.

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
        found = {"this machine": _examine(_run_here, folder or "", _needs_of_file(rules))}
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
    from smtpctl.transport import program
    from smtpctl.transport.connection import Connection

    chosen = select(inventory, hosts, roles=["submission"], placeholders=True)
    needs = _needs(policy_rules(chosen.fleet))
    found = {}
    for name, target in chosen.targets.items():
        connection = Connection(target)

        def run(command: list[str], connection: Connection = connection) -> tuple[int, str]:
            ended = program.run(connection, "root", *command)
            return ended.code, ended.output.decode()

        try:
            found[name] = _examine(run, FOLDER, needs)
        finally:
            connection.close()
    return found


def _run_here(command: list[str]) -> tuple[int, str]:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return 127, ""
    return ended.returncode, ended.stdout


def _examine(run: Run, folder: str, needs: Needs) -> tuple[Finding, ...]:
    """The findings about the Postfix of ``folder``: its files as they are, and the services that they name."""
    from smtpctl.errors import TransportError
    from smtpctl.operate.policy_probe import PROGRAM, answers, backlogs
    from smtpctl.operate.policy_settings import addresses, findings
    from smtpctl.render.rules.postfix_files import Instance, parameters, services

    texts = []
    for name in ("main.cf", "master.cf"):
        code, text = run(["cat", f"{folder}/{name}"])
        if code:
            raise TransportError(f"{folder}/{name} cannot be read", hint="--config names the folder of main.cf")
        texts.append(text)
    instance = Instance(folder, parameters(texts[0]), services(texts[1]))
    asked = addresses(instance)
    owner = instance.value("mail_owner") or "postfix"
    code, told = run(["python3", "-c", PROGRAM, owner, *asked])
    if code:
        raise TransportError(f"python3 does not run beside {folder}", hint="apt-get install python3")
    _, listening = run(["ss", "--no-header", "--listening", "--numeric", "--unix", "--tcp"])
    return (*findings(instance, needs), *answers(told), *backlogs(listening, asked))


def _needs(rules: dict[str, Any]) -> Needs:
    """What a rules file needs of Postfix."""
    from smtpctl.operate.policy_settings import Needs

    credentials, streams = rules.get("credentials", {}).values(), rules.get("streams", {}).values()
    in_bytes = any(limit.get("counted") == "bytes" for one in credentials for limit in one.get("limits", []))
    sized = any("message_size" in stream for stream in streams)
    transports = frozenset(str(stream.get("filter", "")).partition(":")[0] for stream in streams)
    return Needs(end=in_bytes or sized, transports=transports)


def _needs_of_file(rules: Path | None) -> Needs:
    import json

    return _needs({} if rules is None else json.loads(rules.read_text(encoding="utf-8")))
