"""The LMTP side (RFC 2033): one answer for each recipient, and 250 for none before all is stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import psycopg
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import Envelope, Session

from smtpctl.feedback.fields import one_line
from smtpctl.feedback.fingerprint import fingerprint
from smtpctl.feedback.report import Kind, Report, read_report
from smtpctl.intake.feedback.metrics import Metrics
from smtpctl.intake.feedback.store import CLASSIFIED, Mail, Store

logger = logging.getLogger(__name__)

#: Larger than Postfix's message_size_limit on this host: what Postfix took must not be refused here.
MAX_SIZE = 64 * 1024 * 1024

STORED = "250 2.0.0 Stored"
TRY_LATER = "451 4.3.0 The ledger is away, try again later"


class Server(LMTP):
    """LMTP with no limit of its own on the length of a line: a bounce is not lost because of somebody's long line."""

    line_length_limit = MAX_SIZE


class Intake:
    """Handler of aiosmtpd: reads each mail and stores it."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._idle = asyncio.Event()
        self._idle.set()
        self._busy = 0

    async def handle_DATA(self, _server: LMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 — aiosmtpd's name
        """Return a line for each recipient (RFC 2033 §4.2), all the same: they are stored together or not at all."""
        self._busy += 1
        self._idle.clear()
        try:
            content = envelope.original_content or b""
            stored = await self._accept([_text(recipient) for recipient in envelope.rcpt_tos], content)
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()
        return "\r\n".join([STORED if stored else TRY_LATER] * len(envelope.rcpt_tos))

    async def handle_exception(self, error: Exception) -> str:
        """A mistake of ours outside of DATA: the mail stays in Postfix's queue, where it is seen."""
        logger.error("the LMTP session failed", exc_info=error)
        self._metrics.failures.labels("session").inc()
        return TRY_LATER

    async def drained(self) -> None:
        """Wait until no mail is being stored."""
        await self._idle.wait()

    async def _accept(self, recipients: Sequence[str], content: bytes) -> bool:
        """Store one mail; return whether it is stored."""
        report = self._read(content)
        mark = fingerprint(content)
        try:
            with self._metrics.store_seconds.time():
                try:
                    new = await self._store.save([Mail(recipient, content, mark, report) for recipient in recipients])
                except psycopg.DataError:
                    # The ledger takes the connection but not these values: keep the mail as it came.
                    logger.exception("the ledger refuses what was read; storing the mail unread")
                    report = Report(Kind.OTHER, "")
                    new = await self._store.save([Mail(recipient, content, mark, report) for recipient in recipients])
        except (psycopg.Error, OSError, TimeoutError) as error:
            logger.warning("not stored, left to Postfix's queue: %s", one_line(str(error)) or type(error).__name__)
            self._metrics.database_up.set(0)
            self._metrics.failures.labels("database").inc()
            return False
        except Exception:
            # Whatever else is wrong here must not bounce a mail either: the server's own answer to it would be 500.
            logger.exception("not stored, left to Postfix's queue")
            self._metrics.failures.labels("program").inc()
            return False
        self._count(report, len(recipients), new)
        return True

    def _read(self, content: bytes) -> Report:
        try:
            return read_report(content)
        except Exception:
            # The reader takes any bytes. Should it ever not, the mail is stored as it came.
            logger.exception("a mail could not be read; storing it unread")
            self._metrics.failures.labels("reader").inc()
            return Report(Kind.OTHER, "")

    def _count(self, report: Report, recipients: int, new: int) -> None:
        self._metrics.database_up.set(1)
        expected = recipients * (len(report.recipients) if report.kind in CLASSIFIED else 1)
        self._metrics.duplicates.inc(expected - new)
        self._metrics.mails.labels(report.kind).inc()
        if new:
            for recipient in report.recipients:
                self._metrics.bounces.labels(recipient.verdict.category, recipient.hardness).inc()
        logger.info("stored kind=%s rows=%d new=%d report=%s", report.kind, expected, new, report.message_id or "-")


def _text(address: str) -> str:
    """An address of the LMTP dialogue as text that a database takes: RFC 6531 allows UTF-8, a client may send less."""
    return one_line(address.encode("utf-8", "replace").decode())
