"""docs/runbooks: each incident is brought about in the lab, and the page's own commands are run until it is over.

The losses of control host and mailboxes are in test_fleet_backup.py, the stolen credential is in test_fleet_stolen.py.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smtpctl.keys.certificates import Pair, issue
from smtpctl.keys.identity import identity_path, load_identity
from smtpctl.keys.store import changing
from smtpctl.lab.internet.mailboxes import verdicts
from smtpctl.lab.internet.nameserver import fleet_records
from tests.lab.runbook import RUNBOOKS, Walk
from tests.lab.support import INVENTORY, AppliedFleet, smtpctl, until

pytestmark = [pytest.mark.lab, pytest.mark.slow]

#: What pages pause.
PAUSED = (("provider", "google"),)

ELSEWHERE = {"control-dead.md", "stolen-credential.md"}


@pytest.fixture(scope="module")
def copy(applied: AppliedFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The lab's inventory with its secrets, to be changed; afterwards the hosts are as the lab's own says."""
    folder = tmp_path_factory.mktemp("runbooks")
    for suffix in (".yml", ".secrets.age", ".recipients"):
        shutil.copy(INVENTORY.with_suffix(suffix), folder)
    yield folder / INVENTORY.name
    smtpctl("apply", str(INVENTORY), "--yes")


@pytest.fixture
def mark() -> str:
    """What tells this test's mail from any other."""
    return uuid.uuid4().hex[:12]


@pytest.fixture
def walk(request: pytest.FixtureRequest, copy: Path) -> Iterator[Walk]:
    """The page that the test is named for. Of a walk that is not finished, nothing stays paused for the next one."""
    name = request.node.name.removeprefix("test_").replace("_", "-")
    walk = Walk(RUNBOOKS / f"{name}.md", copy)
    yield walk
    for kind, value in PAUSED if walk.left else ():
        smtpctl("resume", kind, value, "-i", str(INVENTORY), check=False)


@contextmanager
def edited(inventory: Path, before: str, after: str) -> Iterator[None]:
    """The inventory says something else while the block runs."""
    text = inventory.read_text()
    assert before in text
    inventory.write_text(text.replace(before, after))
    try:
        yield
    finally:
        inventory.write_text(text)


def waiting(mark: str, *chosen: str) -> list[str]:
    """What waits of a test's mail, a line a message."""
    listed = smtpctl("queue", "list", *chosen, "-i", str(INVENTORY)).stdout
    return [line for line in listed.splitlines() if mark in line]


def arrived(applied: AppliedFleet, to: str) -> int:
    return len(applied.lab.mail(to.partition("@")[2], to=to))


def test_the_index_marks_the_pages_that_are_walked() -> None:
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    here = re.findall(r"^def test_(\w+)\(.*walk", Path(__file__).read_text(encoding="utf-8"), re.M)
    walked = {f"{name.replace('_', '-')}.md" for name in here} | ELSEWHERE
    assert set(re.findall(r"\((\S+\.md)\) \*walked\*", index)) == walked


