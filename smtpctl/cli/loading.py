"""What commands load first: the inventory, its secrets, its overlay folder, and the lab's network if it is there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smtpctl import __version__

if TYPE_CHECKING:
    from smtpctl.model.fleet import Fleet
    from smtpctl.model.secrets import Secrets

#: The INVENTORY argument of every command that speaks of a fleet.
inventory_argument = click.argument(
    "inventory",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default="inventory.yml",
    envvar="SMTPCTL_INVENTORY",
)


#: The same for commands whose arguments are hosts.
inventory_option = click.option(
    "-i",
    "--inventory",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default="inventory.yml",
    envvar="SMTPCTL_INVENTORY",
    show_default=True,
    help="The fleet.",
)


def load(inventory: Path, *, placeholders: bool = False) -> tuple[Fleet, Secrets]:
    """Fleet and secrets of an inventory. Raise InventoryProblems or SecretsError."""
    from smtpctl.inventory import load_fleet
    from smtpctl.keys import read_secrets

    fleet = load_fleet(inventory, built_in_templates=built_in_templates)
    return fleet, read_secrets(inventory, placeholders=placeholders)


def built_in_templates() -> Path:
    """Folder of the built-in templates, whose paths an overlay must have."""
    from smtpctl.render import template_root

    return template_root()


def overlay_of(inventory: Path, fleet: Fleet) -> Path | None:
    """The fleet's own templates folder, beside its inventory."""
    return inventory.parent / fleet.templates if fleet.templates else None


def compiled_templates() -> Path | None:
    """A folder of the user's own in which compiled templates are kept from run to run; None where there can be none.

    It holds code, so a folder in which somebody else could write is not used.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "smtpctl" / f"templates-{__version__}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, RuntimeError):
        return None
    return folder if status.st_uid == os.geteuid() and not status.st_mode & 0o022 else None


def enter_network_of(fleet: Fleet) -> None:
    """Move this process into the lab's network when the fleet is the lab's. Raise LabError when it is not up."""
    if fleet.ssh.via == "lab":
        from smtpctl.lab import enter

        enter()
