"""What commands load first: the inventory, its secrets, its overlay folder, and the lab's network if it is there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smtpctl import __version__

if TYPE_CHECKING:
    from smtpctl.model.fleet import Fleet
    from smtpctl.model.secrets import Secrets


class _Inventory(click.Path):
    """The file of a fleet."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as problem:
            self.fail(f"{problem.message}\nHINT: name the fleet's file, or export SMTPCTL_INVENTORY=FILE", param, ctx)


#: The INVENTORY argument of every command that speaks of a fleet.
inventory_argument = click.argument(
    "inventory",
    type=_Inventory(),
    default="inventory.yml",
    envvar="SMTPCTL_INVENTORY",
)


#: The same for commands whose arguments are hosts.
inventory_option = click.option(
    "-i",
    "--inventory",
    type=_Inventory(),
    default="inventory.yml",
    envvar="SMTPCTL_INVENTORY",
    show_default=True,
    help="The fleet.",
)


def load(inventory: Path, *, placeholders: bool = False) -> tuple[Fleet, Secrets]:
    """Fleet and secrets of an inventory. Raise InventoryProblems or SecretsError."""
    from smtpctl.keys import read_secrets

    return load_fleet(inventory), read_secrets(inventory, placeholders=placeholders)


def load_fleet(inventory: Path) -> Fleet:
    """The fleet, validated unless that was done with the very same file before. Raise InventoryProblems."""
    from smtpctl.kept import kept

    def validated() -> Fleet:
        from smtpctl import inventory as reader

        return reader.load_fleet(inventory, built_in_templates=built_in_templates, content=content)

    content = inventory.read_bytes() if inventory.is_file() else None
    if content is None or b"templates" in content:  # an overlay is held against the rules, too
        return validated()
    return kept(own_cache(), f"fleet-{place_of(inventory)}", content, validated)


def place_of(inventory: Path) -> str:
    """A name for where an inventory stands, for what is kept of it."""
    return hashlib.sha256(str(inventory.resolve()).encode()).hexdigest()[:16]


def built_in_templates() -> Path:
    """Folder of the built-in templates, whose paths an overlay must have."""
    from smtpctl.render import template_root

    return template_root()


def overlay_of(inventory: Path, fleet: Fleet) -> Path | None:
    """The fleet's own templates folder, beside its inventory."""
    return inventory.parent / fleet.templates if fleet.templates else None


def own_cache() -> Path | None:
    """A folder of the user's own for what is kept from run to run; None where there can be none.

    It holds code (compiled templates, pickles), so a folder in which somebody else could write is not used.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "smtpctl" / __version__
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
