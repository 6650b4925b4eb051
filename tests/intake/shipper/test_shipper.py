"""The shipper as a process over a real database: each line once, whatever ends or breaks in between."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from policy_service.journal import Journal
from policy_service.protocol import Request
from smtpctl.intake.shipper.config import read_config
from smtpctl.intake.shipper.program import Shipper
from smtpctl.intake.shipper.waiting import Waiter
from smtpctl.ledger import subjects
from smtpctl.ledger.writer import Batch, Checkpoint, Writer
from tests.torture.shipper import storm

if TYPE_CHECKING:
    from tests.intake.shipper.conftest import Mail, Shipping

pytestmark = pytest.mark.postgres
Check = Callable[["Shipping", bytes], None]
#: Rounds of the storm; a thousand for a long run.
ROUNDS = int(os.environ.get("SMTPCTL_STORM_ROUNDS", "12"))


def test_what_the_log_holds_is_in_the_ledger(shipping: Shipping, mail: Mail, assert_ledger_equals: Check) -> None:
    log = mail.lines(3000)
    shipping.append(log)
    shipping.run_once()
    assert_ledger_equals(shipping, log)
    shipping.run_once()
    assert_ledger_equals(shipping, log)


def test_small_batches_give_the_same_rows(shipping: Shipping, mail: Mail, assert_ledger_equals: Check) -> None:
    log = mail.lines(2000)
    shipping.append(log)
    shipping.configure(batch_bytes=700)
    shipping.run_once()
    assert_ledger_equals(shipping, log)


def test_addresses_are_forgotten_and_asked_for_again_while_batches_are_in_hand(
    shipping: Shipping, mail: Mail, monkeypatch: pytest.MonkeyPatch, assert_ledger_equals: Check
) -> None:
    monkeypatch.setattr(subjects, "_REMEMBERED", 3)
    log = mail.lines(2000)
    shipping.append(log)
    shipping.configure(batch_bytes=2000)
    Shipper(read_config(shipping.config), Waiter(shipping.log, 0.01)).run(once=True)
    assert_ledger_equals(shipping, log)


def test_the_log_is_on_disk_before_its_rows_are_in_the_ledger(
    shipping: Shipping, mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every file that a batch is of: rows must not outlive the lines that they came from."""
    happened: list[object] = []
    to_disk, commit = os.fdatasync, Writer.commit

    def noted_to_disk(descriptor: int) -> None:
        to_disk(descriptor)
        happened.append(os.fstat(descriptor).st_ino)

    def noted_commit(writer: Writer, batch: Batch, before: Checkpoint, after: Checkpoint) -> None:
        happened.append("commit")
        commit(writer, batch, before, after)

    config = read_config(shipping.config)
    shipping.log.touch()
    Shipper(config, Waiter(shipping.log, 0.01)).run(once=True)
    old, new = mail.lines(4000), mail.lines(10)
    shipping.append(old)
    shipping.rotate()
    shipping.append(new)
    monkeypatch.setattr(os, "fdatasync", noted_to_disk)
    monkeypatch.setattr(Writer, "commit", noted_commit)
    Shipper(config, Waiter(shipping.log, 0.01)).run(once=True)
    first = happened.index("commit")
    files = {path.stat().st_ino for path in (shipping.log, shipping.log.with_name("mail.log.1"))}
    assert files <= set(happened[:first])
    assert shipping.query("SELECT lines FROM ledger.sources") == [((old + new).count(b"\n"),)]


def test_a_line_is_visible_within_a_second(shipping: Shipping, mail: Mail) -> None:
    shipping.append(mail.lines(50))
    shipping.start()
    shipping.wait_for("SELECT count(*) > 0 FROM ledger.deliveries", True)
    waits = []
    for _ in range(20):
        before = shipping.query("SELECT coalesce(max(lines), 0) FROM ledger.sources")[0][0]
        added = mail.lines(10)
        started = time.monotonic()
        shipping.append(added)
        shipping.wait_for("SELECT max(lines) FROM ledger.sources", before + added.count(b"\n"))
        waits.append(time.monotonic() - started)
        time.sleep(0.05)
    assert max(waits) < 1.0, waits


def test_a_quiet_log_wakes_the_shipper_at_once(shipping: Shipping, mail: Mail) -> None:
    shipping.append(mail.lines(10))
    shipping.start()
    shipping.wait_for("SELECT coalesce(max(lines), 0) FROM ledger.sources", 10)
    time.sleep(2.0)  # longer than a log takes to count as quiet
    started = time.monotonic()
    shipping.append(mail.lines(1))
    shipping.wait_for("SELECT max(lines) FROM ledger.sources", 11)
    assert time.monotonic() - started < 1.0


