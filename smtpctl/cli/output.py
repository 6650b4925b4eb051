"""How results and errors look: results on stdout, everything else on stderr; colour only on a terminal."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

#: Version of every ``--json`` answer. Readers ignore members that they do not know.
JSON_VERSION = 1


def print_error(message: str, hint: str = "") -> None:
    """One error on stderr, with its remedy on a line of its own."""
    click.echo(f"{styled('error:', 'red')} {message}", err=True)
    if hint:
        click.echo(f"{styled('HINT:', 'cyan')} {hint}", err=True)


def print_json(document: dict[str, Any]) -> None:
    """A JSON document with its ``version`` on stdout."""
    click.echo(json.dumps({"version": JSON_VERSION, **document}, indent=2, ensure_ascii=False, default=str))


def progress(message: str) -> None:
    """One line on stderr about what is going on."""
    click.echo(message, err=True)


def styled(text: str, colour: str) -> str:
    """``text`` in a colour where stderr is a terminal and NO_COLOR is unset."""
    if os.environ.get("NO_COLOR") is None and sys.stderr.isatty():
        return click.style(text, fg=colour)
    return text
