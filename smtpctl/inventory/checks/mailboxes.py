"""Mailboxes: an address is delivered to one of them, and the addresses that every domain must have are there."""

from __future__ import annotations

from smtpctl.inventory.checks.check import Findings, reads
from smtpctl.inventory.problems import Finding
from smtpctl.model.fleet import Fleet

#: Local parts that every domain must deliver to a person, with the rule that says so.
REQUIRED = {"postmaster": "RFC 5321 §4.5.1", "abuse": "RFC 2142 §2"}


@reads("mailboxes")
def a_local_part_has_one_mailbox(fleet: Fleet) -> Findings:
    """A local part is delivered to one mailbox."""
    first: dict[str, str] = {}
    for name, mailbox in fleet.mailboxes.items():
        for index, local_part in enumerate(mailbox.addresses):
            if local_part in first:
                path = ("mailboxes", name, "addresses", index)
                message = f"{local_part}@ is delivered to mailbox {first[local_part]!r} already"
                yield Finding(path, message, "leave it with one of them")
            first.setdefault(local_part, name)


@reads("mailboxes")
def required_addresses_are_delivered(fleet: Fleet) -> Findings:
    """postmaster@ and abuse@ are delivered to a mailbox (RFC 5321 §4.5.1, RFC 2142 §2)."""
    delivered = {local_part for mailbox in fleet.mailboxes.values() for local_part in mailbox.addresses}
    for local_part, source in REQUIRED.items():
        if local_part not in delivered:
            hint = f"add it to the addresses of a mailbox: mailboxes: {{postmaster: {{addresses: [{local_part}]}}}}"
            yield Finding(("mailboxes",), f"{local_part}@ is delivered to no mailbox ({source})", hint, at_key=True)


CHECKS = (a_local_part_has_one_mailbox, required_addresses_are_delivered)
