"""A PostgreSQL server of one's own: made and started in a state folder, for who has a log and no database.

It listens on a Unix socket in that folder only, which nobody else may enter. PostgreSQL refuses to run as root, so for
root it belongs to the user that Debian's package brings, or to nobody. It runs on until it is stopped: the next command
finds it at once.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

import psycopg

from smtpctl.errors import LedgerError
from smtpctl.ledger.connection import connect
from smtpctl.ledger.migrations import migrate

DATABASE = "ledger"
#: Versions that the schema is tested with.
VERSIONS = range(15, 18)
#: Longest path of a Unix socket (unix(7)), without what PostgreSQL puts after the folder.
_LONGEST_FOLDER = 107 - len("/.s.PGSQL.5432.lock")
_SETTINGS = """
# made by smtpctl
listen_addresses = ''
unix_socket_directories = '{folder}'
unix_socket_permissions = 0700
dynamic_shared_memory_type = mmap
# rows and position are lost together in a crash, and the log still has the lines
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 2GB
shared_buffers = 256MB
work_mem = 32MB
# years of logs are many partitions
max_locks_per_transaction = 2048
jit = off
"""


def state_folder() -> Path:
    """Where a user's own ledger lives (XDG base directories); root's belongs to another user, so not in its home."""
    if os.geteuid() == 0 and "XDG_STATE_HOME" not in os.environ:
        return Path("/var/lib/smtpctl-ledger")
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "smtpctl" / "ledger"


class OwnServer:
    """The server in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user = pwd.getpwnam(_unprivileged()) if os.geteuid() == 0 else None

    @property
    def exists(self) -> bool:
        """Whether it was made before."""
        return self._version() is not None

    @property
    def conninfo(self) -> str:
        """How to reach its ledger."""
        return psycopg.conninfo.make_conninfo(host=str(self._folder), dbname=DATABASE, user="smtpctl")

    def ready(self) -> str:
        """Make what is missing, start it if it does not run, bring its schema up. Return how to reach it."""
        version = self._version() or self._make()
        if not self._runs(version):
            self._start(version)
        with connect(self.conninfo.replace(f"dbname={DATABASE}", "dbname=postgres"), application="smtpctl") as first:
            if first.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
                first.execute(f"CREATE DATABASE {DATABASE}")
        with connect(self.conninfo, application="smtpctl") as connection:
            migrate(connection, "post")
        return self.conninfo

    def stop(self) -> bool:
        """Stop it; return whether it ran."""
        version = self._version()
        if version is None or not self._runs(version):
            return False
        self._run(version, "pg_ctl", "stop", "-w", "-m", "fast", "-D", str(self._data(version)))
        return True

    def _version(self) -> int | None:
        made = [int(path.name) for path in self._folder.glob("[0-9]*") if (path / "PG_VERSION").exists()]
        return max(made, default=None)

    def _make(self) -> int:
        version = _newest()
        if len(str(self._folder)) > _LONGEST_FOLDER:
            raise LedgerError(
                f"{self._folder}: too long a path for a Unix socket", hint="set XDG_STATE_HOME to a shorter one"
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._user:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        data, making = self._data(version), self._folder / "making"
        shutil.rmtree(making, ignore_errors=True)  # of a run that was interrupted
        options = ("--username=smtpctl", "--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums")
        self._run(version, "initdb", *options, str(making))
        with (making / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS.format(folder=self._folder))
        making.rename(data)
        return version

    def _start(self, version: int) -> None:
        self._run(version, "pg_ctl", "start", "-w", "-D", str(self._data(version)), "-l", str(self._folder / "log"))

    def _runs(self, version: int) -> bool:
        command = [str(_programs(version) / "pg_ctl"), "status", "-D", str(self._data(version))]
        return self._call(command).returncode == 0

    def _run(self, version: int, program: str, *arguments: str) -> None:
        done = self._call([str(_programs(version) / program), *arguments])
        if done.returncode:
            said = (self._folder / "commands").read_text(errors="replace").strip().splitlines()[-3:]
            raise LedgerError(f"{program} failed: {' / '.join(said)}", hint=f"see {self._folder}/log")

    def _call(self, command: list[str]) -> subprocess.CompletedProcess[bytes]:
        # the server keeps its starter's output open, so that goes to a file and not to a pipe
        with (self._folder / "commands").open("ab") as output:
            return subprocess.run(
                command,
                check=False,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                env={**os.environ, "LC_ALL": "C"},
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                start_new_session=True,  # the terminal's Ctrl-C is for the command, not for the server
            )

    def _data(self, version: int) -> Path:
        return self._folder / str(version)


def _unprivileged() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _newest() -> int:
    installed = [version for version in VERSIONS if (_programs(version) / "initdb").exists()]
    if not installed:
        raise LedgerError(
            f"no PostgreSQL server of version {VERSIONS[0]} to {VERSIONS[-1]} on this machine",
            hint="apt-get install postgresql, or name a database with --database URL",
        )
    return installed[-1]


def _programs(version: int) -> Path:
    """Where Debian has a version's programs; else where PATH finds them."""
    debian = Path(f"/usr/lib/postgresql/{version}/bin")
    found = shutil.which("initdb")
    if debian.is_dir() or found is None:
        return debian
    said = subprocess.run([found, "--version"], check=True, capture_output=True, text=True).stdout
    match = re.search(r"\) (\d+)", said)
    return Path(found).parent if match and int(match[1]) == version else debian