def test_with_the_database_away_it_waits_and_catches_up(
    shipping: Shipping, mail: Mail, assert_ledger_equals: Check
) -> None:
    log = mail.lines(200)
    shipping.append(log)
    process = shipping.start()
    shipping.wait_for("SELECT coalesce(max(lines), 0) FROM ledger.sources", log.count(b"\n"))
    shipping.postgres.stop("immediate")
    for _ in range(3):
        more = mail.lines(300)
        shipping.append(more)
        log += more
        shipping.rotate()
        time.sleep(0.2)
    assert process.poll() is None
    shipping.postgres.start()
    shipping.wait_for("SELECT max(lines) FROM ledger.sources", log.count(b"\n"))
    assert_ledger_equals(shipping, log)


def test_of_two_shippers_one_waits_and_takes_over(shipping: Shipping, mail: Mail, assert_ledger_equals: Check) -> None:
    log = mail.lines(500)
    shipping.append(log)
    first = shipping.start()
    shipping.wait_for("SELECT coalesce(max(lines), 0) FROM ledger.sources", log.count(b"\n"))
    shipping.start()
    more = mail.lines(500)
    shipping.append(more)
    shipping.wait_for("SELECT max(lines) FROM ledger.sources", (log + more).count(b"\n"))
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    last = mail.lines(500)
    shipping.append(last)
    shipping.wait_for("SELECT max(lines) FROM ledger.sources", (log + more + last).count(b"\n"))
    assert_ledger_equals(shipping, log + more + last)


def test_sigterm_ends_it_with_everything_committed_that_was_read(shipping: Shipping, mail: Mail) -> None:
    shipping.append(mail.lines(100))
    process = shipping.start()
    shipping.wait_for("SELECT coalesce(max(lines), 0) > 0 FROM ledger.sources", True)
    process.terminate()
    assert process.wait(10) == 0


