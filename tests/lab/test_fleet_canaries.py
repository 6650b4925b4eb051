"""No secret is anywhere but where it has to be: each one is a canary, looked for wherever a run leaves bytes."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from smtpctl.keys import read_secrets
from smtpctl.model.secrets import Secrets
from tests.lab.support import REPOSITORY, AppliedFleet, smtpctl

pytestmark = [pytest.mark.lab, pytest.mark.slow]

#: What may be read by a daemon's own group besides root, and by nobody else.
OPEN_TO_OTHERS = 0o027

#: The hosts that have the secrets which are changed here.
CHANGED = ("--host", "control1", "--host", "relay1")

#: Runs the command line with a bug in it, at the moment when all hosts are staged and every secret is in memory.
CRASH = """
import sys
from smtpctl.deploy import apply
def crash(*_):
    raise RuntimeError("planted")
apply._go_live = crash
from smtpctl.cli import main
main()
"""

#: Lists the files of a host that hold a pattern of standard input: what the host's disk has beyond the image.
FIND = (
    "cat > /run/canaries; grep -rlF -f /run/canaries /etc /home /opt /root /srv /tmp /usr/local /var; rm /run/canaries"
)


def canaries(secrets: Secrets) -> list[str]:
    """Pieces of all secret values by which they are known: lines that are long enough; and passwords as SASL PLAIN
    sends them (RFC 4616)."""
    found: list[str] = []
    for name, value in secrets.items():
        if Secrets.is_public(name):
            continue
        found += [line for line in value.splitlines() if len(line) >= 20 and "-----" not in line]
        if name.startswith("credentials/") and name.endswith("/password"):
            user = name.split("/")[1]
            found.append(base64.b64encode(f"\0{user}\0{value}".encode()).decode())
    # the public half of an elliptic key stands in its private key's encoding, and in the certificate
    public = "".join(value for name, value in secrets.items() if Secrets.is_public(name)).replace("\n", "")
    return [piece for piece in found if piece not in public]


class Watch:
    """Argument lists and environments of every process that this one starts, and of all on the hosts of a lab, while it
    is open. ``namespaces`` are those of the hosts' process ids; other tests run beside these."""

    def __init__(self, namespaces: frozenset[str]) -> None:
        self._namespaces = namespaces
        self._over = threading.Event()
        self._seen: dict[str, set[bytes]] = {}
        self._looked: dict[str, int] = {}

    @contextmanager
    def open(self) -> Iterator[Watch]:
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _look(self) -> None:
        """Each process is read three times: it is another program after exec."""
        while not self._over.wait(0.01):
            for process in filter(str.isdigit, (path.name for path in Path("/proc").iterdir())):
                if process not in self._looked:
                    self._looked[process] = 0 if self._is_ours(process) else 3
                if self._looked[process] < 3:
                    self._looked[process] += 1
                    for part in ("cmdline", "environ"):
                        self._seen.setdefault(process, set()).add(_content(f"/proc/{process}/{part}"))

    def _is_ours(self, process: str) -> bool:
        try:
            return str(Path(f"/proc/{process}/ns/pid").readlink()) in self._namespaces or self._is_below(process)
        except OSError:
            return False  # the process has ended

    def _is_below(self, process: str) -> bool:
        """Whether this process is among the parents of another."""
        while process not in ("0", "1"):
            if process == str(os.getpid()):
                return True
            process = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]
        return False

    def text(self) -> str:
        return b"\n".join(part for parts in self._seen.values() for part in parts).decode(errors="replace")


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""  # the process has ended


@pytest.fixture
def inventory(applied: AppliedFleet, tmp_path: Path) -> Iterator[Path]:
    """A copy of the fleet's inventory and secrets, whose changes are taken back at the end."""
    copy = tmp_path / applied.inventory.name
    for suffix in (".yml", ".secrets.age", ".recipients"):
        copy.with_suffix(suffix).write_bytes(applied.inventory.with_suffix(suffix).read_bytes())
    yield copy
    smtpctl("apply", str(applied.inventory), *CHANGED, "--yes")


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """Folders of the run's own for what a program leaves beside its work."""
    folders = {"TMPDIR": tmp_path / "tmp", "XDG_CACHE_HOME": tmp_path / "cache"}
    for folder in folders.values():
        folder.mkdir()
    return {name: str(folder) for name, folder in folders.items()}


