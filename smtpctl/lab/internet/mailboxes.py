"""What the mailbox providers delivered: a Maildir for each domain on the internet host, read from this machine.

Every recipient is one file, put in place by rename (virtual(8)), so counting files counts deliveries exactly.
"""

from __future__ import annotations

import email
import email.policy
import re
import time
from email.message import EmailMessage
from pathlib import Path

from smtpctl.errors import UsageError
from smtpctl.lab.internet.providers import provider_domains


def new_mail(folder: Path, domain: str) -> Path:
    """The folder that holds one file for each delivery at ``domain``; missing until the first."""
    if domain not in provider_domains():
        raise UsageError(
            f"no mailbox provider receives for {domain!r}", hint=f"the lab's domains: {', '.join(provider_domains())}"
        )
    return folder / domain / "new"


def count(folder: Path, domain: str) -> int:
    """How many deliveries ``domain`` has had."""
    return len(_names(new_mail(folder, domain)))


def delivered(folder: Path, domain: str, *, to: str | None, wait: float, at_least: int) -> list[EmailMessage]:
    """Messages delivered at ``domain``, oldest first; with ``to`` those for that recipient. Wait up to ``wait``
    seconds until there are ``at_least`` so many, then return what there is."""
    place = new_mail(folder, domain)
    read: dict[str, EmailMessage] = {}
    end = time.monotonic() + wait
    while True:
        names = sorted(_names(place), key=_arrival)
        read |= {name: _parse(place / name) for name in names if name not in read}
        found = [read[name] for name in names if to is None or recipient(read[name]) == to.lower()]
        if len(found) >= at_least or time.monotonic() >= end:
            return found
        time.sleep(0.05)


def recipient(message: EmailMessage) -> str:
    """Whom a delivered message was delivered to: the envelope's recipient, as virtual(8) wrote it down."""
    return str(message["X-Original-To"] or "").lower()


def source(message: EmailMessage) -> str:
    """The address that a message came from: the client in the provider's own Received line, which is the topmost.

    Postfix writes ``from HELO (NAME [ADDRESS])``; HELO is the client's to choose and may look like an address too.
    """
    match = re.search(r"\(\S+ \[([0-9A-Fa-f:.]+)\]\)", str(message["Received"] or ""))
    return match[1] if match else ""


def verdicts(message: EmailMessage) -> dict[str, str]:
    """What the provider found, by method: ``{"dkim": "pass", "spf": "pass", "dmarc": "pass"}`` (RFC 8601 §2.2).

    Only the provider's own Authentication-Results count, the topmost. Of several signatures one that passes is enough.
    """
    found: dict[str, str] = {}
    for method, result in re.findall(r";\s*(dkim|spf|dmarc)=(\w+)", str(message["Authentication-Results"] or "")):
        if found.get(method) != "pass":
            found[method] = result
    return found


def _parse(path: Path) -> EmailMessage:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    if not isinstance(message, EmailMessage):
        raise TypeError(f"{path} parsed to {type(message).__name__}")
    return message


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()] if folder.exists() else []


def _arrival(name: str) -> tuple[int, int, str]:
    """Order of arrival: Postfix names a file SECONDS.VdeviceIinodeMmicroseconds.host (maildir(5))."""
    seconds, _, rest = name.partition(".")
    microseconds = rest.partition("M")[2].partition(".")[0]
    return int(seconds), int(microseconds), name
