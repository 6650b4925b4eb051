"""docs/runbooks: incidents are brought about in the lab, and the page's own commands are run until they are over.

The losses of control host and mailboxes are in test_fleet_backup.py, the stolen credential is in test_fleet_stolen.py.
"""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import pytest

from tests.lab.runbook import RUNBOOKS, Walk
from tests.lab.support import INVENTORY, AppliedFleet, until

pytestmark = [pytest.mark.lab, pytest.mark.slow]

ELSEWHERE = {"control-dead.md", "stolen-credential.md"}


@pytest.fixture
def mark() -> str:
    """What tells this test's mail from any other."""
    return uuid.uuid4().hex[:12]


@pytest.fixture
def walk(request: pytest.FixtureRequest) -> Walk:
    """The page that the test is named for."""
    name = request.node.name.removeprefix("test_").replace("_", "-")
    return Walk(RUNBOOKS / f"{name}.md", INVENTORY)


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
