"""``smtpctl secrets``: make, show and change what is in the secrets file beside an inventory.

No value is ever an argument: it would stand in the process list and in the shell's history.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from smtpctl.cli.loading import inventory_argument
from smtpctl.cli.output import print_json, progress
from smtpctl.errors import SecretsError, UsageError

#: Ends of the names whose values are private keys.
_PRIVATE_KEYS = ("/private", "/key")

_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_name_arguments = click.argument("words", nargs=-1, metavar="[INVENTORY] NAME")


@click.group()
def secrets() -> None:
    """Make, show and change the fleet's secrets: DKIM keys, certificates, passwords.

    They stand in one file beside the inventory, encrypted with age: inventory/lab.yml has inventory/lab.secrets.age.
    The identity that opens it is the file named by SMTPCTL_AGE_IDENTITY, else ~/.config/smtpctl/identity.txt.
    """


@secrets.command()
@inventory_argument
@_json_option
def init(inventory: Path, as_json: bool) -> None:
    """Make every secret that the fleet needs and that is missing.

    Existing values stay. Certificates are renewed when their names changed or less than 30 days remain.

    \b
    Examples:
      smtpctl secrets init inventory/reference.yml
    """
    from smtpctl.inventory import load_fleet
    from smtpctl.keys import init_secrets
    from smtpctl.keys.identity import identity_path

    had_identity = identity_path().exists()
    made = init_secrets(inventory, load_fleet(inventory))
    if not had_identity:
        progress(f"made the identity {identity_path()}: keep a copy offline, it opens all secrets")
    _print_names(made, "made", as_json)


@secrets.command(name="list")
@inventory_argument
@_json_option
def list_names(inventory: Path, as_json: bool) -> None:
    """List the names of all secrets, without their values."""
    from smtpctl.inventory import load_fleet
    from smtpctl.keys import read_secrets
    from smtpctl.keys.change import unused
    from smtpctl.keys.needs import needed_names

    stored, fleet = list(read_secrets(inventory)), load_fleet(inventory)
    missing = [name for name in needed_names(fleet) if name not in stored]
    not_needed = unused(stored, fleet)
    if as_json:
        print_json({"names": stored, "missing": missing, "unused": not_needed})
        return
    for name in stored:
        click.echo(name)
    for name in missing:
        progress(f"missing: {name} (smtpctl secrets init makes it)")
    for name in not_needed:
        progress(f"unused: {name} (nothing in the inventory needs it; smtpctl secrets prune takes it out)")


@secrets.command()
@_name_arguments
@click.option("--yes", is_flag=True, help="Print a private key to a terminal.")
@_json_option
def show(words: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Print the value of one secret.

    \b
    Examples:
      smtpctl secrets show inventory/lab.yml credentials/shop/password
      smtpctl secrets show inventory/lab.yml tls/ca/certificate > ca.pem
    """
    from smtpctl.keys import read_secrets

    inventory, name = _inventory_and_name(words)
    if name.endswith(_PRIVATE_KEYS) and sys.stdout.isatty() and not yes:
        raise UsageError(f"{name} is a private key and this is a terminal", hint="redirect it to a file, or add --yes")
    value = read_secrets(inventory)[name]
    if as_json:
        print_json({"name": name, "value": value})
    else:
        click.echo(value, nl=not value.endswith("\n"))


@secrets.command(name="set")
@_name_arguments
@_json_option
def set_value(words: tuple[str, ...], as_json: bool) -> None:
    """Set one secret, read from standard input or asked for.

    What derives from it follows: the verifier of a password, the public half of a DKIM key.

    \b
    Examples:
      smtpctl secrets set inventory/lab.yml credentials/shop/password
      smtpctl secrets set inventory/lab.yml dkim/shop.test/r1/private < r1.pem
    """
    from smtpctl.inventory import load_fleet
    from smtpctl.keys.change import assigned, check_name
    from smtpctl.keys.identity import identity_path, load_identity
    from smtpctl.keys.store import changing

    inventory, name = _inventory_and_name(words)
    fleet, identity = load_fleet(inventory), load_identity(identity_path())
    check_name(fleet, name)
    new = assigned(fleet, name, _given_value(name))
    with changing(inventory, identity) as values:
        values.update(new)
    _print_names(sorted(new), "changed", as_json)


