"""``smtpctl bootstrap``: make a bare host ready for everything else."""

from __future__ import annotations

from pathlib import Path

import click

from smtpctl.cli.loading import inventory_option
from smtpctl.errors import UsageError


@click.command()
@click.argument("host")
@inventory_option
@click.option(
    "--fingerprint", metavar="SHA256:...", help="Of the host's key; without it the key is shown, and asked for."
)
@click.option("--json", "as_json", is_flag=True, help="As one JSON document. Needs --fingerprint for an unknown key.")
def bootstrap(host: str, inventory: Path, fingerprint: str | None, as_json: bool) -> None:
    """Make a bare host ready for everything else.

    HOST is a fresh Debian 13 of the inventory, where root signs in with the inventory's key. Its host key is recorded
    in the file of known host keys; Python and sudo are installed if they are missing; and where the inventory signs in
    as another user (`ssh: {user: deploy}`), that user is made, let in with the same key, and given one right: to run
    /usr/local/sbin/smtpctl-agent as root. Whoever may do that, and so apply, is root on the host.

    It can be run again at any time, and changes only what is missing.

    \b
    Examples:
      smtpctl bootstrap relay1 -i inventory/reference.yml
      smtpctl bootstrap relay1 --fingerprint SHA256:ZkdZrWRvTkuFYKhT1Oyxs1pIiQUIGGfkdaqk8xGOUqc
    """
    from dataclasses import asdict

    from smtpctl.cli.fleet import chosen, keys_of
    from smtpctl.cli.loading import built_in_templates, enter_network_of
    from smtpctl.cli.output import print_json, progress
    from smtpctl.deploy.bootstrap import bootstrap as make_ready
    from smtpctl.deploy.targets import targets
    from smtpctl.inventory import load_fleet

    if fingerprint is not None and not fingerprint.startswith("SHA256:"):
        raise UsageError(f"{fingerprint!r} is no fingerprint", hint="as `ssh-keygen -l` shows it: SHA256:…")
    fleet = load_fleet(inventory, built_in_templates=built_in_templates)
    names = chosen(fleet, (host,), ())
    enter_network_of(fleet)
    identity, known_hosts = keys_of(fleet, inventory)
    target = targets(fleet, names, identity=identity, known_hosts=known_hosts)[host]

    def trust(kind: str, shown: str) -> bool:
        if as_json:
            raise UsageError("--json cannot ask", hint=f"{host} shows {kind} {shown}; compare, and add --fingerprint")
        click.echo(f"{host} ({target.address}) shows the {kind} key {shown}", err=True)
        return click.confirm("Is it the one that the host's console shows?", err=True)

    done = make_ready(target, fingerprint, trust, lambda words: progress(f"{host:<12} {words}"))
    if as_json:
        print_json(asdict(done))
        return
    for words in done.changed:
        click.echo(f"{host}: added {words}")
    click.echo(f"{host}: ready for {done.user}, host key {done.fingerprint}")
