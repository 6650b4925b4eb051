"""``smtpctl adopt``: a running Postfix that was set up by hand, as a draft of an inventory."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smtpctl.cli.output import print_json, progress
from smtpctl.errors import UsageError

if TYPE_CHECKING:
    from smtpctl.operate.adoption.adopt import Adoption


@click.command()
@click.argument("host")
@click.option("--port", type=click.IntRange(1, 65535), default=22, show_default=True, help="TCP port of its sshd.")
@click.option(
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Private key; default: those of ~/.ssh and the agent.",
)
@click.option(
    "--known-hosts",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("~/.ssh/known_hosts"),
    show_default=True,
    help="File in which the host's key is known.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the inventory here.")
@click.option("--json", "as_json", is_flag=True, help="Print inventory, remainder and every change as JSON.")
def adopt(host: str, port: int, identity: Path | None, known_hosts: Path, output: Path | None, as_json: bool) -> None:
    """Draft the inventory of a mail server that was set up by hand.

    HOST may be USER@HOST. Reads every Postfix instance (main.cf, master.cf, tables), SASL, OpenDKIM and certificates
    over SSH, and writes nothing there. The inventory goes to standard output; what it could not express to
    standard error, each with the reason and what to do. No password and no key is read: it says where they lie, and how
    to take them over.

    \b
    Examples:
      smtpctl adopt mail.example.com -o fleet.yml
      smtpctl adopt deploy@192.0.2.25 --json > adoption.json
    """
    from smtpctl.operate.adoption.adopt import adopt as adopted
    from smtpctl.operate.adoption.reading import read_server
    from smtpctl.transport.connection import Target

    if output is not None and output.exists():
        raise UsageError(f"{output} exists", hint="name another file")
    user, _, name = host.rpartition("@")
    target = Target(name, name, port, user or "root", known_hosts.expanduser(), identity)
    server, reached = read_server(target)
    adoption = adopted(server, reached)
    if output is not None:
        output.write_text(adoption.text, encoding="utf-8")
    if as_json:
        print_json(_document(adoption))
        return
    if output is None:
        click.echo(adoption.text, nl=False)
    _show(adoption, name, output or Path("FILE"))


def _show(adoption: Adoption, host: str, file: Path) -> None:
    """What is not in the draft, and what the fleet does in its own way."""
    left = adoption.draft.notes.left
    progress(f"\n{len(left)} things of {host} are not in the draft:")
    for entry in left:
        value = f" = {entry.value}" if entry.value else ""
        progress(f"\n  {entry.subject}{value}{f'   ({entry.instance})' if entry.instance else ''}")
        progress(f"    why:   {entry.why}")
        progress(f"    to do: {_filled(entry.remedy, host, file)}")
    from smtpctl.operate.adoption.differences import how

    said = {(change.instance, change.parameter): how(change) for change in adoption.changes if how(change)}
    progress(f"\n{len(said)} parameters are said otherwise:")
    for (instance, parameter), words in said.items():
        progress(f"  {parameter}   ({instance}): {words}")
    for instance, becomes in dict.fromkeys((change.instance, change.becomes) for change in adoption.changes):
        names = [c.parameter for c in adoption.changes if (c.instance, c.becomes) == (instance, becomes)]
        progress(f"\n{instance} becomes /etc/postfix-{becomes}: {len(names)} parameters differ (--json has each)")
    progress(f"\nNext: read every GUESS, then: smtpctl validate {file}; smtpctl secrets init {file}")


def _filled(remedy: str, host: str, file: Path) -> str:
    return remedy.replace("FILE", str(file)).replace("ssh HOST ", f"ssh {host} ")


def _document(adoption: Adoption) -> dict[str, object]:
    from smtpctl.operate.adoption.differences import how

    return {
        "inventory": adoption.text,
        "left": [asdict(entry) for entry in adoption.draft.notes.left],
        "changes": [{**asdict(change), "said_by": how(change)} for change in adoption.changes],
    }
