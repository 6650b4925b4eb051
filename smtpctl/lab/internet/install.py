"""Making the internet host: its files, written into its tree before it boots. Called by the lab's PID 1."""

from __future__ import annotations

import os
import re
from pathlib import Path

from smtpctl.lab.files import link, make_folder, put, put_tree
from smtpctl.lab.internet.providers import PROVIDERS, Provider, provider_domains
from smtpctl.lab.state import StateFolder

FILES = Path(__file__).parent / "files"
GREYLIST = Path(__file__).with_name("greylist.py")

#: Enabled here, since the image's preset disables every server.
UNITS = ("knot.service", "lab-rspamd.service", "lab-greylist.service", "postfix.service")

#: Where mail is delivered, below the internet host's root: a Maildir for each domain.
MAIL = "srv/mail"

#: Where the one verifier of SPF, DKIM and DMARC listens, for Postfix and for whoever waits for it (rspamd.conf).
MILTER_PORT = 11332

#: What the internet host's mail servers and their mail belong to inside it; a number is enough (virtual(8)).
MAIL_OWNER = 5000


def install(root: Path, state: StateFolder) -> None:
    """Write the internet host's files below ``root``."""
    put_tree(root, FILES)
    (root / "usr/local/lib/lab/refuse-later").chmod(0o755)
    put(root, "/usr/local/lib/lab/greylist.py", GREYLIST.read_bytes())
    put(root, "/etc/lab/zone.key", state.zone_key.read_bytes(), 0o600)
    put(root, "/etc/lab/domains", "".join(f"{domain}\n" for domain in provider_domains()))
    put(root, "/etc/lab/mailboxes.pcre", mailboxes())
    put(root, "/etc/postfix/master.cf", (FILES / "etc/postfix/master.cf").read_text() + servers())
    for provider in PROVIDERS:
        put(root, chain_file(provider), state.provider_chain(provider.name).read_bytes(), 0o600)
    make_mailboxes(root)
    for unit in UNITS:
        link(root, f"/etc/systemd/system/multi-user.target.wants/{unit}", unit_file(root, unit))


def make_mailboxes(root: Path) -> None:
    """Empty folders for all domains, which the providers' servers may write to."""
    for domain in provider_domains():
        folder = root / MAIL / domain
        make_folder(folder)
        os.chown(folder, MAIL_OWNER, MAIL_OWNER)


def mailboxes() -> str:
    """A Maildir for every domain. Postfix forbids ``$1`` in this table, so each domain has its line."""
    return "".join(f"/@{re.escape(domain)}$/ {domain}/\n" for domain in provider_domains())


def servers() -> str:
    """The lines of master.cf for the providers: one smtpd at each address, under the provider's own name."""
    return "".join(
        f"{provider.address}:25 inet n - n - - smtpd\n"
        f"    -o myhostname={provider.mail_host}\n"
        f"    -o smtpd_tls_chain_files={chain_file(provider)}\n"
        f"    -o syslog_name=postfix/{provider.short_name}\n"
        for provider in PROVIDERS
    )


def chain_file(provider: Provider) -> str:
    """Key and certificates of ``provider`` on the internet host."""
    return f"/etc/lab/tls/{provider.name}.pem"


def unit_file(root: Path, unit: str) -> str:
    """Where systemd finds ``unit``: ours, else the distribution's."""
    own = f"/etc/systemd/system/{unit}"
    return own if (root / own.lstrip("/")).exists() else f"/usr/lib/systemd/system/{unit}"
