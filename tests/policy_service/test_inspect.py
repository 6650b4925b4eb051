"""``explain`` and ``quota`` as programs, over a real database that a real service charges."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from policy_service import pauses
from policy_service.rules import RULE_NAMES
from policy_service.rules_file import parse
from tests.policy_service.daemons import ROOT, Client, running

RULES = Path(__file__).parent / "dialogues" / "rules.json"

pytestmark = pytest.mark.postgres

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def client(tmp_path: Path, conninfo: str) -> Iterator[Client]:
    arguments = ["serve", "--rules", str(RULES), "--listen", f"unix:{tmp_path}/s", "--database", conninfo]
    with running(tmp_path / "daemon", *arguments, "--name", "edge1"):
        client = Client(tmp_path / "s")
        yield client
        client.close()


@pytest.fixture
def run(conninfo: str) -> Run:
    def run(program: str, *arguments: str, code: int = 0, told: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "policy_service", program, "--rules", str(RULES), "--database", conninfo]
        ended = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, input=told, timeout=60)
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


def test_explain_says_which_option_a_rule_needs_and_asks_it_with_that(run: Run, tmp_path: Path) -> None:
    rules = json.loads(RULES.read_text(encoding="utf-8"))
    rules["providers"] = {"google": ["gmail.test"]}
    shop = rules["credentials"]["shop"]
    shop["clients"] = ["192.0.2.0/24"]
    shop["limits"] = [
        {"key": ["credential", "provider"], "counted": "recipients", "count": 10, "per": 3600, "burst": 10},
        {"key": "client", "counted": "messages", "count": 10, "per": 3600, "burst": 10},
    ]
    (tmp_path / "rules.json").write_text(json.dumps(rules))
    message = ["--rules", str(tmp_path / "rules.json"), "--credential", "shop", "--sender", "a@shop.test"]
    untold = {view["rule"]: view["unasked"] for view in explained(run, *message)["rules"] if view["unasked"]}
    assert untold == {"client": "--client", "suppressed": "--recipient", "quota": "--client and --recipient"}
    found = explained(run, *message, "--client", "198.51.100.1", "--recipient", "ada@gmail.test", "--size", "9")
    assert found["answer"] == "REJECT 5.7.1 Credential shop may not be used from 198.51.100.1"
    assert [one["key"] for one in found["quotas"]] == [
        "credential+provider:recipients:3600:shop,google",
        "client:messages:3600:198.51.100.1",
    ]
    assert [view["unasked"] for view in found["rules"] if view["unasked"]] == []


def test_a_suppressed_recipient_is_explained_and_told_on_standard_input(run: Run, conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SELECT quota.suppress('{gone@gmail.test}')")
    arguments = ["--credential", "shop", "--sender", "a@shop.test", "--recipient=-"]
    ended = run("explain", *arguments, told="gone@gmail.test\n")
    assert "answer: 554 5.7.1 This recipient is suppressed" in ended.stdout
    assert "gone@" not in ended.stdout


def test_explain_has_a_view_of_every_rule(run: Run) -> None:
    found = explained(run, "--credential", "shop", "--sender", "a@shop.test")
    assert {view["rule"] for view in found["rules"]} == {*RULE_NAMES, pauses.NAME}
    assert all(view["description"] for view in found["rules"])


def test_without_a_database_rules_are_explained_and_quotas_cannot_be_shown() -> None:
    program = [sys.executable, "-m", "policy_service"]
    asked = ["--rules", str(RULES), "--credential", "shop", "--sender", "a@evil.test"]
    ended = subprocess.run([*program, "explain", *asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "may not send as evil.test" in ended.stdout
    assert "no database" in ended.stdout
    shown = subprocess.run([*program, "quota", "--rules", str(RULES), "show"], cwd=ROOT, capture_output=True, text=True)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "--database" in shown.stderr


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
