"""``smtpctl ledger parse``: one document a line, from plain and compressed files and from standard input."""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from smtpctl.cli.ledger import ledger
from smtpctl.errors import SmtpctlError

LOG = (
    "2026-11-21T22:08:53.240556+00:00 mx1 postfix-bulk/google-1/smtp[524]: 4jX5vT1sY3zJk9D: to=<jürgen@d.test>, "
    "relay=mx.d.test[192.0.2.1]:25, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued "
    "as ABCDEF12)\n"
    "2026-11-21T22:08:53.240556+00:00 mx1 postfix/smtp[524]: 4jX5vT1sY3zJk9D: words that nobody knows\n"
    "Nov 21 22:08:54 mx1 postfix/qmgr[5]: 4jX5vT1sY3zJk9D: removed\n"
).encode()


def documents(*arguments: str, given: bytes | None = None) -> list[dict[str, Any]]:
    answer = CliRunner().invoke(ledger, ["parse", "--json", *arguments], input=given, catch_exceptions=False)
    assert answer.exit_code == 0
    return [json.loads(line) for line in answer.output.splitlines()]


def test_every_line_gives_its_event_queue_id_instance_and_fields() -> None:
    attempt, unknown, removed = documents("-", given=LOG)
    assert (attempt["event"], attempt["queue_id"]) == ("attempt", "4jX5vT1sY3zJk9D")
    assert [attempt[name] for name in ("instance", "service", "daemon")] == ["postfix-bulk", "google-1", "smtp"]
    assert attempt["fields"] == {
        "recipient": "jürgen@d.test",
        "relay": "mx.d.test[192.0.2.1]:25",
        "relay_name": "mx.d.test",
        "relay_address": "192.0.2.1",
        "relay_port": 25,
        "delay": "1.5",
        "delays": "0.1/0.2/0.3/0.9",
        "delay_queue": 0.1,
        "delay_manager": 0.2,
        "delay_connect": 0.3,
        "delay_transfer": 0.9,
        "dsn": "2.0.0",
        "status": "sent",
        "reply": "250 2.0.0 Ok: queued as ABCDEF12",
        "reply_code": 250,
        "queued_as": "ABCDEF12",
    }
    assert (unknown["event"], unknown["queue_id"], unknown["line"]) == ("unknown", "4jX5vT1sY3zJk9D", 2)
    assert (removed["event"], removed["version"]) == ("removed", 1)


def test_compressed_files_are_unpacked_and_the_unknown_can_be_had_alone(tmp_path: Path) -> None:
    for name, compress in (("log", bytes), ("log.gz", gzip.compress), ("log.xz", lzma.compress)):
        (tmp_path / name).write_bytes(compress(LOG))
        assert [item["line"] for item in documents(str(tmp_path / name), "--unknown")] == [2]


def test_a_file_that_is_not_what_its_name_says_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "log.gz").write_bytes(LOG)
    with pytest.raises(SmtpctlError, match=r"log\.gz"):
        documents(str(tmp_path / "log.gz"))
