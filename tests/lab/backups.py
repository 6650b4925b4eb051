"""What tests of backups look at: a mailbox of the fleet's own, and what an operator sees of a message."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage

from smtpctl.lab.application import read_mailbox
from tests.lab.support import AppliedFleet, smtpctl, until

POSTMASTER = "postmaster@shop.test"


def mailbox(applied: AppliedFleet) -> list[EmailMessage]:
    """The postmaster's mail."""
    host = applied.fleet.hosts["feedback1"]
    authority = applied.secrets["tls/ca/certificate"]
    password = applied.secrets["mailboxes/postmaster/password"]
    return read_mailbox(host.address, "feedback1.lab.test", authority, "postmaster", password)


def write_to_postmaster(applied: AppliedFleet) -> str:
    """Send the postmaster a letter from outside, and wait until it is in the mailbox; its Message-ID."""
    letter = applied.message("ada@gmail.test", POSTMASTER)
    with smtplib.SMTP(applied.fleet.hosts["feedback1"].address, 25, timeout=20) as session:
        session.send_message(letter, "ada@gmail.test", [POSTMASTER])
    identity = str(letter["Message-ID"])
    until(lambda: identity in {str(item["Message-ID"]) for item in mailbox(applied)}, "the letter did not come")
    return identity


def shown(applied: AppliedFleet, identity: str) -> str:
    """What an operator sees of a message, with the addresses that can be opened."""
    return smtpctl("ledger", "show", identity, "-i", str(applied.inventory), "--json").stdout
