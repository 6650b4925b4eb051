"""The peers as servers: postfwd of Debian, policyd-rate-limit and CHAPPS of PyPI, with limits a sender. Edge."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.policy.requests import DOMAIN, SENDERS, sender
from tests.bench.policy.servers import MANY, Database, Server, answering, free_endpoint, started
from tests.bench.policy.setup import DEBIAN, LIBRARIES, VENV

#: The same five questions that our rules ask, in postfwd's words.
_POSTFWD = f"""\
id=AUTH; sasl_username=~/^$/; action=REJECT 5.7.1 Submission needs authentication
id=SENDER; sender!~/@{DOMAIN}$/; action=REJECT 5.7.1 sender
id=RECIPIENTS; recipient_count>=101; action=554 5.7.1 too many recipients
id=HOUR; action=rcpt(sasl_username/{MANY}/3600/450 4.7.1 limit an hour)
id=DAY; action=rcpt(sasl_username/{10 * MANY}/86400/450 4.7.1 limit a day)
"""

_RATE_LIMIT = """\
debug: False
user: root
group: root
pidfile: "{folder}/rate-limit.pid"
pgsql_config: {{database: "{database}", user: postgres, password: "", host: "{host}"}}
backend: 2
SOCKET: ["127.0.0.1", {port}]
limits: [[{many}, 3600], [{more}, 86400]]
limits_by_id: {{}}
sql_limits_by_id: ""
limit_by_sasl: True
limit_by_sender: False
limit_by_ip: False
limited_networks: []
success_action: dunno
fail_action: "450 4.7.1 limit"
db_error_action: "450 4.3.0 database"
delay_to_close: 300
count_mode: 1
report: False
"""


def _port(endpoint: str) -> str:
    return endpoint.rpartition(":")[2]


@contextmanager
def postfwd(folder: Path) -> Iterator[Server]:
    """Debian's postfwd, the single process (postfwd1), which counts in its own memory."""
    where = free_endpoint()
    file, number = folder / "postfwd.cf", folder / "postfwd.pid"
    file.write_text(_POSTFWD, encoding="utf-8")
    command = [
        "perl",
        "-T",
        "-I",
        str(DEBIAN / "usr/share/perl5"),
        *_compiled_perl(),
        str(DEBIAN / "usr/sbin/postfwd1"),
    ]
    command += [f"--file={file}", "--interface=127.0.0.1", f"--port={_port(where)}", f"--pidfile={number}", "--daemon"]
    command += ["--nodns", "--perfmon", "--norulestats", "--cache=0"]
    if not os.geteuid():
        command += ["--user=nobody", "--group=nogroup"]
    subprocess.run(command, check=True, capture_output=True)
    end = time.monotonic() + 30
    while not answering(where):
        if time.monotonic() > end:
            raise RuntimeError("postfwd1 does not answer")
        time.sleep(0.05)
    process = int(number.read_text())
    try:
        yield Server("postfwd", where, process)
    finally:
        os.kill(process, 15)


def _compiled_perl() -> list[str]:
    """Where Debian's compiled modules were unpacked to, for perl's search path."""
    return [word for path in sorted((LIBRARIES / "perl5").glob("*")) for word in ("-I", str(path))]


@contextmanager
def policyd_rate_limit(folder: Path, database: Database) -> Iterator[Server]:
    """policyd-rate-limit on PostgreSQL."""
    where = free_endpoint()
    file = folder / "rate-limit.yaml"
    file.write_text(
        _RATE_LIMIT.format(
            folder=folder,
            database=database.create(),
            host=database.folder,
            port=_port(where),
            many=MANY,
            more=10 * MANY,
        ),
        encoding="utf-8",
    )
    command = [str(VENV / "bin/python"), str(VENV / "bin/policyd-rate-limit"), "--file", str(file)]
    with started(command, where, folder / "rate-limit.log") as process:
        yield Server("policyd-rate-limit", where, process.pid, database.process)


_CHAPPS = """\
[CHAPPS]
user_key = sasl_username
[PolicyConfigAdapter]
adapter = mariadb
db_host = 127.0.0.1
db_port = {mariadb}
db_name = chapps
db_user = root
db_pass =
[Redis]
server = 127.0.0.1
port = {redis}
[OutboundQuotaPolicy]
listen_address = 127.0.0.1
listen_port = {port}
counting_recipients = True
"""

#: It logs to /dev/log on every request, where there may be none: it is spared that.
_QUIET = "import logging; logging.disable()\n"

#: Its own tables, and a quota that none of the senders reaches. It has one window, of a day.
_CHAPPS_DATA = """\
import sys
import MySQLdb
number, quota, names = int(sys.argv[1]), int(sys.argv[2]), sys.stdin.read().split()
database = MySQLdb.connect(host="127.0.0.1", port=number, user="root", autocommit=True)
cursor = database.cursor()
cursor.execute("CREATE DATABASE chapps")
from chapps.dbmodels import DB_Base
from chapps.dbsession import sql_engine
DB_Base.metadata.create_all(sql_engine)
cursor.execute("USE chapps")
cursor.execute("INSERT INTO quotas (id, name, quota) VALUES (1, 'many', %s)", [quota])
cursor.executemany("INSERT INTO users (id, name) VALUES (%s, %s)", list(enumerate(names, start=1)))
cursor.execute("INSERT INTO quota_user (user_id, quota_id) SELECT id, 1 FROM users")
"""

_CHAPPS_SERVICE = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"


@contextmanager
def chapps(folder: Path) -> Iterator[Server]:
    """CHAPPS, whose quotas are in Redis and whose settings are in MariaDB."""
    where, redis, mariadb = free_endpoint(), free_endpoint(), free_endpoint()
    home = folder / "chapps"
    (home / "mariadb").mkdir(parents=True, exist_ok=True)
    file = home / "chapps.ini"
    file.write_text(_CHAPPS.format(mariadb=_port(mariadb), redis=_port(redis), port=_port(where)), encoding="utf-8")
    environment = {**os.environ, "CHAPPS_CONFIG": str(file), "LD_LIBRARY_PATH": str(LIBRARIES)}
    with ExitStack() as stack:
        command = [str(DEBIAN / "usr/bin/redis-server"), "--port", _port(redis), "--bind", "127.0.0.1", "--save", ""]
        store = stack.enter_context(started(command, redis, home / "redis.log", env=environment))
        command = [str(DEBIAN / "usr/sbin/mariadbd"), "--no-defaults", f"--basedir={DEBIAN}/usr", "--skip-grant-tables"]
        command += [f"--datadir={home}/mariadb", f"--socket={home}/mariadb.sock", f"--port={_port(mariadb)}"]
        command += [f"--lc-messages-dir={DEBIAN}/usr/share/mysql", "--bind-address=127.0.0.1", "--skip-networking=0"]
        command += [] if os.geteuid() else ["--user=root"]
        stack.enter_context(started(command, mariadb, home / "mariadb.log", env=environment))
        subprocess.run(
            [str(VENV / "bin/python"), "-c", _QUIET + _CHAPPS_DATA, _port(mariadb), str(MANY)],
            input="\n".join(map(sender, range(SENDERS))),
            text=True,
            env=environment,
            check=True,
            cwd=home,
        )
        command = [str(VENV / "bin/python"), "-c", _QUIET + _CHAPPS_SERVICE, str(VENV / "bin/chapps_outbound_quota.py")]
        service = stack.enter_context(started(command, where, home / "service.log", env=environment))
        # MariaDB is asked once a user; what it costs is left out, in favour of CHAPPS.
        yield Server("CHAPPS", where, service.pid, store.pid)
