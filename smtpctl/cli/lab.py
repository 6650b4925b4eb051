"""``smtpctl lab``: the six hosts and an internet on this machine."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from smtpctl.cli.output import print_json, progress
from smtpctl.lab import Lab
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
