"""The commands that runbooks and walk-throughs show exist, with the options that they show."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from smtpctl.cli import cli

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [*sorted((DOCS / "runbooks").glob("*.md")), DOCS / "changes.md", DOCS / "hosts.md"]
SHOWN = [(page.stem, line) for page in PAGES for line in re.findall(r"^ {4}smtpctl (.+)$", page.read_text(), re.M)]


@pytest.mark.parametrize(("page", "line"), SHOWN)
def test_a_shown_command_can_be_given(page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("inventory.yml", "receipt.json", "receipts/17.json", "backup/DATE/manifest.json", "fleet.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    words = [word.replace("/srv/backup", "backup") for word in shlex.split(line, comments=True)]
    words = ["backup/DATE" if word.startswith("backup/2026") else word for word in words]
    command: click.Command = cli
    path = click.Context(cli)
    while isinstance(command, click.Group):
        found = command.get_command(path, words[0])
        assert found is not None, f"{page}: smtpctl has no {words[0]}"
        command = found
        name, *words = words
    command.make_context(name, words)


def test_every_page_shows_commands() -> None:
    assert {page for page, _ in SHOWN} >= {page.stem for page in PAGES} - {"README"}
