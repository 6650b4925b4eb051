"""Signing in and submitting the probe message, as a balancer hands an application's session on (PROXY, then TLS)."""

from __future__ import annotations

import smtplib
import socket
import ssl
from dataclasses import dataclass, field

from smtpctl.health.log import ProbeError


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where the probe submits, and as whom. ``name`` is checked in the certificate."""

    address: str
    port: int
    name: str
    authority: str
    credential: str
    password: str = field(repr=False)


class _Session(smtplib.SMTP):
    """Sends the PROXY header (version 1) first, with loopback as the client: the probe's credential is good only from
    there, and no balancer ever says so of an application that is somewhere else."""

    def __init__(self, entrance: Entrance, timeout: float) -> None:
        self._header = _header(entrance)
        self._name = entrance.name
        super().__init__(entrance.address, entrance.port, timeout=timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = socket.create_connection((host, port), timeout)
        connection.sendall(self._header)
        return connection

    def starttls_named(self, context: ssl.SSLContext) -> None:
        self._host = self._name
        self.starttls(context=context)
        self.ehlo()


def submit(entrance: Entrance, message: str, *, sender: str, recipient: str, timeout: float) -> None:
    """Hand the message in. Raise ProbeError with the step and the server's own words when it is refused."""
    step = "connect"
    try:
        with _Session(entrance, timeout) as session:
            step = "STARTTLS"
            session.ehlo()
            session.starttls_named(ssl.create_default_context(cafile=entrance.authority))
            step = "authentication"
            session.login(entrance.credential, entrance.password)
            step = "submission"
            session.sendmail(sender, [recipient], message)
    except smtplib.SMTPRecipientsRefused as refusal:
        code, words = next(iter(refusal.recipients.values()))
        raise ProbeError(f"{step}: {code} {_text(words)}") from None
    except smtplib.SMTPResponseException as refusal:
        raise ProbeError(f"{step}: {refusal.smtp_code} {_text(refusal.smtp_error)}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise ProbeError(f"{step}: {entrance.address} port {entrance.port}: {error}") from None


def _header(entrance: Entrance) -> bytes:
    family, client = ("TCP6", "::1") if ":" in entrance.address else ("TCP4", "127.0.0.1")
    return f"PROXY {family} {client} {entrance.address} 25 {entrance.port}\r\n".encode()


def _text(words: bytes | str) -> str:
    return words.decode(errors="replace") if isinstance(words, bytes) else words
