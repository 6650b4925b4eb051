"""The page about the lab says what the lab does: every command, behaviour, provider and variable has its line."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from smtpctl.cli.lab import lab
from smtpctl.lab.internet.install import FILES
from smtpctl.lab.internet.providers import PROVIDERS, Provider

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/lab.md").read_text()


@pytest.mark.parametrize("command", sorted(lab.commands))
def test_every_command_is_on_the_page(command: str) -> None:
    assert f"`smtpctl lab {command}" in PAGE
    for option in lab.commands[command].params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.opts[0] in PAGE


def test_every_behaviour_is_on_the_page_with_its_answer() -> None:
    tables = "".join((FILES / "etc/lab" / name).read_text() for name in ("recipients.pcre", "transports.pcre"))
    lines = re.findall(r"^/\^(\w+)\S*\s+(.+)$", tables, re.MULTILINE)
    assert len(lines) == 8
    for local_part, action in lines:
        assert f"| `{local_part}` |" in PAGE
        if action[0].isdigit():
            assert " ".join(action.split()[:2]) in PAGE


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_every_provider_is_on_the_page(provider: Provider) -> None:
    dane = "yes" if provider.dane else "no"
    assert f"| {provider.name} | {', '.join(provider.domains)} | {provider.address} | {dane} |" in PAGE


def test_every_variable_of_the_environment_is_on_the_page() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "smtpctl/lab").rglob("*.py"))
    for variable in set(re.findall(r"SMTPCTL_LAB_[A-Z]+", sources)):
        assert f"| `{variable}` |" in PAGE
