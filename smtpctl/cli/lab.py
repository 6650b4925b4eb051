"""``smtpctl lab``: the six hosts and an internet on this machine."""

from __future__ import annotations

import os
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import click

from smtpctl.cli.demo import demo
from smtpctl.cli.output import print_json, progress
from smtpctl.lab import Lab, recipient, source, verdicts
from smtpctl.lab.addresses import CONTROLLER

#: Arguments after HOST belong to the command there, options included.
PASS_THROUGH = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.group()
@click.pass_context
def lab(context: click.Context) -> None:
    """Boot the six hosts and an internet on this machine.

    Everything lives in namespaces of its own and ends with one process; nothing touches this machine's network.
    State lies in $SMTPCTL_LAB_DIR (default /var/lib/smtpctl-lab). Needs root.
    """
    context.obj = Lab(report=progress)


@lab.command()
@click.pass_obj
def build(lab: Lab) -> None:
    """Build the base image of all hosts, once."""
    click.echo(lab.build())


@lab.command()
@click.option("--inventory", type=click.Path(path_type=Path), help="Boot the hosts of this inventory.")
@click.pass_obj
def up(lab: Lab, inventory: Path | None) -> None:
    """Boot the hosts; return when all of them answer."""
    began = time.monotonic()
    if not lab.up(inventory):
        progress("the lab is already up")
        return
    progress(f"the lab is up: {len(lab.addresses) - 1} hosts in {time.monotonic() - began:.1f} s")


@lab.command()
@click.option("--wipe", is_flag=True, help="Remove the state folder too, with keys and base image.")
@click.pass_obj
def down(lab: Lab, wipe: bool) -> None:
    """End the lab and throw its hosts' disks away."""
    lab.down(wipe=wipe)
    progress("the lab is down")


@lab.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.pass_obj
@click.pass_context
def status(context: click.Context, lab: Lab, as_json: bool) -> None:
    """Show whether the lab is up (exit 0) or down (exit 1), and its hosts."""
    record = lab.status()
    hosts = (
        {} if record is None else {name: address for name, address in record.addresses.items() if name != CONTROLLER}
    )
    states = {name: "on" if lab.is_on(name) else "off" for name in hosts}
    if as_json:
        members = [{"name": name, "address": address, "state": states[name]} for name, address in hosts.items()]
        print_json({"state": "down" if record is None else "up", "folder": str(lab.state.root), "hosts": members})
    elif record is None:
        click.echo("down")
    else:
        click.echo(f"up, process {record.pid}, {record.inventory}")
        for name, address in hosts.items():
            click.echo(f"{name:12} {address:15} {states[name]}")
    if record is None:
        context.exit(1)


@lab.command(context_settings=PASS_THROUGH)
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def ssh(lab: Lab, host: str, command: tuple[str, ...]) -> None:
    """Sign in to HOST by SSH, or run COMMAND there."""
    lab.require_host(host)
    lab.enter()
    os.execvp("ssh", ["ssh", "-F", str(lab.state.ssh_config), host, *command])  # noqa: S606 - no shell is meant


@lab.command("exec", context_settings=PASS_THROUGH)
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
@click.pass_obj
def execute(lab: Lab, host: str, command: tuple[str, ...]) -> None:
    """Run COMMAND in HOST without SSH. HOST `ctl` is this machine, in the lab's network."""
    argv = lab.command(host, command)
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is meant


@lab.command()
@click.argument("place", metavar="ADDRESS|DOMAIN")
@click.option("--to", help="Only what was delivered to this address.")
@click.option("--wait", type=float, default=0.0, metavar="SECONDS", help="Wait so long for a first message.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.pass_obj
@click.pass_context
def mail(context: click.Context, lab: Lab, place: str, to: str | None, wait: float, as_json: bool) -> None:
    """Show what a mailbox provider delivered to ADDRESS, or at DOMAIN. Exit 1 when it is nothing.

    \b
    Examples:
      smtpctl lab mail gmail.test
      smtpctl lab mail ada@gmail.test --wait 10 --json
    """
    local, _, domain = place.rpartition("@")
    messages = lab.mail(domain, to=place if local else to, wait=wait)
    if as_json:
        print_json({"messages": [_message(message) for message in messages]})
    else:
        click.echo("\n".join(_headers(message) for message in messages), nl=bool(messages))
    if not messages:
        context.exit(1)


@lab.command()
@click.pass_obj
def dns(lab: Lab) -> None:
    """Serve the fleet's records, as `smtpctl dns records` prints them, in the lab's DNS."""
    progress(f"the lab's DNS serves {lab.load_dns()} records of the fleet")


def _message(message: EmailMessage) -> dict[str, Any]:
    body = message.get_body(("plain", "html"))
    return {
        "recipient": recipient(message),
        "source": source(message),
        "verdicts": verdicts(message),
        "headers": [[name, str(value)] for name, value in message.items()],
        "text": body.get_content() if body is not None else None,
    }


def _headers(message: EmailMessage) -> str:
    """Everything above the body, one header a line, and what the provider made of it."""
    found = " ".join(f"{method}={result}" for method, result in verdicts(message).items())
    lines = [f"from {source(message)} to {recipient(message)}: {found or 'nothing verified'}"]
    lines += [f"  {name}: {' '.join(str(value).split())}" for name, value in message.items()]
    return "\n".join(lines) + "\n"


lab.add_command(demo)