@secrets.command()
@_name_arguments
@click.option("--yes", is_flag=True, help="Do not ask before replacing the certificate authority.")
@_json_option
def rotate(words: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Make a new password, or a host's new certificate, in place of the old.

    It takes effect with the next apply; whoever uses the old one has to be given the new.

    \b
    Examples:
      smtpctl secrets rotate inventory/lab.yml credentials/shop
      smtpctl secrets rotate inventory/lab.yml database/reader
      smtpctl secrets rotate inventory/lab.yml tls/edge1
    """
    from smtpctl.inventory import load_fleet
    from smtpctl.keys.change import rotated
    from smtpctl.keys.identity import identity_path, load_identity
    from smtpctl.keys.store import changing

    inventory, name = _inventory_and_name(words)
    fleet, identity = load_fleet(inventory), load_identity(identity_path())
    if name.startswith("tls/ca") and not yes:
        click.confirm(
            "Every client that trusts the old authority must be given the new one. Go on?", abort=True, err=True
        )
    with changing(inventory, identity) as values:
        new = rotated(values, fleet, name, datetime.now(UTC))
        values.update(new)
    _print_names(sorted(new), "changed", as_json)


@secrets.command()
@inventory_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json_option
def prune(inventory: Path, yes: bool, as_json: bool) -> None:
    """Take out every secret that the inventory no longer needs.

    After a credential, a domain, a selector or a host was removed, and that was applied. What templates of your own
    may use stays.

    \b
    Examples:
      smtpctl secrets prune inventory/reference.yml
    """
    from smtpctl.inventory import load_fleet
    from smtpctl.keys import read_secrets
    from smtpctl.keys.change import unused
    from smtpctl.keys.identity import identity_path, load_identity
    from smtpctl.keys.store import changing

    fleet, identity = load_fleet(inventory), load_identity(identity_path())
    names = unused(list(read_secrets(inventory)), fleet)
    if names and not yes:
        if as_json:
            raise UsageError("--json cannot ask", hint="add --yes")
        click.confirm(f"{chr(10).join(names)}\nTake out these {len(names)}?", abort=True, err=True)
    with changing(inventory, identity) as values:
        gone = [name for name in names if values.pop(name, None) is not None]
    _print_names(gone, "removed", as_json)


@secrets.command()
@inventory_argument
@_json_option
def edit(inventory: Path, as_json: bool) -> None:
    """Change secrets in $EDITOR, in memory only.

    Verifiers and public keys are not shown; they follow. What others changed meanwhile stays.
    """
    from smtpctl.cli import editor
    from smtpctl.inventory import load_fleet
    from smtpctl.keys.change import editable, edited
    from smtpctl.keys.identity import identity_path, load_identity
    from smtpctl.keys.store import changing, read_values

    fleet, identity = load_fleet(inventory), load_identity(identity_path())
    before = editable(read_values(inventory, identity))
    after = editor.edit(before, inventory)
    with changing(inventory, identity) as values:
        changed = edited(values, fleet, before, after)
    _print_names(changed, "changed", as_json)


@secrets.command()
@inventory_argument
@click.option("--add", multiple=True, metavar="KEY", help="Let this public key read (age1…, ssh-ed25519 …).")
@click.option("--remove", multiple=True, metavar="KEY", help="Let this public key no longer read.")
@click.option("--reencrypt", is_flag=True, help="Encrypt for the list as it stands, after a change by hand.")
@_json_option
def recipients(inventory: Path, add: tuple[str, ...], remove: tuple[str, ...], reencrypt: bool, as_json: bool) -> None:
    """List who can open the secrets, or change it.

    The list is the text file INVENTORY.recipients. Whoever is removed has seen the secrets: rotate them.

    \b
    Examples:
      smtpctl secrets recipients inventory/reference.yml
      smtpctl secrets recipients inventory/reference.yml --add age1…
    """
    from smtpctl.keys.identity import identity_path, load_identity
    from smtpctl.keys.recipients import read_recipients
    from smtpctl.keys.store import change_recipients

    if add or remove or reencrypt:
        change_recipients(inventory, load_identity(identity_path()), add=add, remove=remove)
    keys = read_recipients(inventory)
    if as_json:
        print_json({"recipients": keys})
        return
    for key in keys:
        click.echo(key)


def _inventory_and_name(words: tuple[str, ...]) -> tuple[Path, str]:
    """The arguments ``[INVENTORY] NAME``; click itself would give a single word to the first of them."""
    if len(words) not in (1, 2):
        raise UsageError("write [INVENTORY] NAME", hint="such as: inventory/lab.yml credentials/shop/password")
    inventory = Path(words[0] if len(words) == 2 else os.environ.get("SMTPCTL_INVENTORY") or "inventory.yml")
    if not inventory.is_file():
        raise UsageError(f"there is no inventory {str(inventory)!r}", hint="name it first, or set SMTPCTL_INVENTORY")
    return inventory, words[-1]


def _given_value(name: str) -> str:
    """The value, asked for on a terminal, else from standard input without the line end that `echo` adds."""
    if sys.stdin.isatty():
        answer: str = click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True)
        return answer
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise SecretsError(f"{name}: the value is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r") if text.count("\n") == 1 else text


def _print_names(names: list[str], heading: str, as_json: bool) -> None:
    if as_json:
        print_json({heading: names})
        return
    for name in names:
        click.echo(f"{heading} {name}")
    if not names:
        progress("nothing to do")
