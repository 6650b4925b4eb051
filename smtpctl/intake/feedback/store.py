"""Reports into the ledger: one transaction a mail, durable when ``save`` returns.

Assumes that the ledger ignores a row whose ``dedupe`` it has: that makes it safe to try again after a connection that
broke while it committed, and safe for Postfix to hand the same mail over twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from smtpctl.feedback.report import Kind, Recipient, Report
from smtpctl.intake.feedback.config import Config
from smtpctl.intake.feedback.hiding import hidden_content, hidden_identity, hidden_text
from smtpctl.ledger.subjects import Numbering
from smtpctl.ledger.tokens import Hider

logger = logging.getLogger(__name__)

#: Bytes kept of a mail that is no delivery report.
MAX_CONTENT = 64 * 1024
#: Kinds of report whose recipients become rows of ledger.bounces.
CLASSIFIED = (Kind.BOUNCE, Kind.DELAY, Kind.DELIVERY)
#: Seconds until a mail that the database does not take goes back to Postfix's queue.
DEADLINE = 10.0

# A commit is an acknowledgement here, so it waits for the disk whatever the server's default is; a server that is gone
# without a word is noticed within seconds.
_SESSION = {
    "application_name": "smtpctl-feedback",
    "connect_timeout": 3,
    "tcp_user_timeout": 5000,
    "keepalives_idle": 10,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "options": "-c synchronous_commit=on -c statement_timeout=5s -c lock_timeout=3s -c timezone=UTC",
}

_BOUNCE: LiteralString = """
INSERT INTO ledger.bounces
  (received_at, dedupe, host, kind, recipient, recipient_domain, provider, envelope_to,
   reporting_mta, remote_mta, action, status, diagnostic, hardness, category,
   original_message_id, original_queue_id, report_message_id, arrival_at, last_attempt_at)
VALUES
  (now(), %(dedupe)s, %(host)s, 'dsn', %(recipient)s, %(domain)s, %(provider)s, %(envelope_to)s,
   %(reporting_mta)s, %(remote_mta)s, %(action)s, %(status)s, %(diagnostic)s, %(hardness)s, %(category)s,
   %(original_message_id)s, %(original_queue_id)s, %(report_message_id)s, %(arrival_at)s, %(last_attempt_at)s)
ON CONFLICT (dedupe) DO NOTHING
"""

_UNCLASSIFIED: LiteralString = """
INSERT INTO ledger.unclassified_mails
  (received_at, dedupe, host, kind, envelope_to, report_message_id, size, content)
VALUES
  (now(), %(dedupe)s, %(host)s, %(kind)s, %(envelope_to)s, %(report_message_id)s, %(size)s, %(content)s)
ON CONFLICT (dedupe) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail for one of our addresses, read."""

    envelope_to: str
    content: bytes
    fingerprint: bytes
    report: Report


class Store:
    """One connection to the ledger, made when it is needed and made again when it broke."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()
        providers = [domain.encode() for domain in config.providers]
        self._subjects = Numbering(config.privacy, providers)

    async def save(self, mails: Sequence[Mail]) -> int:
        """Store ``mails`` in one transaction and return how many rows were new.

        Raise psycopg.Error, OSError or TimeoutError when nothing was stored, or nobody knows.
        """
        async with self._lock, asyncio.timeout(DEADLINE):
            try:
                return await self._save(mails)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                # The server may have been restarted since the last mail. If it is away now, this raises.
                await self._disconnect()
                return await self._save(mails)

    async def close(self) -> None:
        """Let go of the connection."""
        async with self._lock:
            await self._disconnect()

    async def _save(self, mails: Sequence[Mail]) -> int:
        connection = await self._connected()
        new = 0
        try:
            # kept for this mail only: retention removes subjects, and bounces are few
            self._subjects.forget()
            await self._learn(connection, [recipient.address for mail in mails for recipient in mail.report.recipients])
            async with connection.transaction():
                for statement, row in (row for mail in mails for row in rows_of(mail, self._config, self._subjects)):
                    new += (await connection.execute(statement, row)).rowcount
        except BaseException:
            # Half-way through a protocol exchange, say at the deadline: no later mail may meet this connection.
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                await self._disconnect()
            raise
        return new

    async def _learn(self, connection: psycopg.AsyncConnection[Any], addresses: Sequence[str]) -> None:
        """Have the ledger number addresses."""
        steps = self._subjects.steps([address.encode() for address in addresses if address])
        rows: Any = None
        refusal: psycopg.errors.RaiseException | None = None
        while True:
            try:
                statement, values = steps.throw(refusal) if refusal else steps.send(rows)
            except StopIteration:
                return
            try:
                rows, refusal = await (await connection.execute(statement.encode(), values)).fetchall(), None
            except psycopg.errors.RaiseException as error:
                refusal = error

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            keywords = self._config.connection_keywords()
            self._connection = await psycopg.AsyncConnection.connect(**{**keywords, **_SESSION}, autocommit=True)
            logger.info("connected to the ledger")
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


def rows_of(mail: Mail, config: Config, subjects: Numbering) -> list[tuple[LiteralString, Mapping[str, Any]]]:
    """Given a mail, return what stores it: a row for each recipient of the report, else one in all."""
    if mail.report.kind not in CLASSIFIED:
        return [(_UNCLASSIFIED, _unclassified_row(mail, config.host, subjects.hider))]
    return [
        (_BOUNCE, _bounce_row(mail, number, recipient, config, subjects))
        for number, recipient in enumerate(mail.report.recipients)
    ]


def _unclassified_row(mail: Mail, host: str, hider: Hider | None) -> dict[str, Any]:
    return {
        "dedupe": _dedupe(mail, "mail"),
        "host": host,
        "kind": str(mail.report.kind),
        "envelope_to": hidden_text(mail.envelope_to, hider),
        "report_message_id": hidden_identity(mail.report.message_id, hider),
        "size": len(mail.content),
        "content": hidden_content(mail.content[:MAX_CONTENT], hider),
    }


def _bounce_row(mail: Mail, number: int, recipient: Recipient, config: Config, subjects: Numbering) -> dict[str, Any]:
    report, hider = mail.report, subjects.hider
    domain = recipient.address.rpartition("@")[2]
    return {
        "dedupe": _dedupe(mail, str(number)),
        "host": config.host,
        "recipient": subjects.numbers[recipient.address.encode()] if recipient.address else None,
        "domain": domain,
        "provider": config.providers.get(domain),
        "envelope_to": hidden_text(mail.envelope_to, hider),
        "reporting_mta": report.reporting_mta or None,
        "remote_mta": recipient.remote_mta or None,
        "action": str(recipient.action),
        "status": recipient.status or None,
        "diagnostic": hidden_text(recipient.diagnostic, hider) or None,
        "hardness": str(recipient.hardness),
        "category": str(recipient.verdict.category),
        "original_message_id": hidden_identity(report.original_message_id, hider),
        "original_queue_id": report.original_queue_id or None,
        "report_message_id": hidden_identity(report.message_id, hider),
        "arrival_at": report.arrival_at,
        "last_attempt_at": recipient.last_attempt_at,
    }


def _dedupe(mail: Mail, part: str) -> bytes:
    """The same part of the same mail to the same address of ours."""
    return hashlib.sha256(mail.fingerprint + b"\0".join((mail.envelope_to.encode(), part.encode()))).digest()
