"""The commands that docs/operations.md shows exist, with the options that it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from smtpctl.cli import cli

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
SHOWN = re.findall(r"^    smtpctl (.+)$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", SHOWN)
def test_a_shown_command_can_be_given(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fleet.yml", "friday.plan"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    name, *arguments = shlex.split(line, comments=True)
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    command.make_context(name, arguments)


def test_the_page_shows_every_command_that_changes_hosts() -> None:
    assert {"plan", "apply", "rollback", "history", "drift"} <= {line.split()[0] for line in SHOWN}
