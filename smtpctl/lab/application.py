"""The application of the lab: submits mail as a customer's program would, and reads mailboxes as a person would.

Runs in the lab's network (see ``enter``), with the fleet's certificate authority as the only one it trusts.
"""

from __future__ import annotations

import email
import email.policy
import imaplib
import smtplib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage


@dataclass(frozen=True, slots=True)
class Submission:
    """Where and as whom an application submits. ``address`` is dialled, ``name`` is checked in the certificate."""

    address: str
    name: str
    authority: str
    credential: str
    password: str
    port: int = 587
    source: str | None = None


def compose(sender: str, recipients: Sequence[str], subject: str, *, identity: str, text: str = "") -> EmailMessage:
    """A message with ``identity`` as its Message-ID (without angle brackets)."""
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = subject
    message["Message-ID"] = f"<{identity}>"
    message.set_content(text or f"{subject}\n")
    return message


class _NamedSmtp(smtplib.SMTP):
    """Dials an address, but checks the certificate of a name: the lab's names are not in this machine's DNS."""

    def __init__(self, place: Submission, timeout: float) -> None:
        self._name = place.name
        source = (place.source, 0) if place.source else None
        super().__init__(place.address, place.port, timeout=timeout, source_address=source)

    def starttls_named(self, context: ssl.SSLContext) -> None:
        self._host = self._name
        self.starttls(context=context)
        self.ehlo()


def connect(place: Submission, *, timeout: float = 30.0, sign_in: bool = True) -> smtplib.SMTP:
    """A session on the submission port: under TLS and, with ``sign_in``, authenticated. Raise smtplib's errors."""
    context = ssl.create_default_context(cadata=place.authority)
    session = _wrapped(place, context, timeout) if place.port == 465 else _NamedSmtp(place, timeout)
    try:
        if isinstance(session, _NamedSmtp):
            session.ehlo()
            session.starttls_named(context)
        if sign_in:
            session.login(place.credential, place.password)
    except BaseException:
        session.close()
        raise
    return session


def _wrapped(place: Submission, context: ssl.SSLContext, timeout: float) -> smtplib.SMTP:
    session = smtplib.SMTP(timeout=timeout)
    plain = socket.create_connection((place.address, place.port), timeout)
    session.sock = context.wrap_socket(plain, server_hostname=place.name)
    code, reply = session.getreply()
    if code != 220:
        raise smtplib.SMTPConnectError(code, reply)
    session.ehlo()
    return session


def submit(place: Submission, message: EmailMessage, *, sender: str, recipients: Sequence[str]) -> None:
    """Submit one message. Raise smtplib's errors with the server's own words when it is refused."""
    with connect(place) as session:
        session.send_message(message, sender, list(recipients))


def read_mailbox(address: str, name: str, authority: str, user: str, password: str) -> list[EmailMessage]:
    """All messages of a mailbox's INBOX over IMAPS (RFC 9051, RFC 8314), oldest first."""
    context = ssl.create_default_context(cadata=authority)
    with _NamedImap(address, name, context) as session:
        session.login(user, password)
        session.select("INBOX", readonly=True)
        _, found = session.search(None, "ALL")
        messages = []
        for number in found[0].split():
            _, parts = session.fetch(number.decode(), "(RFC822)")
            raw = next(part[1] for part in parts if isinstance(part, tuple))
            messages.append(email.message_from_bytes(raw, policy=email.policy.default))
        return [message for message in messages if isinstance(message, EmailMessage)]


class _NamedImap(imaplib.IMAP4_SSL):
    def __init__(self, address: str, name: str, context: ssl.SSLContext) -> None:
        self._name = name
        self._context = context
        super().__init__(address, 993, ssl_context=context, timeout=30)

    def _create_socket(self, timeout: float | None) -> ssl.SSLSocket:
        plain = socket.create_connection((self.host, self.port), timeout)
        return self._context.wrap_socket(plain, server_hostname=self._name)