def test_relay_must_go(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    assert "relay1 is empty and takes nothing" in walk.run("queue drain", "--yes").stdout
    applied.lab.stop_host("relay1")
    try:
        applied.journey(applied.send(f"ada+{mark}@gmail.test"), "delivered")
        status = walk.run("status", check=False)
        assert (status.returncode, "relay1 does not answer" in status.stdout) == (1, True)
    finally:
        applied.lab.start_host("relay1")
        walk.run("queue drain")
    walk.done()


def test_edge_dead(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    applied.lab.stop_host("edge1")
    try:
        assert "edge1 does not answer" in walk.run("status", check=False).stdout
        until(lambda: applied.greets())
        applied.journey(applied.send(f"ada+{mark}@gmail.test"), "delivered")
        walk.run("status edge2", check=False)
    finally:
        applied.lab.start_host("edge1")
    applied.wait_until_ready()
    walk.run("queue list")
    walk.run("drift")
    walk.done()


def test_database_away(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    applied.lab.run("control1", ["systemctl", "stop", "postgresql@17-main.service"])
    try:
        assert "the ledger does not answer" in walk.run("status", check=False).stdout
        identity = applied.send(f"ada+{mark}@gmail.test")
        assert applied.lab.mail("gmail.test", to=f"ada+{mark}@gmail.test", wait=150)
    finally:
        (command,) = re.findall(r"^ {4}(systemctl .+)$", walk.page.read_text(), re.M)
        applied.lab.run("control1", command.split())
    applied.journey(identity, "delivered")
    assert "the ledger does not answer" not in walk.run("status", check=False).stdout
    audit = walk.run("ledger audit", "--json", check=False).stdout
    assert json.loads(audit)["unanswered"] == []
    walk.done()


def test_provider_throttles(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    throttled, later, other = f"throttle+{mark}@gmail.test", f"ada+{mark}@gmail.test", f"ada+{mark}@yahoo.test"
    applied.send(throttled)
    until(lambda: waiting(mark, "--reply", "421 4.7.0"))
    assert re.search(r"\d+  google$", walk.run("queue top --by provider").stdout, re.M)
    assert "421 4.7.0" in walk.run("queue top --by reply").stdout
    assert "Fewer connections" in walk.run("ledger classify").stdout
    walk.run("pause provider google")
    applied.send(later)
    applied.journey(applied.send(other), "delivered")
    until(lambda: waiting(mark, "--address", later, "--queue", "deferred"))
    with edited(walk.inventory, "mx: [gmail.test], connections: 10", "mx: [gmail.test], connections: 5"):
        assert "google connections 10 → 5" in walk.run("plan").stdout
        assert walk.run("apply", "--yes").stdout.count(" applied ") == 2
    assert arrived(applied, later) == 0
    walk.run("resume")
    until(lambda: arrived(applied, later) == 1)
    assert re.search(r"^transactional +google +\d", walk.run("status google", check=False).stdout, re.M)
    smtpctl("queue", "delete", "--address", throttled, "--yes", "-i", str(INVENTORY))
    walk.done()


def test_queue_fills(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    for number in range(3):
        applied.send(f"full+{mark}.{number}@gmail.test")
    until(lambda: len(waiting(mark, "--queue", "deferred", "--credential", "shop")) == 3)
    assert re.search(r"\d+  bounce\+orders@bounce.shop.test$", walk.run("queue top --by sender").stdout, re.M)
    assert "452 4.2.2" in walk.run("queue top --by reply").stdout
    assert mark in walk.run("queue list").stdout
    walk.run("queue hold", "--yes")
    assert len(waiting(mark, "--queue", "hold")) == 3
    applied.journey(applied.send(f"ada+{mark}@gmail.test"), "delivered")
    walk.run("queue release", "--yes")
    assert waiting(mark, "--queue", "hold") == []
    walk.run("queue delete", "--yes")
    assert waiting(mark) == []
    walk.done()


def test_certificate_ends(applied: AppliedFleet, walk: Walk) -> None:
    with changing(walk.inventory, load_identity(identity_path())) as values:
        authority = Pair(values["tls/ca/certificate"], values["tls/ca/key"])
        names = (applied.fleet.host_name("relay2"), applied.fleet.hosts["relay2"].address)
        old = issue(authority, names, datetime.now(UTC) - timedelta(days=820))
        values |= {"tls/relay2/certificate": old.certificate, "tls/relay2/key": old.key}
    smtpctl("apply", str(walk.inventory), "--host", "relay2", "--yes")
    assert re.search(r"WRONG: relay2: certificate .* ends in [45] days", walk.run("status", check=False).stdout)
    assert "tls/relay2/certificate" in walk.run("secrets init").stdout
    walk.run("apply", "--yes")
    assert "ends in" not in smtpctl("status", "relay2", "-i", str(INVENTORY), check=False).stdout
    walk.run("secrets rotate")
    walk.run("apply", "--yes")
    assert re.search(r"^relay2 .*certificates for 8\d\d days", walk.run("status", check=False).stdout, re.M)
    walk.done()


def test_dkim_key_leaked(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    to = f"ada+{mark}@gmail.test"
    with edited(
        walk.inventory, "{bounce: bounce.shop.test}", "{bounce: bounce.shop.test, dkim: {rsa: r2, ed25519: e2}}"
    ):
        walk.run("secrets init")
        assert "r2._domainkey.shop.test" in walk.run("dns records").stdout
        try:
            applied.lab.serve(*fleet_records(walk.inventory))
            walk.run("dns check")
            walk.run("apply", "--yes")
            applied.send(to)
            (message,) = applied.lab.mail("gmail.test", to=to, wait=150)
        finally:
            applied.lab.serve()
        assert re.findall(r"\bs=(\w+)", str(message.get_all("DKIM-Signature"))) == ["e2", "r2"]
        assert verdicts(message)["dkim"] == "pass"
        walk.run("drift")
    walk.done()
