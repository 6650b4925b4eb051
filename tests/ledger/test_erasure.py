"""Erasure on a real server: whatever bytes remain, no key that remains makes the address of them."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from smtpctl.intake.shipper.verdicts import classify
from smtpctl.ledger import seal
from smtpctl.ledger.connection import connect
from smtpctl.ledger.erasure import erase
from smtpctl.ledger.keystore import Folder, Opener, make_keys
from smtpctl.ledger.reader import Names, Reader
from smtpctl.ledger.subjects import Privacy, Subjects
from smtpctl.ledger.tokens import LookupKey
from smtpctl.ledger.writer import Writer
from smtpctl.maillog.labels import Labels
from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.tracker import Tracker
from smtpctl.model.deliveries import moment_of

if TYPE_CHECKING:
    from tests.conftest import Cluster

pytestmark = pytest.mark.postgres

REFERENCE = moment_of(datetime(2026, 12, 31, tzinfo=UTC))
ADA = "ada.lovelace@gmail.test"
KEYS = (LookupKey(2, b"n" * 32), LookupKey(1, b"o" * 32))
OTHERS = [f"customer{number}@gmail.test" for number in range(1500)]


def log_of(recipients: list[str], second: int = 0) -> bytes:
    """A bounced message a recipient; the reply, the Message-ID and the sender repeat the address."""
    lines = []
    for number, recipient in enumerate(recipients):
        stamp = f"2026-11-21T{10 + second:02}:{number // 60 % 60:02}:{number % 60:02}.000000+00:00 relay1 postfix"
        queue_id = f"{number + 0xA0000 + second * 0x10000:X}"
        packed = recipient.replace("@", "=")
        lines += [
            f"{stamp}/smtpd[1]: {queue_id}: client=app.test[192.0.2.9]",
            f"{stamp}/cleanup[2]: {queue_id}: message-id=<{packed}.{number}@{recipient}>",
            f"{stamp}/qmgr[3]: {queue_id}: from=<bounce+{packed}@bounce.shop.test>, size=9, nrcpt=1 (queue active)",
            f"{stamp}/smtp[4]: {queue_id}: to=<{recipient}>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, "
            f"dsn=5.1.1, status=bounced (host mx[192.0.2.1] said: 550 5.1.1 <{recipient}>: no such user)",
            f"{stamp}/qmgr[3]: {queue_id}: strange line about {recipient}",
            f"{stamp}/smtpd[1]: NOQUEUE: reject: RCPT from app.test[192.0.2.9]: 554 5.7.1 <{recipient}>: Denied; "
            f"from=<x@shop.test> to=<{recipient}> proto=ESMTP helo=<a>",
        ]
    return "".join(f"{line}\n" for line in lines).encode()


class Private:
    """A private ledger with its keys, and a host that writes."""

    def __init__(self, postgres: Cluster, database: str, folder: Path) -> None:
        self.postgres = postgres
        self.database = database
        self.reading, self.reading_public = seal.new_pair()
        self.store = Folder(folder / "keys")
        self.folder = folder / "keys"
        made = make_keys(self.store, self.reading_public, range(seal.BUCKETS))
        self.connection = connect(postgres.conninfo(database), application="test")
        with self.connection.cursor() as cursor:
            cursor.executemany("INSERT INTO ledger.seal_keys (bucket, public) VALUES (%s, %s)", list(made.items()))
        self.writing = connect(postgres.conninfo(database), application="test")
        self.writing.execute("SET ROLE ledger_writer")
        self.keys: tuple[LookupKey, ...] = KEYS

    def close(self) -> None:
        self.connection.close()
        self.writing.close()

    def ship(self, log: bytes, host: str = "relay1") -> None:
        writer = Writer(self.writing, host, "/var/log/mail.log", Privacy(self.keys), [b"gmail.test"])
        before = writer.claim()
        assert before is not None
        tracker = Tracker(Labels(), classify, before.next_row)
        reader = LogReader(tracker, REFERENCE)
        reader.read(log)
        after = replace(before, position=before.position + len(log), next_row=tracker.next_row)
        writer.store(tracker.take(reader.last), before, after)

    def opener(self) -> Opener:
        return Opener(self.store, self.reading)

    def erase(self, address: str) -> None:
        self.connection.execute("SET ROLE ledger_operator")
        erase(self.connection, self.opener(), self.keys, address)
        self.connection.execute("RESET ROLE")

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(statement.encode()).fetchall()

    def dump(self) -> bytes:
        command = ["pg_dump", f"--dbname={self.postgres.conninfo(self.database)}"]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def opened(self, capsules: list[bytes]) -> set[str]:
        """What all keys that remain, each tried on each capsule, make of them."""
        keys = self.opener().keys(bytes.fromhex(path.name) for path in self.folder.iterdir())
        found = set()
        for capsule in capsules:
            for key in keys.values():
                own = key.key_of(capsule)
                text = None if own is None else seal.open_capsule(own, capsule)
                if text is not None:
                    found.add(text.decode())
        return found


@pytest.fixture
def private(postgres: Cluster, database: str) -> Iterator[Private]:
    # in memory: some hundred files that go through to the disk one by one would take seconds for each test
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        ledger = Private(postgres, database, Path(folder))
        yield ledger
        ledger.close()


def capsules_in(dump: bytes, lookups: list[bytes]) -> list[bytes]:
    """Capsules of some subjects in a dump, by their hashes."""
    found = []
    for line in dump.decode().splitlines():
        cells = line.split("\t")
        if any(f"\\\\x{hashed.hex()}" in cells for hashed in lookups):
            found += [bytes.fromhex(cell[3:]) for cell in cells if re.fullmatch(r"\\\\x[0-9a-f]{90,}", cell)]
    return found


def hashes(*addresses: str) -> list[bytes]:
    return [KEYS[0].hash(address.encode()) for address in addresses]


def files_of(postgres: Cluster) -> Iterator[bytes]:
    """Every file of tables and of the write-ahead log."""
    for path in [*(postgres.data / "base").rglob("*"), *(postgres.data / "pg_wal").iterdir()]:
        if path.is_file():
            yield path.read_bytes()


def test_nothing_that_remains_decrypts_to_an_erased_address(private: Private, postgres: Cluster) -> None:
    same_bucket = next(o for o in OTHERS if seal.bucket_of(hashes(o)[0]) == seal.bucket_of(hashes(ADA)[0]))
    private.ship(log_of([ADA, same_bucket, "brian@yahoo.test"]))
    dump = private.dump()
    before = capsules_in(dump, hashes(ADA, same_bucket))
    assert private.opened(before) == {ADA, same_bucket}

    private.erase("Ada.Lovelace@gmail.test")
    private.connection.execute("VACUUM ledger.subjects")
    private.connection.execute("CHECKPOINT")
    assert private.opened(before) == {same_bucket}
    stored = [bytes(row[0]) for row in private.query("SELECT sealed FROM ledger.subjects WHERE sealed IS NOT NULL")]
    assert ADA not in private.opened(stored)
    needles = (ADA.encode(), ADA.replace("@", "=").encode(), b"ada.lovelace")
    for content in (dump, *files_of(postgres)):
        assert not any(needle in content.lower() for needle in needles)
    # what the files do hold of her capsule, byte by byte, is what was tried above
    assert any(capsule in content for content in files_of(postgres) for capsule in before)


def test_lines_that_come_later_do_not_bring_an_address_back(private: Private) -> None:
    private.ship(log_of([ADA]))
    private.erase(ADA)
    count = private.query("SELECT count(*) FROM ledger.subjects")
    private.ship(log_of([ADA], second=1))
    private.ship(log_of([ADA], second=2), "relay2")
    assert private.query("SELECT count(*) FROM ledger.subjects") == count
    named = "SELECT sealed, erased_at IS NULL FROM ledger.deliveries JOIN ledger.subjects ON recipient = subjects.id"
    assert private.query(named) == [(None, False)] * 3
    assert private.query("SELECT count(DISTINCT recipient), count(*) FROM ledger.deliveries") == [(1, 3)]


def test_an_address_that_was_never_met_is_erased_in_advance(private: Private) -> None:
    private.erase(ADA)
    private.ship(log_of([ADA]))
    sealed = "SELECT count(*) FROM ledger.subjects WHERE sealed IS NOT NULL AND domain = 'gmail.test'"
    assert private.query(sealed) == [(0,)]


def test_a_host_that_runs_on_seals_under_the_new_key(private: Private) -> None:
    same = [o for o in OTHERS if seal.bucket_of(hashes(o)[0]) == seal.bucket_of(hashes(ADA)[0])][:2]
    writer_log = log_of([same[0]])
    private.ship(writer_log)
    subjects = Subjects(private.writing, Privacy(KEYS))
    subjects.learn([same[0].encode(), b"somebody@else.test"])
    private.erase(ADA)
    subjects.learn([same[1].encode()])
    sealed = "SELECT lookup, public, sealed FROM ledger.subjects JOIN ledger.seal_keys ON seal_keys.id = seal_key"
    in_bucket = f"{sealed} WHERE retired_at IS NULL AND bucket = {seal.bucket_of(hashes(ADA)[0])}"
    assert [bytes(row[0]) for row in private.query(in_bucket)] == hashes(same[1])
    rows = private.query(sealed)
    opened = private.opener().open((bytes(a), bytes(b), bytes(c)) for a, b, c in rows)
    assert set(same) <= set(opened.values())


def test_an_interrupted_erasure_goes_on(private: Private) -> None:
    """The transaction is through, the key still whole: the next erasure of her ends it."""
    private.ship(log_of([ADA]))
    before = capsules_in(private.dump(), hashes(ADA))
    opener = private.opener()
    buckets = sorted({seal.bucket_of(key.hash(ADA.encode())) for key in KEYS})
    made = make_keys(opener.store, opener.public, buckets)
    private.connection.execute(
        "SELECT ledger.erase_subject(%s::smallint, %s, %s, %s::smallint[], %s)",
        (2, [key.hash(ADA.encode()) for key in KEYS], "gmail.test", buckets, [made[b] for b in buckets]),
    )
    assert private.opened(before) == {ADA}
    private.erase(ADA)
    assert private.opened(before) == set()


def test_a_life_before_in_an_older_dump_ends_too(private: Private) -> None:
    """Retention removed her, an erasure of a neighbour kept what was there, she came back and is erased now."""
    neighbours = [o for o in OTHERS if seal.bucket_of(hashes(o)[0]) == seal.bucket_of(hashes(ADA)[0])][:2]
    private.ship(log_of([ADA, *neighbours]))
    older = capsules_in(private.dump(), hashes(ADA))
    private.erase(neighbours[0])
    private.connection.execute("DELETE FROM ledger.subjects WHERE lookup = %s", (hashes(ADA)[0],))
    private.ship(log_of([ADA], second=1))
    assert private.opened(older) == {ADA}
    private.erase(ADA)
    assert private.opened(older) == set()


def test_a_host_has_nothing_to_open_what_it_wrote(private: Private) -> None:
    private.ship(log_of([ADA]))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        private.writing.execute("SELECT sealed FROM ledger.subjects")


def test_an_operator_with_keys_sees_addresses_and_without_them_tokens(private: Private) -> None:
    private.ship(log_of([ADA]))
    with_keys = Reader(private.connection, Names(KEYS, private.opener(), [b"gmail.test"])).show(ADA, 5)
    (journey,) = with_keys.journeys
    (step,) = journey.stops[0].deliveries
    assert step.recipient == ADA
    assert step.reply is not None
    assert f"<{ADA}>" in step.reply
    assert journey.stops[0].sender == "bounce+ada.lovelace=gmail.test@bounce.shop.test"
    assert (journey.message_id or "").startswith("{2:")
    token = f"{{2:{hashes(ADA)[0].hex()}@gmail.test}}"
    (journey,) = Reader(private.connection).show(token, 5).journeys
    assert journey.stops[0].deliveries[0].recipient == token


def test_an_older_key_of_the_hash_still_finds(private: Private, query: Callable[[str], Any]) -> None:
    private.keys = KEYS[1:]
    private.ship(log_of([ADA]))
    private.keys = KEYS
    private.ship(log_of([ADA], second=1))
    assert private.query("SELECT count(DISTINCT recipient) FROM ledger.deliveries") == [(1,)]
