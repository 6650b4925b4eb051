"""Start-up: the overview imports nothing heavy, and says of each command what the command says of itself."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from smtpctl.cli import LAZY, SUMMARIES, cli

#: What a bare ``smtpctl --help`` must not import: all that takes long, or needs what only some commands need.
HEAVY = (
    "cryptography",
    "dns",
    "jinja2",
    "paramiko",
    "psycopg",
    "pydantic",
    "pyrage",
    "rich",
    "yaml",
    *(f"smtpctl.{name}" for name in ("deploy", "inventory", "keys", "lab", "ledger", "model", "plan", "render")),
)

_PROBE = """
import json, sys
from smtpctl.cli import main
sys.argv = ["smtpctl", *sys.argv[1:]]
try:
    main()
except SystemExit as exit_request:
    assert not exit_request.code, exit_request.code
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def _modules_after(*arguments: str) -> set[str]:
    run = subprocess.run([sys.executable, "-c", _PROBE, *arguments], capture_output=True, text=True, check=True)
    assert run.stdout
    return set(json.loads(run.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", (("--help",), ("--version",)), ids=lambda arguments: arguments[0])
def test_the_overview_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    modules = _modules_after(*arguments)
    assert "click" in modules
    assert modules.isdisjoint(HEAVY)


def test_the_probe_sees_what_a_command_imports() -> None:
    assert {"yaml", "pydantic", "smtpctl.inventory"} <= _modules_after("schema", "--format", "sample")


@pytest.mark.parametrize("name", LAZY)
def test_the_overview_says_of_a_command_what_its_help_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").splitlines()[0] == SUMMARIES[name]


def test_the_overview_lists_every_command_once() -> None:
    assert list(LAZY) == list(SUMMARIES)
