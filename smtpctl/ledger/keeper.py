"""The control host's own program for the ledger: schema, keys to seal with, days ahead, sums, retention.

    python3 ledger.pyz migrate       the schema, and in a private ledger the keys that are missing
    python3 ledger.pyz maintain      days ahead, sums, what is older than it may be, and a file that tells Prometheus so
    python3 ledger.pyz keys          the key store, asked by the controller: a JSON request in, a JSON answer out
    python3 ledger.pyz dump          the database to standard output, for a backup
    python3 ledger.pyz restore       the database from standard input, in place of the one that is there
    python3 ledger.pyz retire        the keys named on standard input are lost: others in their places

Runs as the database's superuser over its Unix socket. The key store's files are sealed for the controller; this program
can make them and cannot open them.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from pathlib import Path
from typing import Any

from smtpctl.errors import LedgerError, SmtpctlError
from smtpctl.ledger import dumping
from smtpctl.ledger.connection import Connection, connect
from smtpctl.ledger.keystore import Folder, make_keys
from smtpctl.ledger.migrations import migrate
from smtpctl.ledger.seal import BUCKETS
from smtpctl.ledger.sums import sum_up

_DAYS_AHEAD = 7
_METRICS = (
    ("smtpctl_ledger_retention_run_timestamp_seconds", "When what is too old was last removed, by class."),
    ("smtpctl_ledger_retention_removed", "Partitions or rows that the last run removed, by class."),
    ("smtpctl_ledger_retention_kept_seconds", "How long a class is kept."),
)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="ledger", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("job", choices=["migrate", "maintain", "keys", "dump", "restore", "retire"])
    parser.add_argument("--config", type=Path, default=Path("/etc/smtpctl/ledger.json"))
    arguments = parser.parse_args()
    try:
        config = json.loads(arguments.config.read_text())
        if arguments.job == "keys":
            print(json.dumps(answer(Folder(Path(config["keys"])), json.load(sys.stdin))))  # noqa: T201 — the answer
            return 0
        if arguments.job == "dump":
            dumping.dump(config["database"], sys.stdout.buffer)
            return 0
        if arguments.job == "restore":
            print(json.dumps(dumping.restore(config["database"], sys.stdin.buffer)))  # noqa: T201 — the answer
            return 0
        with connect(config["database"], application="smtpctl-ledger") as connection:
            {"migrate": _migrate, "maintain": maintain, "retire": _retire}[arguments.job](connection, config)
    except SmtpctlError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _migrate(connection: Connection, config: dict[str, Any]) -> None:
    migrate(connection, "pre")
    if config["reading_key"]:
        complete_keys(connection, Folder(Path(config["keys"])), bytes.fromhex(config["reading_key"]))


def _retire(connection: Connection, config: dict[str, Any]) -> None:
    dumping.retire(connection, json.load(sys.stdin))
    _migrate(connection, config)


def complete_keys(connection: Connection, store: Folder, reading: bytes) -> None:
    """Make a key for each bucket that has none. What lies in the store and never came into the database is no harm."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('ledger.seal_keys'))")
        cursor.execute("SELECT bucket FROM ledger.seal_keys WHERE retired_at IS NULL")
        there = {row[0] for row in cursor.fetchall()}
        made = make_keys(store, reading, (bucket for bucket in range(BUCKETS) if bucket not in there))
        cursor.executemany("INSERT INTO ledger.seal_keys (bucket, public) VALUES (%s, %s)", list(made.items()))


def maintain(connection: Connection, config: dict[str, Any]) -> None:
    """Days ahead, sums of closed hours, what is too old, and the file of metrics."""
    migrate(connection, "post")
    connection.execute("SELECT ledger.make_days(%s)", (_DAYS_AHEAD,))
    sum_up(connection)
    for name, seconds in config["retention"].items():
        connection.execute("SELECT ledger.retain(%s, make_interval(secs => %s))", (name, seconds))
    rows = connection.execute(
        "SELECT class, extract(epoch FROM ran_at)::bigint, removed, extract(epoch FROM kept)::bigint"
        " FROM ledger.retention ORDER BY class"
    ).fetchall()
    Path(config["metrics_file"]).write_text(metrics_text([(str(row[0]), row[1], row[2], row[3]) for row in rows]))


def metrics_text(rows: list[tuple[str, int, int, int]]) -> str:
    """What node_exporter's textfile collector reads: (class, when, removed, seconds kept) a row."""
    lines = []
    for index, (name, description) in enumerate(_METRICS):
        lines += [f"# HELP {name} {description}", f"# TYPE {name} gauge"]
        lines += [f'{name}{{class="{row[0]}"}} {row[1 + index]}' for row in rows]
    return "\n".join(lines) + "\n"


def answer(store: Folder, request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request asks of the key store."""
    names = [*request.get("names", []), *request.get("files", {})]
    if any(not all(sign in "0123456789abcdef" for sign in name) for name in names):
        raise LedgerError("a name in the request is no name of a key")
    match request["do"]:
        case "read":
            found = store.read(names)
            return {"files": {name: base64.b64encode(content).decode() for name, content in found.items()}}
        case "write":
            store.write(names[0], base64.b64decode(request["content"]))
        case "destroy":
            store.destroy(names[0])
        case "list":
            return {"names": store.names()}
        case "fill":
            for name, text in request["files"].items():
                store.write(name, base64.b64decode(text))
        case other:
            raise LedgerError(f"the key store cannot {other!r}")
    return {}
