"""``smtpctl policy replay``: yesterday's mail log against other rules, asked of the policy service itself."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from smtpctl.operate.replay import Sent, Use

_file = click.Path(exists=True, dir_okay=False, path_type=Path)

#: Bytes of a log that are read at once.
CHUNK = 1 << 20


@click.command()
@click.argument("logs", metavar="LOG...", type=_file, nargs=-1, required=True)
@click.option("-i", "--inventory", type=_file, help="Take the rules that this inventory gives.")
@click.option("--rules", type=_file, help="Take this rules file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def replay(logs: tuple[Path, ...], inventory: Path | None, rules: Path | None, as_json: bool) -> None:
    """Show whom changed rules would have limited on the mail of LOG, the mail logs of all submission hosts.

    A policy service of its own is asked about every message at the time that the log has it; its quotas begin empty.
    Messages that were refused then are not in a log, and not counted. Logs may be packed (.gz, .xz).

    \b
    Examples:
      smtpctl policy replay -i inventory/changed.yml edge1/mail.log.1 edge2/mail.log.1
      smtpctl policy replay --rules new.json --json mail.log.1.gz
    """
    from smtpctl.cli.output import print_json, progress
    from smtpctl.errors import UsageError
    from smtpctl.operate.replay import count

    if (inventory is None) == (rules is None):
        raise UsageError("name either an inventory or a rules file", hint="smtpctl policy replay --rules FILE LOG")
    messages = _messages(logs)
    progress(f"{len(messages)} messages of {len(logs)} logs")
    uses: dict[str, Use] = {}
    with _rules_file(inventory, rules) as path:
        for message, actions in _asked(path, messages):
            count(uses, message, actions)
    if as_json:
        print_json({"credentials": {name: _plain(use) for name, use in sorted(uses.items())}})
    else:
        _print(uses)


def _messages(logs: tuple[Path, ...]) -> list[Sent]:
    """Everything that credentials sent, in the order of time over all logs."""
    from smtpctl.cli.ledger_parse import open_log
    from smtpctl.maillog.reading import LogReader
    from smtpctl.model.deliveries import moment_of
    from smtpctl.operate.replay import Submissions

    found = []
    for log in logs:
        submissions = Submissions()
        reader = LogReader(submissions, moment_of(datetime.fromtimestamp(log.stat().st_mtime, UTC)))
        with open_log(log) as file:
            rest = b""
            while data := file.read(CHUNK):
                whole, newline, rest = (rest + data).rpartition(b"\n")
                reader.read(whole + newline)
        found += submissions.messages
    return sorted(found, key=lambda message: message.at)


@contextmanager
def _rules_file(inventory: Path | None, rules: Path | None) -> Iterator[Path]:
    if rules is not None:
        yield rules
        return
    from smtpctl.inventory import load_fleet
    from smtpctl.render.context_policy import policy_rules

    assert inventory is not None  # noqa: S101 - the command has checked that one of the two is given
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(policy_rules(load_fleet(inventory)), file)
        file.flush()
        yield Path(file.name)


def _asked(rules: Path, messages: list[Sent]) -> Iterator[tuple[Sent, list[str]]]:
    """Ask the service about each message."""
    from smtpctl.errors import SmtpctlError
    from smtpctl.operate.replay import requests

    command = [sys.executable, "-m", "policy_service", "replay", "--rules", str(rules)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as service:
        assert service.stdin and service.stdout  # noqa: S101 - both are pipes
        for number, message in enumerate(messages):
            asked = list(requests(message, number))
            try:
                service.stdin.write(b"".join(asked))
                service.stdin.flush()
                answers = [service.stdout.readline() + service.stdout.readline() for _ in asked]
            except BrokenPipeError:
                answers = [b""]
            if not all(answer.startswith(b"action=") for answer in answers):
                raise SmtpctlError("the policy service ended", hint=f"{' '.join(command[1:])} says why")
            yield message, [answer[len(b"action=") : -2].decode() for answer in answers]


def _plain(use: Use) -> dict[str, object]:
    return {
        "messages": use.messages,
        "recipients": use.recipients,
        "refused_messages": use.refused,
        "refused_recipients": use.refused_recipients,
        "first_refused": None if use.first_refused_at is None else _time(use.first_refused_at),
        "reasons": use.reasons,
    }


def _time(at: int) -> str:
    from smtpctl.model.deliveries import datetime_of

    return datetime_of(at).isoformat(timespec="seconds")


def _print(uses: dict[str, Use]) -> None:
    for name, use in sorted(uses.items(), key=lambda pair: (-pair[1].refused, pair[0])):
        line = f"{name}: {use.messages} messages to {use.recipients} recipients"
        if use.first_refused_at is None:
            click.echo(f"{line}, none limited")
            continue
        first = _time(use.first_refused_at)
        click.echo(f"{line}, {use.refused} limited ({use.refused_recipients} recipients), first at {first}")
        for reason, times in sorted(use.reasons.items(), key=lambda pair: -pair[1]):
            click.echo(f"  {times} x {reason}")
