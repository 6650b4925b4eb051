"""Effects of key material. What is secret is told by its path; of a certificate only what it says to every client."""

from __future__ import annotations

import re
from datetime import UTC

from smtpctl.plan.effects.effect import changed
from smtpctl.plan.effects.pairs import compare

_DKIM_KEY = re.compile(r"/etc/opendkim/keys/(?P<domain>[^/]+)/(?P<algorithm>[^/.]+)\.private")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\n.+?-----END CERTIFICATE-----\n", re.S)

#: Whose passwords a secret file holds.
_PASSWORDS = {
    "/etc/dovecot-submission/users": "passwords or names of credentials changed",
    "/etc/dovecot/users": "passwords or names of mailboxes changed",
    "/etc/smtpctl/secrets/roles.sql": "passwords or names of database roles changed",
}


def secret(path: str, change: str, content: bytes | None) -> str:
    """What a change of the secret file at ``path`` means; ``content`` is what it becomes."""
    verb = {"create": "added", "remove": "removed"}.get(change, "replaced")
    if key := _DKIM_KEY.fullmatch(path):
        return f"DKIM key of {key['domain']} ({key['algorithm']}) {verb}"
    if content is not None and (until := _valid_until(content)):
        return f"TLS certificate {'renewed' if verb == 'replaced' else verb}, valid until {until}"
    return _PASSWORDS.get(path, "") if verb == "replaced" else ""


def certificate(name: str, content: bytes) -> str:
    """What a change of a file of public certificates means."""
    until = _valid_until(content)
    return f"{name} renewed, valid until {until}" if until else ""


def key_table(name: str, old: str, new: str) -> list[str]:
    """OpenDKIM's KeyTable (opendkim.conf(5)): which domain signs with which selector."""
    algorithm = name.partition("-")[2]

    def say(domain: str, before: str | None, after: str | None) -> str:
        if before is None or after is None:
            return f"DKIM signing of {domain} ({algorithm}) {'added' if before is None else 'removed'}"
        return f"DKIM selector of {domain} ({algorithm}) {changed(before, after)}"

    return compare(_selectors(old), _selectors(new), say)


def _selectors(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[1].count(":") >= 2:
            domain, selector, _ = words[1].split(":", 2)
            found[domain] = selector
    return found


def _valid_until(content: bytes) -> str:
    """The day on which the first certificate of a PEM file ends; empty where there is none."""
    from cryptography import x509  # a large library, needed by few plans

    first = _CERTIFICATE.search(content)
    if first is None:
        return ""
    try:
        return x509.load_pem_x509_certificate(first[0]).not_valid_after_utc.astimezone(UTC).strftime("%Y-%m-%d")
    except ValueError:
        return ""