def test_it_tells_systemd_when_it_is_ready(shipping: Shipping, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        shipping.start()
        assert b"READY=1" in manager.recv(1000)


def test_it_tells_prometheus_how_far_it_is(shipping: Shipping, mail: Mail) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shipping.configure(metrics=f"127.0.0.1:{port}")
    shipping.append(mail.lines(50) + b"2026-11-20T12:00:00.000000+00:00 edge1 postfix/smtpd[1]: never heard of\n")
    shipping.start()
    shipping.wait_for("SELECT coalesce(max(lines), 0) FROM ledger.sources", 51)
    text = ""
    deadline = time.monotonic() + 10
    while "smtpctl_shipper_lines_total 51.0" not in text and time.monotonic() < deadline:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    assert "smtpctl_shipper_lines_total 51.0" in text
    assert "smtpctl_shipper_unknown_lines_total 1.0" in text
    assert "smtpctl_shipper_active 1.0" in text
    assert shipping.query("SELECT count, sample FROM ledger.unknown_lines") == [(1, "postfix/smtpd: never heard of")]


def test_bytes_that_are_no_text_do_not_stop_it(shipping: Shipping) -> None:
    head = b"2026-11-20T12:00:00.000000+00:00 edge1 postfix/smtp[1]: AAAAA1: "
    reply = b"relay=none, delay=1, delays=1/0/0/0, dsn=5.0.0, status=bounced (\xff\xfe \x00 latin\xe9)"
    shipping.append(b"\0" * 4096 + head + b"to=<\xc3\xa9@x.test>, " + reply + b"\n" + b"\r\n" + b"\x80" * 100 + b"\n")
    shipping.run_once()
    assert shipping.query(
        "SELECT address, reply FROM ledger.deliveries JOIN ledger.subjects ON recipient = subjects.id"
    ) == [("é@x.test", "�� \x20latin�")]


def test_a_gap_is_an_event(shipping: Shipping, mail: Mail) -> None:
    shipping.append(mail.lines(100))
    shipping.run_once()
    os.truncate(shipping.log, 0)
    shipping.append(mail.lines(10))
    shipping.run_once()
    ((kind, text),) = shipping.query("SELECT kind, detail ->> 'text' FROM ledger.events WHERE kind = 'gap'")
    assert kind == "gap"
    assert "is gone" in text


def test_what_the_policy_service_raises_is_an_event(shipping: Shipping, capfd: pytest.CaptureFixture[str]) -> None:
    request = Request.of(b"client_address=192.0.2.9\nsender=a@shop.test\ninstance=1.2")
    journal = Journal(lambda credential, until, reason: None)
    journal.incident("client", "the shop", request, "REJECT 5.7.1 Credential the shop may not be used from here")
    journal.decision(request, "client", "enforce", "REJECT 5.7.1 not from here")
    lines = [*capfd.readouterr().err.splitlines(), "decision self=1 at=2 kind=3 origin=4 entry=5 sender=b@shop.test"]
    head = "2026-11-20T12:00:00.000000+00:00 edge1 smtpctl-policy[9]: "
    shipping.append("".join(f"{head}{line}\n" for line in lines).encode())
    shipping.run_once()
    incident, decision, odd = shipping.query(
        "SELECT kind, detail, address FROM ledger.events JOIN ledger.subjects ON sender = subjects.id "
        "ORDER BY events.id"
    )
    assert incident == (
        "incident",
        {
            "kind": "client",
            "severity": "critical",
            "credential": "the shop",
            "client": "192.0.2.9",
            "instance": "1.2",
            "text": "REJECT 5.7.1 Credential the shop may not be used from here",
        },
        "a@shop.test",
    )
    kind, detail, _ = decision
    assert (kind, detail["rule"], detail["action"]) == ("policy", "client", "REJECT 5.7.1 not from here")
    pairs = {"self": "1", "at": "2", "kind": "3", "origin": "4", "entry": "5"}
    assert odd[:2] == ("policy", pairs | {"event": "decision"})


def test_a_configuration_without_a_host_is_an_error(shipping: Shipping) -> None:
    shipping.config.write_text('{"log": "/var/log/mail.log"}')
    process = shipping.start()
    assert process.wait(30) == 2
    assert "key 'host' is missing" in shipping.errors.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("mail", [1, 2], indirect=True)
def test_each_line_counts_once_in_a_storm(shipping: Shipping, mail: Mail, request: pytest.FixtureRequest) -> None:
    """A sample of `make torture`: kill, rotate both ways, crash the database, cut the connection, fill its disk."""
    storm(shipping, mail, random.Random(request.node.name), ROUNDS)


@pytest.mark.parametrize("batch_bytes", [2 << 20, 4096])
def test_a_line_that_the_ledger_refuses_stops_nothing(shipping: Shipping, mail: Mail, batch_bytes: int) -> None:
    shipping.configure(batch_bytes=batch_bytes)
    before, after = mail.lines(300), mail.lines(300)
    poison = b"2026-11-20T12:00:00.000000+00:00 edge1 postfix/cleanup[9]: FFFFF1: message-id=<poison@x.test>\n"
    shipping.append(before + poison + after)
    with psycopg.connect(shipping.postgres.conninfo(shipping.database), autocommit=True) as connection:
        connection.execute("ALTER TABLE ledger.messages ADD CHECK (message_id <> 'poison@x.test')")
    shipping.run_once()
    assert shipping.query("SELECT lines FROM ledger.sources") == [((before + poison + after).count(b"\n"),)]
    assert shipping.query("SELECT count(*) FROM ledger.messages WHERE queue_id = 'FFFFF1'") == [(0,)]
    ((sample,),) = shipping.query("SELECT sample FROM ledger.unknown_lines")
    assert "poison@x.test" in sample
    expected = (before + after).count(b": to=<")
    assert shipping.query("SELECT count(*) FROM ledger.deliveries") == [(expected,)]


@pytest.mark.parametrize(
    "text",
    [
        "qmgr[1]: AAAAA1: from=<a@b>, size=" + "9" * 40 + ", nrcpt=" + "9" * 40 + " (queue active)",
        "smtp[1]: AAAAA1: to=<a@b>, relay=x[1.2.3.4]:"
        + "9" * 30
        + ", conn_use="
        + "9" * 30
        + ", delay="
        + "9" * 60
        + ", delays="
        + "/".join(["9" * 60] * 4)
        + ", dsn=2.0.0, status=sent (ok)",
        "smtp[1]: AAAAA1: to=<a@b>, relay=x[fe80::1%eth0]:25, delay=nan, delays=inf/1/1/1, dsn=2.0.0, status=sent (ok)",
        "smtpd[1]: AAAAA1: client=x[fe80::1%eth0]",
        "smtp[1]: AAAAA1: to=<" + "a" * 1900 + "@b>, relay=none, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (ok)",
        "cleanup[1]: AAAAA1: message-id=<" + "é" * 900 + ">",
        "smtpd[1]: " + "a" * 1900 + ": reject: RCPT from x[1.2.3.4]: 450 no; from=<> to=<> proto=ESMTP helo=<x>",
    ],
)
def test_values_beyond_every_measure_are_stored_in_bounds(shipping: Shipping, text: str) -> None:
    shipping.append(f"2026-11-20T12:00:00.000000+00:00 edge1 postfix/{text}\n".encode() * 2)
    shipping.run_once()
    assert shipping.query("SELECT lines FROM ledger.sources") == [(2,)]
    assert "refuses" not in shipping.errors.read_text()


def test_a_log_that_lost_its_end_counts_nothing_twice_and_misses_nothing_new(
    shipping: Shipping, mail: Mail, assert_ledger_equals: Check
) -> None:
    before, after = mail.lines(600), mail.lines(200)
    for start in range(0, len(before), 9000):
        shipping.append(before[start : start + 9000])
        shipping.run_once()
    os.truncate(shipping.log, before.index(b"\n", len(before) // 2) + 1)
    shipping.append(after)
    shipping.run_once()
    assert shipping.query("DELETE FROM ledger.events WHERE kind = 'gap' RETURNING source") == [(1,)]
    assert_ledger_equals(shipping, before + after)


def test_it_says_until_when_the_log_is_in_the_ledger(
    shipping: Shipping, mail: Mail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    shipping.append(mail.lines(100))
    begun = time.time()
    shipping.run_once()
    assert (tmp_path / "shipped").stat().st_mtime >= int(begun)