def test_no_secret_is_left_where_a_run_leaves_bytes(
    applied: AppliedFleet, inventory: Path, tmp_path: Path, environment: Mapping[str, str]
) -> None:
    outputs = []

    def run(*arguments: str) -> None:
        answer = smtpctl(*arguments, environment=environment, check=False)
        assert answer.returncode in (0, 1), answer.stderr
        outputs.append(answer.stdout + answer.stderr)

    where = ("-i", str(inventory))
    own = ["readlink", "/proc/self/ns/pid"]
    namespaces = frozenset(applied.lab.run(host, own).stdout.strip() for host in applied.fleet.hosts)
    with Watch(namespaces).open() as watch:
        for name in ("database/reader", "tls/relay1"):
            run("secrets", "rotate", str(inventory), name)
        run("plan", str(inventory), "--json")
        run("plan", str(inventory), *CHANGED, "--out", str(tmp_path / "saved.plan"))
        outputs.append(_crashed(inventory, environment))
        run("apply", str(tmp_path / "saved.plan"), "--yes", "--json")
        run("drift", str(inventory), "--textfile", str(tmp_path / "drift.prom"))
        run("history", *where, "--json")
        run("rollback", "relay1", *where, "--yes")
    pieces = canaries(read_secrets(inventory)) + canaries(applied.secrets)
    assert len(pieces) > 50
    assert '"outcome": "applied"' in outputs[-4]
    seen = watch.text()
    assert "smtpctl-agent" in seen, "the agents on the hosts were seen"
    for text in (*outputs, seen):
        assert [piece for piece in pieces if piece in text] == []
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".age"]
    assert tmp_path / "saved.plan" in left
    assert [path for path in left if any(piece.encode() in path.read_bytes() for piece in pieces)] == []
    for host in ("edge1", "relay1", "control1"):
        _require_secrets_in_closed_files(applied, host, pieces)


def _crashed(inventory: Path, environment: Mapping[str, str]) -> str:
    """What a bug prints, with its traceback, while all secrets are in memory."""
    answer = subprocess.run(
        [sys.executable, "-c", CRASH, "apply", str(inventory), *CHANGED, "--yes"],
        cwd=REPOSITORY,
        env={**os.environ, **environment, "SMTPCTL_TRACEBACK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "RuntimeError: planted" in answer.stderr
    return answer.stdout + answer.stderr


def _require_secrets_in_closed_files(applied: AppliedFleet, host: str, pieces: list[str]) -> None:
    """Secrets stand in files of root or a daemon only; no log, record, history or agent has one."""
    patterns = "\n".join(pieces)
    files = applied.lab.run(host, ["sh", "-c", FIND], input=patterns, check=False).stdout.splitlines()
    assert files
    for path in files:
        mode, owner = applied.lab.run(host, ["stat", "-c", "%a %U", path]).stdout.split()
        assert not int(mode, 8) & OPEN_TO_OTHERS, f"{host}: {path} has a secret and mode {mode}"
        assert path.startswith(("/etc/", "/var/lib/smtpctl/objects/", "/var/lib/postgresql/")), f"{host}: {path}"
        assert owner == "root" or not path.startswith("/var/lib/smtpctl"), f"{host}: {path} belongs to {owner}"
    journal = applied.lab.run(host, ["journalctl", "--no-pager", "--output", "export"]).stdout
    assert [piece for piece in pieces if piece in journal] == []
    closed = ["find", "/var/lib/smtpctl", "!", "-type", "l", "(", "-perm", "/077", "-o", "!", "-user", "root", ")"]
    assert applied.lab.run(host, closed).stdout == ""
