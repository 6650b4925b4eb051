"""Bad inventories: a folder each under bad/, with the exact text that ``smtpctl validate`` prints about it.

``--refresh-golden`` writes that text anew; read the difference before it is committed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from smtpctl.cli import cli

BAD = Path(__file__).parent / "bad"
CASES = sorted(folder.name for folder in BAD.iterdir())


@pytest.mark.parametrize("name", CASES)
def test_validate_prints_exactly_the_expected_error(
    name: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(BAD / name)
    result = CliRunner().invoke(cli, ["validate", "inventory.yml"])
    if request.config.getoption("--refresh-golden"):
        Path("expected-error").write_text(result.stdout)
    assert result.stdout == Path("expected-error").read_text()
    assert result.exit_code == 1
    assert result.stderr == ""


@pytest.mark.parametrize("name", CASES)
def test_every_problem_has_its_place_in_the_file_and_a_hint(name: str) -> None:
    lines = (BAD / name / "expected-error").read_text().splitlines()
    source = (BAD / name / "inventory.yml").read_text().split("\n")
    assert len(lines) % 2 == 0
    for problem, hint in zip(lines[::2], lines[1::2], strict=True):
        match = re.fullmatch(r"inventory\.yml:(\d+):(\d+): .+", problem)
        assert match, problem
        assert 1 <= int(match[1]) <= len(source)
        assert 1 <= int(match[2]) <= len(source[int(match[1]) - 1]) + 1
        assert hint.startswith("HINT: ") and len(hint) > len("HINT: ")


def test_there_are_many_cases_and_no_two_expect_the_same() -> None:
    expected = [(BAD / name / "expected-error").read_text() for name in CASES]
    assert len(CASES) >= 40
    assert len(set(expected)) == len(expected)


def test_all_problems_of_all_layers_are_reported_at_once() -> None:
    text = (BAD / "many-at-once" / "expected-error").read_text()
    assert "unknown key 'adress'" in text  # shape
    assert "is not below shop.example.com" in text  # the fleet as a whole
    assert text.count("HINT:") >= 6
