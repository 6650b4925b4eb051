"""The peers that the benchmark measures against, unpacked into ``.bench/policy`` from Debian and PyPI. Edge.

Nothing is installed on the machine: Debian's packages are downloaded with apt-get and unpacked with dpkg-deb, PyPI's go
into a venv of their own. A peer that cannot be had is left out, and its figures say so.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[3]
HOME = ROOT / ".bench" / "policy"
DEBIAN = HOME / "debian"
VENV = HOME / "venv"
MULTIARCH = "x86_64-linux-gnu" if os.uname().machine == "x86_64" else f"{os.uname().machine}-linux-gnu"
LIBRARIES = DEBIAN / "usr/lib" / MULTIARCH

PEERS = ("postfwd", "redis-server", "mariadb-server-core", "libmariadb-dev")
PYPI_PACKAGES = ("policyd-rate-limit==1.2.0", "psycopg2-binary", "setuptools<81")
#: What CHAPPS' quota service imports. It names no upper bounds itself; these are of its own time.
CHAPPS_PACKAGES = (
    "redis<5",
    "expiring-dict",
    "validators<0.21",
    "email-validator<2",
    "python-pidfile",
    "pydantic<2",
    "SQLAlchemy<2",
    "dnspython",
    "pyspf",
    "mysqlclient<2.2",
)

#: Part of every Perl installation: what a machine has of them serves.
_BASE = re.compile(r"(lib)?perl(-base|-modules)?[0-9.-]*")


class SetupError(Exception):
    """A peer cannot be had here."""


def prepare() -> dict[str, str]:
    """Bring every peer here, once. Return the peers that are missing, with the reason."""
    missing = {}
    steps: dict[str, Callable[[], None]] = {
        "debian": partial(_unpack, PEERS),
        "postfix": partial(_unpack, ("postfix",)),
        "pypi": _install_pypi,
        "chapps": _install_chapps,
    }
    for name, step in steps.items():
        done = HOME / f"{name}.done"
        if done.exists():
            continue
        HOME.mkdir(parents=True, exist_ok=True)
        try:
            step()
        except (OSError, SetupError) as error:
            missing[name] = str(error)
        else:
            done.touch()
    return missing


def _unpack(packages: tuple[str, ...]) -> None:
    """Unpack Debian's packages, with all that they depend on and this machine lacks."""
    listed = _run("apt-get", "install", "--simulate", "--no-install-recommends", *packages)
    names = [name for name in re.findall(r"^Inst (\S+)", listed, re.MULTILINE) if not _BASE.fullmatch(name)]
    archives = HOME / "archives"
    archives.mkdir(exist_ok=True)
    _run("apt-get", "download", *(names or packages), folder=archives)
    for archive in sorted(archives.glob("*.deb")):
        _run("dpkg-deb", "--extract", str(archive), str(DEBIAN))


def _install_pypi() -> None:
    venv.create(VENV, with_pip=True, symlinks=True)
    _pip(*PYPI_PACKAGES)


def _install_chapps() -> None:
    if not (DEBIAN / "usr/sbin/mariadbd").exists():
        raise SetupError("CHAPPS needs MariaDB, which was not unpacked")
    # Its MySQL module is compiled against the unpacked library.
    environment = {
        "MYSQLCLIENT_CFLAGS": f"-I{DEBIAN}/usr/include/mariadb",
        "MYSQLCLIENT_LDFLAGS": f"-L{LIBRARIES} -lmariadb -Wl,-rpath,{LIBRARIES}",
    }
    _pip(*CHAPPS_PACKAGES, environment=environment)
    _pip("--no-deps", "chapps==0.5.18")


def _pip(*arguments: str, environment: dict[str, str] | None = None) -> None:
    _run(str(VENV / "bin/pip"), "install", "-q", "--disable-pip-version-check", *arguments, environment=environment)


def _run(*command: str, folder: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    print(f"bench: {' '.join(command)[:110]}", file=sys.stderr, flush=True)
    ended = subprocess.run(
        command, cwd=folder, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise SetupError(f"{command[0]} ended with {ended.returncode}: {ended.stderr.strip()[-300:]}")
    return ended.stdout
