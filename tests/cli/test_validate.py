"""``smtpctl validate``: what it prints, in each form, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from smtpctl.cli import cli
from smtpctl.cli.validate import annotation
from smtpctl.inventory import InventoryProblems, Problem, load_fleet

REPOSITORY = Path(__file__).resolve().parent.parent.parent
BAD = REPOSITORY / "tests/inventory/bad/key-unknown/inventory.yml"


def test_a_sound_inventory_gives_one_line_and_exit_0() -> None:
    result = CliRunner().invoke(cli, ["validate", str(REPOSITORY / "inventory/reference.yml")])
    assert result.exit_code == 0
    assert result.stdout.endswith(
        "reference.yml: fleet reference is sound: 6 hosts, 2 pools over 5 source addresses, 2 sending domains, "
        "3 credentials\n"
    )


def test_the_inventory_is_named_by_the_environment_or_is_inventory_yml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMTPCTL_INVENTORY", raising=False)
    assert CliRunner().invoke(cli, ["validate"]).exit_code == 2
    Path("inventory.yml").write_text((REPOSITORY / "inventory/single.yml").read_text())
    assert "fleet single" in CliRunner().invoke(cli, ["validate"]).stdout
    named = {"SMTPCTL_INVENTORY": str(REPOSITORY / "inventory/lab.yml")}
    assert "fleet lab" in CliRunner().invoke(cli, ["validate"], env=named).stdout


def test_json_has_every_member_of_every_problem() -> None:
    result = CliRunner().invoke(cli, ["validate", "--json", str(BAD)])
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "version": 1,
        "file": str(BAD),
        "valid": False,
        "problems": [
            {
                "file": str(BAD),
                "line": 11,
                "column": 5,
                "message": "hosts.mail1 has an unknown key 'adress'",
                "hint": "did you mean 'address'?",
            }
        ],
    }


def test_json_of_a_sound_inventory_has_no_problems() -> None:
    result = CliRunner().invoke(cli, ["validate", "--json", str(REPOSITORY / "inventory/lab.yml")])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["valid"] is True
    assert json.loads(result.stdout)["problems"] == []


def test_github_gets_one_annotation_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD.parent)
    result = CliRunner().invoke(cli, ["validate", "--format", "github", "inventory.yml"])
    assert result.exit_code == 1
    assert result.stdout == (
        "::error file=inventory.yml,line=11,col=5::"
        "hosts.mail1 has an unknown key 'adress'%0AHINT: did you mean 'address'?\n"
    )


def test_annotations_are_escaped_as_github_unescapes_them() -> None:
    problem = Problem("a:b,c%.yml", 1, 2, "50% :: of, it\r\n")
    assert annotation(problem) == "::error file=a%3Ab%2Cc%25.yml,line=1,col=2::50%25 :: of, it%0D%0A"


def test_json_and_github_at_once_is_a_usage_error() -> None:
    result = CliRunner().invoke(cli, ["validate", "--json", "--format", "github", str(BAD)])
    assert result.exception is not None
    assert getattr(result.exception, "exit_code", None) == 2


def test_other_commands_show_all_problems_in_their_error() -> None:
    with pytest.raises(InventoryProblems) as raised:
        load_fleet(BAD)
    assert raised.value.exit_code == 1
    assert str(raised.value).splitlines() == [
        f"{BAD} has 1 problem",
        f"{BAD}:11:5: hosts.mail1 has an unknown key 'adress'",
        "HINT: did you mean 'address'?",
    ]


def test_a_file_that_is_not_utf8_is_a_problem_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yml"
    path.write_bytes(b"version: 1\nfleet: m\xfcller\n")
    result = CliRunner().invoke(cli, ["validate", str(path)])
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{path}:2:9: the byte 0xfc is not UTF-8\n")


def test_validating_needs_no_key_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = tmp_path / "inventory.yml"
    inventory.write_text((REPOSITORY / "inventory/lab.yml").read_text())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SMTPCTL_AGE_IDENTITY", str(tmp_path / "no-such-key"))
    assert CliRunner().invoke(cli, ["validate", str(inventory)]).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["inventory.yml"]
