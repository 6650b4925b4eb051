"""The ten questions of docs/ledger.md, asked as a reader of a ledger that is always the same; `--refresh-golden` writes
the answers into the page."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smtpctl.intake.shipper.verdicts import classify
from smtpctl.ledger.connection import connect
from smtpctl.ledger.migrations import migrate
from smtpctl.ledger.sums import sum_up
from smtpctl.ledger.writer import Writer
from smtpctl.maillog.labels import Labels
from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.tracker import Tracker
from smtpctl.model.deliveries import moment_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Cluster

pytestmark = pytest.mark.postgres

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ledger.md"
QUESTION = re.compile(r"```sql\n(?P<statement>[^`]*?)```\n\n```\n(?P<answer>[^`]*?)```", re.DOTALL)
BEGIN = datetime(2026, 11, 17, tzinfo=UTC)
LABELS = Labels.from_config(
    {
        "instances": {
            "postfix-submission": {"role": "submission"},
            "postfix-transactional": {"role": "relay", "pool": "transactional", "stream": "transactional"},
            "postfix-marketing": {"role": "relay", "pool": "marketing", "stream": "marketing"},
        },
        "pools": ["transactional", "marketing"],
        "streams": {"shop": "transactional", "alerts": "transactional", "news": "marketing"},
        "providers": {"gmail.com": "google", "outlook.com": "microsoft", "yahoo.com": "yahoo"},
    }
)
DOMAINS = ("gmail.com", "outlook.com", "yahoo.com", "gmail.com", "partner.example", "old.example")
DEFERRED = {
    "gmail.com": (
        "421-4.7.28 Gmail has detected an unusual rate of email",
        "452-4.2.2 The recipient's inbox is out of storage space",
    ),
    "outlook.com": ("451 4.7.650 The mail server [192.0.2.9] has been temporarily rate limited due to IP reputation",),
    "yahoo.com": ("421 4.7.0 [TSS04] Messages from 192.0.2.9 temporarily deferred due to unexpected volume",),
    "partner.example": ("450 4.2.0 Greylisted, see http://postgrey.example/help",),
    "old.example": ("450 4.2.0 Greylisted, see http://postgrey.example/help",),
}
BOUNCED = "550 5.1.1 The email account that you tried to reach does not exist"


def lines_of(number: int) -> tuple[list[str], list[str]]:
    """What edge1 and relay1 log of one mail."""
    at = BEGIN + timedelta(minutes=11 * number)
    chosen = hashlib.blake2b(str(number).encode(), digest_size=8).digest()
    credential = ("shop", "shop", "shop", "news", "alerts")[chosen[0] % 5]
    pool = "marketing" if credential == "news" else "transactional"
    domain = DOMAINS[chosen[1] % len(DOMAINS)]
    here, there, identity = f"{0xA0000 + number:X}", f"{0xB0000 + number:X}", f"<{number}@shop.example>"
    edge, relay = "edge1 postfix-submission", f"relay1 postfix-{pool}"
    recipient = f"to=<person{number}@{domain}>"

    def said(seconds: float, text: str) -> str:
        return f"{(at + timedelta(seconds=seconds)).isoformat(timespec='microseconds')} {text}"

    def attempt(seconds: float, status: str, dsn: str, reply: str) -> str:
        delay = f"delay={seconds:g}, delays=0.02/0.01/0.1/{max(seconds - 0.13, 0.1):g}"
        return said(seconds, f"{relay}/smtp[9]: {there}: {recipient}, relay=mx.{domain}[203.0.113.5]:25, {delay}, "
                             f"dsn={dsn}, status={status} ({reply})")  # fmt: skip

    submitted = [
        said(0, f"{edge}/smtpd[1]: {here}: client=app[192.0.2.9], sasl_method=PLAIN, sasl_username={credential}"),
        said(0.01, f"{edge}/cleanup[2]: {here}: message-id={identity}"),
        said(0.02, f"{edge}/qmgr[3]: {here}: from=<{credential}@shop.example>, size=4096, nrcpt=1 (queue active)"),
        said(0.1, f"{edge}/smtp[4]: {here}: {recipient}, relay=127.0.0.1[127.0.0.1]:10026, delay=0.1, "
                  f"delays=0/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {there})"),
        said(0.1, f"{edge}/qmgr[3]: {here}: removed"),
    ]  # fmt: skip
    if number % 40 == 0:
        submitted.append(said(1, f"{edge}/smtpd[1]: NOQUEUE: reject: RCPT from app[192.0.2.9]: 554 5.7.1 "
                                 "<x@y.example>: Sender address rejected: not yours; from=<x@y.example> "
                                 "to=<z@y.example> proto=ESMTP helo=<app>"))  # fmt: skip
    relayed = [
        said(0.05, f"{relay}/smtpd[6]: {there}: client=edge1[10.0.0.1]"),
        said(0.06, f"{relay}/cleanup[7]: {there}: message-id={identity}"),
        said(0.07, f"{relay}/qmgr[8]: {there}: from=<{credential}@shop.example>, size=4400, nrcpt=1 (queue active)"),
    ]
    quick = round(0.2 + chosen[2] ** 3 / 2e6, 2)
    if chosen[3] < (110 if domain == "old.example" else 6):
        relayed.append(attempt(quick, "bounced", "5.1.1", f"host mx.{domain}[203.0.113.5] said: {BOUNCED}"))
    elif chosen[3] > 225:
        reply = DEFERRED[domain][chosen[4] % len(DEFERRED[domain])]
        dsn = reply[4:].split()[0]
        waits = (quick, 300 + quick, 900 + quick)[: 2 + chosen[5] % 2]
        relayed += [
            attempt(wait, "deferred", dsn, f"host mx.{domain}[203.0.113.5] said: {reply}") for wait in waits[:-1]
        ]
        relayed.append(attempt(waits[-1], "sent", "2.0.0", "250 2.0.0 Ok"))
    elif number % 97 == 3:
        return submitted, [*relayed, attempt(quick, "deferred", "4.4.1", "connect to mx: Connection timed out")]
    else:
        relayed.append(attempt(quick, "sent", "2.0.0", "250 2.0.0 Ok"))
    return submitted, [*relayed, said(1000, f"{relay}/qmgr[8]: {there}: removed")]


@pytest.fixture(scope="module")
def place(postgres: Cluster) -> Iterator[str]:
    """A ledger of four days, in a server's database."""
    name = postgres.create_database()
    with connect(postgres.conninfo(name), application="test") as connection:
        migrate(connection)
        mails = [lines_of(number) for number in range(500)]
        for index, host in enumerate(("relay1", "edge1")):
            log = "".join(f"{line}\n" for line in sorted(line for mail in mails for line in mail[1 - index])).encode()
            writer = Writer(connection, host, "/var/log/mail.log")
            before = writer.claim()
            assert before is not None
            tracker = Tracker(LABELS, classify, before.next_row)
            reader = LogReader(tracker, moment_of(BEGIN + timedelta(days=9)))
            lines = reader.read(log)
            rows = tracker.take(reader.last)
            after = replace(before, position=len(log), next_row=tracker.next_row, lines=lines, last_at=reader.last)
            writer.store(rows, before, after)
        sum_up(connection)
    yield postgres.conninfo(name)
    postgres.drop_database(name)


def ask(place: str, statement: str) -> str:
    """What psql says to a reader."""
    command = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--pset=footer=off", f"--dbname={place}"]
    script = f"SET ROLE ledger_reader; SET timezone = 'UTC';\n{statement}"
    done = subprocess.run(command, input=script, check=True, capture_output=True, text=True)
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines() if line.strip())


def test_the_questions_of_the_page_have_the_answers_there(place: str, request: pytest.FixtureRequest) -> None:
    page = PAGE.read_text(encoding="utf-8")
    questions = list(QUESTION.finditer(page))
    assert len(questions) == 10
    if request.config.getoption("--refresh-golden"):
        answered: Callable[[re.Match[str]], str] = lambda found: (  # noqa: E731
            f"```sql\n{found['statement']}```\n\n```\n{ask(place, found['statement'])}```"
        )
        PAGE.write_text(QUESTION.sub(answered, page), encoding="utf-8")
        return
    for question in questions:
        assert ask(place, question["statement"]) == question["answer"], question["statement"]
