"""An analyst with logs and nothing else: a ledger of one's own, filled once whatever the files are called."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
LINES = 3000


def mail(number: int) -> str:
    """The four lines of a message."""
    stamp = f"2026-11-{20 + number // 1500}T{number // 60 % 24:02}:{number % 60:02}"
    queue_id = f"{0xA0000 + number:X}"
    outcome = (
        "dsn=2.0.0, status=sent (250 2.0.0 Ok)"
        if number % 5
        else f"dsn=5.1.1, status=bounced (host mx[192.0.2.1] said: 550 5.1.1 no such user {number % 7})"
    )
    return (
        f"{stamp}:01.000000+00:00 mx1 postfix/smtpd[1]: {queue_id}: client=app.test[192.0.2.9]\n"
        f"{stamp}:02.000000+00:00 mx1 postfix/qmgr[3]: {queue_id}: from=<s@shop.test>, size=9, nrcpt=1 (queue active)\n"
        f"{stamp}:03.000000+00:00 mx1 postfix/smtp[4]: {queue_id}: to=<u{number}@gmail.com>, relay=mx[192.0.2.1]:25, "
        f"delay=1, delays=0/0/0/1, {outcome}\n"
        f"{stamp}:04.000000+00:00 mx1 postfix/qmgr[3]: {queue_id}: removed\n"
    )


LOG = "".join(mail(number) for number in range(LINES // 4)).encode()


class Analyst:
    """Somebody with a state folder and the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("SMTPCTL_")}
        self._environment |= {"XDG_STATE_HOME": str(folder / "state")}

    def ledger(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "smtpctl", "ledger", *arguments]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=self.folder, env=self._environment, timeout=120
        )
        assert done.returncode == code, done.stderr
        return done

    def count(self, what: str = "deliveries") -> int:
        return int(self.ledger("sql", "--", "-AXtc", f"SELECT count(*) FROM {what}").stdout)


@pytest.fixture(scope="module")
def analyst() -> Iterator[Analyst]:
    if not list(Path("/usr/lib/postgresql").glob("1[567]/bin/initdb")):
        pytest.skip("no PostgreSQL server of version 15 to 17: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="smtpctl-own-", dir="/tmp"))
    folder.chmod(0o755)  # the server is another user's when the tests run as root
    found = Analyst(folder)
    yield found
    found.ledger("stop")
    shutil.rmtree(folder)


def test_logs_become_a_ledger_at_once_and_every_line_counts_once(analyst: Analyst) -> None:
    assert "smtpctl ledger import" in analyst.ledger("stats", code=2).stderr

    lines = LOG.splitlines(keepends=True)
    oldest, older, current = b"".join(lines[:1000]), b"".join(lines[1000:2000]), b"".join(lines[2000:2501])
    folder = analyst.folder
    (folder / "mail.log.2.gz").write_bytes(gzip.compress(oldest))
    (folder / "mail.log.1.xz").write_bytes(lzma.compress(older))
    (folder / "mail.log").write_bytes(current + b"2026-11-20T23:59:59 half a li")
    files = ["mail.log", "mail.log.1.xz", "mail.log.2.gz"]
    assert "2501 lines of 3 files" in analyst.ledger("import", *files).stdout
    assert "0 lines of 3 files" in analyst.ledger("import", *files).stdout

    # rotated and grown since: only what is new comes in
    for name, successor in (("mail.log.2.gz", "mail.log.3.gz"), ("mail.log.1.xz", "mail.log.2.xz")):
        (folder / name).rename(folder / successor)
    (folder / "mail.log").unlink()
    (folder / "mail.log.1").write_bytes(b"".join(lines[2000:]))
    done = analyst.ledger("import", "mail.log.1", "mail.log.2.xz", "mail.log.3.gz")
    assert f"{len(lines) - 2501} lines of 3 files" in done.stdout
    assert analyst.count() == analyst.count("messages") == len(lines) // 4
    assert analyst.count("messages WHERE ended_at IS NULL") == 0

    _search(analyst)
    shown = analyst.ledger("show", "u7@gmail.com").stdout
    assert "sent 2.0.0 <u7@gmail.com> (google)" in shown
    top = json.loads(analyst.ledger("top", "replies", "--since", "2026-11-01", "--json").stdout)
    assert len(top["top"]) == 7
    assert sum(row["attempts"] for row in top["top"]) == len(lines) // 4 // 5
    assert "permission denied" in analyst.ledger("sql", "--", "-c", "SELECT address FROM subjects", code=1).stderr


def _search(analyst: Analyst) -> None:
    """Pages put together are everything, in order, and each condition holds."""
    found: list[dict[str, Any]] = []
    place: list[str] = []
    while True:
        page = analyst.ledger("search", "--status", "bounced", "--format", "jsonl", "--limit", "60", *place)
        found += [json.loads(line) for line in page.stdout.splitlines()]
        if "--after" not in page.stderr:
            break
        place = ["--after", page.stderr.split()[-1]]
    assert len({row["id"] for row in found}) == len(found) == analyst.count("deliveries WHERE status = 'bounced'")
    assert [row["at"] for row in found] == sorted((row["at"] for row in found), reverse=True)
    assert {row["status"] for row in found} == {"bounced"}

    narrow = analyst.ledger(
        "search", "--provider", "google", "--category", "invalid mailbox", "--text", "USER 3", "--format", "csv",
        "--since", "2026-11-20", "--until", "2026-11-21", "--domain", "Gmail.com",
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(narrow.stdout)))
    assert rows
    assert all(row["reply"].endswith("no such user 3") and row["recipient"].endswith("@gmail.com") for row in rows)
    (one,) = analyst.ledger("search", "--address", "U10@gmail.com", "--format", "jsonl").stdout.splitlines()
    assert json.loads(one)["recipient"] == "u10@gmail.com"
    assert analyst.ledger("search", "--address", "nobody@gmail.com").stdout == ""
    assert "is no time" in analyst.ledger("search", "--since", "soon", code=2).stderr
