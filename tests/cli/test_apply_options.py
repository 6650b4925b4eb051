"""Options of `plan` and `apply` that a run hangs on: what they mean, and which exclude each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from smtpctl.cli import cli
from smtpctl.cli.apply import _on_failure
from smtpctl.cli.fleet import chosen
from smtpctl.errors import UsageError
from smtpctl.inventory import load_fleet
from smtpctl.model.records import OnFailure

INVENTORY = Path(__file__).parents[2] / "inventory" / "lab.yml"


@pytest.mark.parametrize(
    ("go_on", "rollback_all", "expected"),
    [(False, False, OnFailure.STOP), (True, False, OnFailure.GO_ON), (False, True, OnFailure.ROLL_BACK)],
)
def test_a_run_stops_at_the_first_failure_unless_it_is_told_otherwise(
    go_on: bool, rollback_all: bool, expected: OnFailure
) -> None:
    assert _on_failure(go_on, rollback_all) is expected


@pytest.mark.parametrize(
    ("saved", "options", "words"),
    [
        (False, ["--continue", "--rollback-all"], "--continue and --rollback-all exclude each other"),
        (True, ["--host", "relay1"], "a plan file names its hosts"),
        (True, ["--role", "relay"], "a plan file names its hosts"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    saved: bool, options: list[str], words: str, tmp_path: Path
) -> None:
    plan = tmp_path / "friday.plan"
    plan.write_text('{\n  "smtpctl-plan": 1,\n  "inventory": "fleet.yml",\n  "hosts": {}\n}\n')
    answer = CliRunner().invoke(cli, ["apply", str(plan if saved else INVENTORY), "--yes", *options])
    assert isinstance(answer.exception, UsageError)
    assert words in str(answer.exception)
    assert answer.exception.exit_code == 2


@pytest.mark.parametrize(
    ("hosts", "roles", "expected"),
    [
        ((), (), ["edge1", "edge2", "relay1", "relay2", "feedback1", "control1"]),
        (("relay2", "edge1"), (), ["edge1", "relay2"]),
        ((), ("relay",), ["relay1", "relay2"]),
        (("control1",), ("mailbox", "relay"), ["relay1", "relay2", "feedback1", "control1"]),
    ],
)
def test_hosts_are_chosen_by_name_and_role(hosts: tuple[str, ...], roles: tuple[str, ...], expected: list[str]) -> None:
    assert chosen(load_fleet(INVENTORY), hosts, roles) == expected


@pytest.mark.parametrize(
    ("hosts", "roles", "words"),
    [(("relay9",), (), "no host 'relay9'"), ((), ("relays",), "no host has a role 'relays'")],
)
def test_hosts_and_roles_that_are_not_there_are_named(
    hosts: tuple[str, ...], roles: tuple[str, ...], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        chosen(load_fleet(INVENTORY), hosts, roles)
