"""``explain`` and ``quota`` as programs, over a real database that a real service charges."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import policy_service
from policy_service.rules_file import parse
from tests.policy_service.daemons import ROOT, Client, running

if TYPE_CHECKING:
    from tests.conftest import Cluster

RULES = Path(__file__).parent / "dialogues" / "rules.json"
SCHEMA = Path(policy_service.__file__).parent / "sql" / "schema.sql"

pytestmark = pytest.mark.postgres

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def conninfo(postgres: Cluster, new_database: Callable[[], str]) -> str:
    name = new_database()
    postgres.apply(name, SCHEMA)
    return postgres.conninfo(name)


@pytest.fixture
def client(tmp_path: Path, conninfo: str) -> Iterator[Client]:
    arguments = ["serve", "--rules", str(RULES), "--listen", f"unix:{tmp_path}/s", "--database", conninfo]
    with running(tmp_path / "daemon", *arguments, "--name", "edge1"):
        client = Client(tmp_path / "s")
        yield client
        client.close()


@pytest.fixture
def run(conninfo: str) -> Run:
    def run(program: str, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "policy_service", program, "--rules", str(RULES), "--database", conninfo]
        ended = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30)
        assert ended.returncode == code, ended.stderr
        return ended

    return run


def explained(run: Run, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run("explain", "--json", *arguments).stdout)
    return document


def test_explain_says_what_the_service_says(client: Client, run: Run) -> None:
    for recipients in (4, 4, 3):
        found = explained(run, "--credential", "trickle", "--sender", "a@shop.test", "--recipients", str(recipients))
        answer = client.message("trickle", recipients)
        assert answer.split(";")[0].replace(" for credential trickle", "") == found["answer"].split(";")[0]
    assert found["quotas"][0] | {"retry_seconds": 0} == {
        "key": "credential:recipients:3600:trickle",
        "limit": "10 recipients an hour",
        "used": 8,
        "room": 2,
        "retry_seconds": 0,
    }
    assert 3500 < found["quotas"][0]["retry_seconds"] <= 3600


@pytest.mark.parametrize(
    ("arguments", "rule", "words"),
    [
        (["--credential", "stranger", "--sender", "a@shop.test"], "authenticated", "not one of the fleet's"),
        (["--credential", "shop", "--sender", "a@evil.test"], "sender", "may not send as evil.test"),
        (["--credential", "shop", "--sender", "a@shop.test", "--from", "b@evil.test"], "header-from", "550 5.7.1"),
        (["--credential", "trickle", "--sender", "a@shop.test", "--recipients", "9"], "recipients", "554 5.7.1"),
        (["--credential", "smallburst", "--sender", "a@shop.test", "--recipients", "9"], "quota", "send it in parts"),
    ],
)
def test_explain_names_the_rule_that_objects(run: Run, arguments: list[str], rule: str, words: str) -> None:
    found = explained(run, *arguments)
    objections = {view["rule"]: view["objection"] for view in found["rules"]}
    assert words in objections[rule]
    assert words in found["answer"]
    assert words in run("explain", *arguments).stdout


def test_explaining_charges_nothing(client: Client, run: Run) -> None:
    for _ in range(12):
        explained(run, "--credential", "trickle", "--sender", "a@shop.test", "--recipients", "5")
    assert client.message("trickle", 5).startswith("FILTER")


def test_quota_shows_gives_back_and_resets(client: Client, run: Run) -> None:
    for _ in range(2):
        assert client.message("trickle", 5).startswith("FILTER")
    key = "credential:recipients:3600:trickle"
    assert f"{key}: 10 used of 10 recipients an hour, 0 fit now, retry in" in run("quota", "show", "trickle").stdout
    run("quota", "grant", key, "3")
    assert f"{key}: 7 used" in run("quota", "show").stdout
    run("quota", "reset", key)
    assert json.loads(run("quota", "show", key, "--json").stdout)["quotas"] == []
    assert client.message("trickle", 5).startswith(("FILTER", "450")), "a host may believe the old level for a second"


def test_quota_refuses_what_is_no_key(run: Run) -> None:
    assert "is not a key" in run("quota", "reset", "nonsense", code=2).stderr
    assert "needs the number" in run("quota", "grant", "credential:recipients:3600:trickle", code=2).stderr


def test_rules_of_the_test_are_those_of_the_dialogues() -> None:
    assert "trickle" in parse(RULES.read_bytes()).credentials
