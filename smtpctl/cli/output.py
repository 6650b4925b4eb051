"""How results and errors look: results on stdout, everything else on stderr; colour only on a terminal."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

#: Version of every ``--json`` answer. Readers ignore members that they do not know.
JSON_VERSION = 1

#: All control characters but tab and line feed, as U+FFFD.
_STEERING = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {0x09, 0x0A}, "\ufffd")


def print_error(message: str, hint: str = "") -> None:
    """One error on stderr, with its remedy on a line of its own."""
    click.echo(f"{styled('error:', 'red')} {tame(message)}", err=True)
    if hint:
        click.echo(f"{styled('HINT:', 'cyan')} {tame(hint)}", err=True)


def print_json(document: dict[str, Any]) -> None:
    """A JSON document with its ``version`` on stdout."""
    print_foreign(json.dumps({"version": JSON_VERSION, **document}, indent=2, ensure_ascii=False, default=str))


def print_foreign(text: str, nl: bool = True) -> None:
    """Text that strangers wrote (replies, log lines, letters) on stdout: on a terminal without what would steer it,
    elsewhere as it is."""
    click.echo(text.translate(_STEERING) if sys.stdout.isatty() else text, nl=nl, color=True)


def progress(message: str) -> None:
    """One line on stderr about what is going on."""
    click.echo(message, err=True)


def tame(text: str) -> str:
    """A host's own words on their way to stderr: on a terminal without what would steer it."""
    return text.translate(_STEERING) if sys.stderr.isatty() else text


def styled(text: str, colour: str) -> str:
    """``text`` in a colour where stderr is a terminal and NO_COLOR is unset."""
    if os.environ.get("NO_COLOR") is None and sys.stderr.isatty():
        return click.style(text, fg=colour)
    return text
