"""Nothing is acknowledged before it is stored, nothing is stored twice, nothing is refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from smtpctl.intake.feedback import lmtp
from smtpctl.intake.feedback.lmtp import STORED, TRY_LATER

if TYPE_CHECKING:
    from tests.intake.feedback.conftest import Ledger, Processor

pytestmark = pytest.mark.postgres

TO = "bounce+shop@bounce.shop.test"

BOUNCE = (
    b"Message-ID: <report@mx.example.com>\r\n"
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n"
    b"\r\n"
    b"--b\r\n"
    b"Content-Type: message/delivery-status\r\n"
    b"\r\n"
    b"Reporting-MTA: dns; mx.example.com\r\n"
    b"\r\n"
    b"Final-Recipient: rfc822; Buyer@example.com\r\n"
    b"Action: failed\r\n"
    b"Status: 5.1.1\r\n"
    b"Remote-MTA: dns; mail.example.com\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n"
    b"\r\n"
    b"Final-Recipient: rfc822; other@example.org\r\n"
    b"Action: delayed\r\n"
    b"Status: 4.2.2\r\n"
    b"--b\r\n"
    b"Content-Type: text/rfc822-headers\r\n"
    b"\r\n"
    b"Message-ID: <order-1@shop.test>\r\n"
    b"--b--\r\n"
)

BOUNCES = """
SELECT address, envelope_to, provider, action, status, hardness, category, original_message_id, reporting_mta
FROM ledger.bounces JOIN ledger.subjects ON subjects.id = bounces.recipient ORDER BY bounces.id
"""


def test_each_recipient_of_a_report_is_a_row(ledger: Ledger, processor: Processor) -> None:
    async def scenario() -> None:
        async with processor.client() as client:
            assert await client.send(BOUNCE, TO) == [STORED]

    asyncio.run(scenario())
    common = ("<order-1@shop.test>", "mx.example.com")
    assert ledger.rows(BOUNCES) == [
        ("buyer@example.com", TO, "example", "failed", "5.1.1", "hard", "invalid mailbox", *common),
        ("other@example.org", TO, None, "delayed", "4.2.2", "soft", "full", *common),
    ]
    assert processor.metric("smtpctl_feedback_mails_total", kind="bounce") == 1
    assert processor.metric("smtpctl_feedback_bounces_total", category="invalid mailbox", hardness="hard") == 1


def test_the_same_mail_counts_once_however_often_and_by_whichever_way_it_comes(
    ledger: Ledger, processor: Processor
) -> None:
    async def scenario() -> None:
        async with processor.client() as client:
            for trace in (b"", b"", b"Received: from mx.example.com by feedback2\r\n"):
                assert await client.send(trace + BOUNCE, TO) == [STORED]

    asyncio.run(scenario())
    assert len(ledger.rows(BOUNCES)) == 2
    assert processor.metric("smtpctl_feedback_duplicates_total") == 4


def test_every_recipient_of_a_transaction_has_its_answer_and_its_rows(ledger: Ledger, processor: Processor) -> None:
    other = "bounce+news@bounce.news.test"

    async def scenario() -> None:
        async with processor.client() as client:
            assert await client.send(BOUNCE, TO, other) == [STORED, STORED]

    asyncio.run(scenario())
    assert [row[1] for row in ledger.rows(BOUNCES)] == [TO, TO, other, other]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"Subject: I am a person\r\n\r\nhello\r\n", "other"),
        (b"Auto-Submitted: auto-replied\r\n\r\naway\r\n", "auto_reply"),
        (b"\x00\xff\r\n\r\n\x00" + b"x" * 5_000 + b"\r\n", "other"),
        (b"", "other"),
    ],
)
def test_what_is_no_report_is_kept_as_it_came(ledger: Ledger, processor: Processor, content: bytes, kind: str) -> None:
    async def scenario() -> None:
        async with processor.client() as client:
            assert await client.send(content, TO, TO) == [STORED, STORED]

    asyncio.run(scenario())
    ((found_kind, envelope_to, size, found),) = ledger.rows(
        "SELECT kind, envelope_to, size, content FROM ledger.unclassified_mails"
    )
    assert (found_kind, envelope_to, size, found) == (kind, TO, len(content) + 2, content + b"\r\n")


def test_a_large_mail_keeps_its_size_and_its_beginning(ledger: Ledger, processor: Processor) -> None:
    line = b"x" * 70_000 + b"\r\n"

    async def scenario() -> None:
        async with processor.client() as client:
            assert await client.send(line * 30, TO) == [STORED]

    asyncio.run(scenario())
    query = "SELECT size, length(content) FROM ledger.unclassified_mails"
    assert ledger.rows(query) == [(len(line) * 30 + 2, 65_536)]


def test_with_the_database_away_every_recipient_is_told_to_come_again(
    ledger: Ledger, processor: Processor, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with processor.client() as client:
            assert await client.send(b"Subject: first\r\n", TO) == [STORED]
            ledger.cluster.stop("immediate")
            try:
                assert await client.send(BOUNCE, TO, "bounce+x@bounce.shop.test") == [TRY_LATER, TRY_LATER]
            finally:
                ledger.cluster.start()
            assert processor.metric("smtpctl_feedback_database_up") == 0
            assert await client.send(BOUNCE, TO) == [STORED]

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert "not stored, left to Postfix's queue" in caplog.text
    assert len(ledger.rows(BOUNCES)) == 2
    assert processor.metric("smtpctl_feedback_database_up") == 1


def test_a_connection_that_broke_between_two_mails_is_made_again(ledger: Ledger, processor: Processor) -> None:
    async def scenario() -> None:
        async with processor.client() as client:
            assert await client.send(b"Subject: first\r\n", TO) == [STORED]
            ledger.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'feedback_test'")
            assert await client.send(BOUNCE, TO) == [STORED]

    asyncio.run(scenario())
    assert len(ledger.rows(BOUNCES)) == 2


@contextmanager
def locked(ledger: Ledger) -> Iterator[None]:
    """Somebody holds the table, as a migration would."""
    with psycopg.connect(ledger.cluster.conninfo(ledger.database)) as connection:
        connection.execute("LOCK TABLE ledger.bounces IN ACCESS EXCLUSIVE MODE")
        yield


def test_a_ledger_that_waits_on_a_lock_is_not_waited_for(ledger: Ledger, processor: Processor) -> None:
    async def scenario() -> None:
        async with processor.client() as client:
            assert await client.send(b"Subject: first\r\n", TO) == [STORED]
            with locked(ledger):
                assert await client.send(BOUNCE, TO) == [TRY_LATER]
            assert await client.send(BOUNCE, TO) == [STORED]

    asyncio.run(scenario())
    assert len(ledger.rows(BOUNCES)) == 2


def test_rows_that_the_ledger_refuses_become_a_mail_as_it_came(
    ledger: Ledger, processor: Processor, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.run("ALTER TABLE ledger.bounces ALTER COLUMN category TYPE varchar(3)")

    async def scenario() -> None:
        async with processor.client() as client:
            assert await client.send(BOUNCE, TO) == [STORED]

    asyncio.run(scenario())
    assert ledger.rows("SELECT count(*) FROM ledger.bounces") == [(0,)]
    assert ledger.rows("SELECT kind FROM ledger.unclassified_mails") == [("other",)]
    assert "storing the mail unread" in caplog.text


def test_a_ledger_without_rights_or_tables_defers_the_mail(ledger: Ledger, processor: Processor) -> None:
    ledger.run("DROP TABLE ledger.bounces CASCADE")

    async def scenario() -> None:
        async with processor.client() as client:
            assert await client.send(BOUNCE, TO) == [TRY_LATER]

    asyncio.run(scenario())


def test_a_wrong_password_file_defers_the_mail(ledger: Ledger, processor: Processor) -> None:
    broken = replace(processor.config, database={**processor.config.database, "password_file": "/nonexistent"})
    processor.config = broken

    async def scenario() -> None:
        async with processor.client() as client:
            assert await client.send(BOUNCE, TO) == [TRY_LATER]

    asyncio.run(scenario())


@pytest.mark.parametrize("mistake", [RecursionError("too deep"), KeyError("x"), MemoryError()])
def test_a_mistake_of_the_reader_loses_no_mail(
    ledger: Ledger,
    processor: Processor,
    mistake: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_raw: bytes) -> None:
        raise mistake

    monkeypatch.setattr(lmtp, "read_report", fail)

    async def scenario() -> None:
        async with processor.client() as client:
            assert await client.send(BOUNCE, TO) == [STORED]

    asyncio.run(scenario())
    assert ledger.rows("SELECT content FROM ledger.unclassified_mails") == [(BOUNCE + b"\r\n",)]
    assert "could not be read" in caplog.text


def test_internationalised_addresses_are_taken(ledger: Ledger, processor: Processor) -> None:
    async def scenario() -> None:
        async with processor.client() as client:
            assert await client.say("MAIL FROM:<> SMTPUTF8") == "250 OK"
            assert await client.say("RCPT TO:<bounce+größe@bounce.shop.test>") == "250 OK"
            assert (await client.say("DATA")).startswith("354")
            assert await client.say("\r\n.") == STORED

    asyncio.run(scenario())
    assert ledger.rows("SELECT envelope_to FROM ledger.unclassified_mails") == [("bounce+größe@bounce.shop.test",)]


def test_no_address_stands_in_the_log(ledger: Ledger, processor: Processor, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with processor.client() as client:
            await client.send(BOUNCE, TO)

    with caplog.at_level(logging.INFO, logger="smtpctl"):
        asyncio.run(scenario())
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("smtpctl")]
    assert "stored kind=bounce rows=2 new=2 report=<report@mx.example.com>" in ours
    assert not any("buyer" in line.lower() or "bounce+" in line for line in ours)
