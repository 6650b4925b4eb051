"""The control host's program: keys once for each bucket, days and retention with a metric that says so, a store that
answers and opens nothing."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smtpctl.errors import LedgerError
from smtpctl.ledger import seal
from smtpctl.ledger.connection import Connection, connect
from smtpctl.ledger.keeper import answer, complete_keys, maintain
from smtpctl.ledger.keystore import Folder, Opener, WholeKey

if TYPE_CHECKING:
    from tests.conftest import Cluster

pytestmark = pytest.mark.postgres


@pytest.fixture
def connection(postgres: Cluster, database: str) -> Iterator[Connection]:
    with connect(postgres.conninfo(database), application="test") as connection:
        yield connection


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
        yield Path(path)


def test_every_bucket_gets_one_key_that_only_the_controller_opens(connection: Connection, folder: Path) -> None:
    private, public = seal.new_pair()
    complete_keys(connection, Folder(folder), public)
    complete_keys(connection, Folder(folder), public)
    rows = connection.execute("SELECT bucket, public FROM ledger.seal_keys").fetchall()
    assert sorted(bucket for bucket, _ in rows) == list(range(seal.BUCKETS))
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    opened = Opener(Folder(folder), private).keys(bytes(key) for _, key in rows[:3])
    for name, key in opened.items():
        assert isinstance(key, WholeKey)
        assert seal.public_of(key.private) == name
    with pytest.raises(LedgerError, match="does not open"):
        Opener(Folder(folder), os.urandom(32)).keys([bytes(rows[0][1])])


def test_retention_removes_each_class_by_its_own_age_and_says_when(
    connection: Connection, tmp_path: Path, query: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    connection.execute(
        """INSERT INTO ledger.bounces (received_at, dedupe, host, envelope_to, action, hardness, category)
             SELECT now() - age * interval '1 day', age::text::bytea, 'f', 'b@x', 'failed', 'hard', 'other'
             FROM unnest(ARRAY[10, 200]) AS age;
           INSERT INTO ledger.unknown_lines SELECT 1, age::text, 1, 'x', now(), now() - age * interval '1 day'
             FROM unnest(ARRAY[10, 40]) AS age"""
    )
    metrics = tmp_path / "ledger.prom"
    day = 86400
    retention = {"deliveries": 90 * day, "reports": 180 * day, "samples": 30 * day, "subjects": 90 * day}
    maintain(connection, {"retention": retention, "metrics_file": str(metrics)})
    assert query("SELECT count(*) FROM ledger.bounces") == query("SELECT count(*) FROM ledger.unknown_lines") == [(1,)]
    assert query("SELECT class, removed FROM ledger.retention ORDER BY 1") == [
        ("deliveries", 0), ("reports", 1), ("samples", 1), ("subjects", 0)
    ]  # fmt: skip
    text = metrics.read_text()
    assert 'smtpctl_ledger_retention_removed{class="reports"} 1' in text
    assert f'smtpctl_ledger_retention_kept_seconds{{class="samples"}} {30 * day}' in text
    assert text.count("smtpctl_ledger_retention_run_timestamp_seconds{") == 4


def test_the_store_answers_requests_and_takes_no_path_for_a_name(folder: Path) -> None:
    store = Folder(folder)
    name, content = "ab" * 32, base64.b64encode(b"sealed").decode()
    assert answer(store, {"do": "write", "names": [name], "content": content}) == {}
    assert answer(store, {"do": "read", "names": [name, "cd" * 32]}) == {"files": {name: content}}
    assert answer(store, {"do": "destroy", "names": [name]}) == {}
    assert list(folder.iterdir()) == []
    for request in ({"do": "read", "names": ["../../etc/passwd"]}, {"do": "empty"}):
        with pytest.raises(LedgerError):
            answer(store, request)
