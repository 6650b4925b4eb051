"""What every part of the tests shares: a throw-away PostgreSQL server, databases on it, and who runs what beside whom.

Several processes run the tests (pytest-xdist), for most of them wait for something. A file is run by one process; each
process has a fleet of its own for tests/lab, which come first since they take longest. Files that share bare hosts are
run by the same process.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import hypothesis
import psycopg
import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from smtpctl.lab import Lab
    from tests.deploy.conftest import Bench

# Other processes boot hosts meanwhile: how long an example takes says nothing.
hypothesis.settings.register_profile(
    "beside others", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("beside others")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in its background so, and children inherit it: tests that press Ctrl-C would hang.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_NAMES = itertools.count(1)


class Cluster:
    """A PostgreSQL server of this test run: its own data directory, a Unix socket, no network.

    ``fsync`` is off (the machine's power is not what is tested); a crash of the server itself is survived all the same.
    """

    def __init__(self, programs: Path, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self._programs = programs
        self._user = None if os.geteuid() else pwd.getpwnam("nobody").pw_uid
        if self._user is not None:
            os.chown(directory, self._user, -1)
        self._run(
            "initdb",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            str(self.data),
        )
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(f"listen_addresses = ''\nunix_socket_directories = '{directory}'\nfsync = off\n")
            # A lab on the same machine may bring its own /dev/shm.
            settings.write("dynamic_shared_memory_type = mmap\n")
            settings.write("max_connections = 60\nshared_buffers = 64MB\nlog_min_messages = panic\n")
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._run("pg_ctl", "start", "-w", "-D", str(self.data), "-l", str(self.directory / "log"))

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; ``immediate`` is a crash."""
        self._run("pg_ctl", "stop", "-w", "-m", mode, "-D", str(self.data))

    def conninfo(self, database: str = "postgres", user: str = "postgres") -> str:
        """Connection string of a database, as libpq takes it."""
        return f"host={self.directory} dbname={database} user={user}"

    def create_database(self) -> str:
        """Make an empty database; return its name."""
        name = f"test_{os.getpid()}_{next(_NAMES)}"
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

    def apply(self, database: str, script: Path) -> None:
        """Run an SQL file as the control host does: psql, as the superuser, in one transaction."""
        command = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction"]
        command += [f"--dbname={self.conninfo(database)}", f"--file={script}"]
        subprocess.run(command, check=True, capture_output=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        # pg_ctl's child keeps the pipes open, so its output goes to a file instead of one.
        with (self.directory / "commands").open("ab") as output:
            subprocess.run(command, check=True, stdout=output, stderr=output, user=self._user, cwd=self.directory)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server for this test run, stopped and removed at its end."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found:
        pytest.skip("no PostgreSQL server under /usr/lib/postgresql: apt-get install postgresql")
    directory = Path(tempfile.mkdtemp(prefix="smtpctl-postgres-", dir="/tmp"))
    cluster = Cluster(found[-1].parent, directory)
    yield cluster
    cluster.stop("immediate")
    shutil.rmtree(directory)


@pytest.fixture
def new_database(postgres: Cluster) -> Iterator[Callable[[], str]]:
    """Make empty databases, by name; dropped after the test."""
    made: list[str] = []

    def create() -> str:
        made.append(postgres.create_database())
        return made[-1]

    yield create
    for name in made:
        postgres.drop_database(name)


#: Folders whose tests share the bare hosts, which are booted once.
_BARE_HOSTS = {"deploy", "transport"}


def _folder(nodeid: str) -> str:
    return PurePosixPath(nodeid.partition("::")[0]).parts[1]


class FilesTogether(LoadScopeScheduling):  # type: ignore[misc]
    """Hands files out to processes whole, and all that share the bare hosts to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return "bare hosts" if _folder(nodeid) in _BARE_HOSTS else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesTogether:
    """What pytest-xdist asks for who hands out tests. They are handed out in the order of their collection."""
    config.option.loadscopereorder = False
    return FilesTogether(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several processes none is to begin with what takes longest when the others are done."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (_folder(item.nodeid) != "lab", _folder(item.nodeid) not in _BARE_HOSTS))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--refresh-golden", action="store_true", help="Write the rendered trees anew instead of comparing them."
    )


@pytest.fixture(scope="session")
def own_lab() -> Iterator[Lab]:
    """Three bare hosts beside the shared lab. Skips, with the reason, for an ordinary user."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root: it makes namespaces, mounts and a bridge")
    from tests.deploy.conftest import bare_lab

    with bare_lab() as lab:
        yield lab


@pytest.fixture
def bench(own_lab: Lab) -> Iterator[Bench]:
    """Hosts without a trace of smtpctl; the test is in their network."""
    from tests.deploy.conftest import RESET, Bench

    bench = Bench(own_lab)
    with own_lab.entered():
        yield bench
    for host in bench.touched:
        own_lab.run(host, ["sh", "-c", RESET])
