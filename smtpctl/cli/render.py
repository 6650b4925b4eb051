"""``smtpctl render``: write the whole file tree of every host into a folder."""

from __future__ import annotations

from pathlib import Path

import click

from smtpctl.cli.loading import inventory_argument, load, overlay_of
from smtpctl.cli.output import print_json
from smtpctl.errors import UsageError
from smtpctl.model.artifacts import DesiredHost


@click.command()
@inventory_argument
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--host", "hosts", multiple=True, metavar="HOST", help="Only this host; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def render(inventory: Path, out: Path, hosts: tuple[str, ...], as_json: bool) -> None:
    """Write the whole file tree of every host into a folder.

    Without the key to the secrets, placeholders stand in their places. Files are readable by you only.

    \b
    Examples:
      smtpctl render inventory/reference.yml --out /tmp/fleet
      smtpctl render inventory/reference.yml --out /tmp/fleet --host edge1
    """
    from smtpctl.render import render_fleet

    fleet, secrets = load(inventory, placeholders=True)
    for host in hosts:
        if host not in fleet.hosts:
            raise UsageError(f"no host {host!r} in {inventory}", hint=f"hosts: {', '.join(fleet.hosts)}")
    rendered = render_fleet(fleet, secrets, overlay=overlay_of(inventory, fleet), hosts=hosts or None)
    for desired in rendered.values():
        _write(out / desired.host, desired)
    if as_json:
        summary = {name: {"revision": host.revision, "files": sorted(host.files)} for name, host in rendered.items()}
        print_json({"hosts": summary})
        return
    for name, desired in rendered.items():
        click.echo(f"{name}: revision {desired.revision}, {len(desired.files)} files")


def _write(folder: Path, desired: DesiredHost) -> None:
    for path, file in desired.files.items():
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target.touch(mode=0o600)
        target.write_bytes(file.content)
