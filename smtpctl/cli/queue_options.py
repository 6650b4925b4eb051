"""The options by which every `smtpctl queue` command chooses messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from smtpctl.cli.fleet import host_option
from smtpctl.cli.loading import inventory_option

if TYPE_CHECKING:
    from smtpctl.operate.wanted import Wanted

Command = TypeVar("Command", bound=Callable[..., Any])

QUEUES = ("hold", "incoming", "active", "deferred", "maildrop", "corrupt")


class Amount(click.ParamType[int]):
    """A whole number with a unit: an age (30m) or a size (10M)."""

    def __init__(self, name: str, units: dict[str, int], example: str) -> None:
        self.name = name
        self._units = units
        self._example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,12})([a-zA-Z]?)", value)
        if not found or found[2] not in self._units:
            self.fail(f"{value!r} is no {self.name}; write one such as {self._example}", param, ctx)
        return int(found[1]) * self._units[found[2]]


AGE = Amount("age", {"s": 1, "m": 60, "h": 3600, "d": 86400}, "90s, 30m, 2h or 5d")
SIZE = Amount("size", {"": 1, "k": 1024, "K": 1024, "M": 1024**2, "G": 1024**3}, "900, 20k or 5M")


class Header(click.ParamType[tuple[str, str]]):
    """``Name: value``."""

    name = "header"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, colon, content = value.partition(":")
        if not colon or not re.fullmatch(r"[!-9;-~]+", name) or not content.strip():
            self.fail(f"{value!r} is not a header; write 'Name: value'", param, ctx)
        return name, content.strip()


def _many(name: str, target: str, text: str, **more: Any) -> Callable[[Command], Command]:
    return click.option(name, target, multiple=True, help=text, **more)


_OPTIONS = (
    inventory_option,
    host_option,
    _many("--address", "addresses", "Recipient address.", metavar="ADDRESS"),
    _many("--domain", "domains", "Recipient domain.", metavar="DOMAIN"),
    _many("--provider", "providers", "Mailbox provider.", metavar="PROVIDER"),
    _many("--sender", "senders", "Envelope sender, or @DOMAIN.", metavar="SENDER"),
    _many("--credential", "credentials", "Who submitted it.", metavar="CREDENTIAL"),
    _many("--stream", "streams", "Stream.", metavar="STREAM"),
    _many("--pool", "pools", "Pool.", metavar="POOL"),
    _many("--queue", "queues", "Queue of Postfix.", type=click.Choice(QUEUES)),
    _many("--reply", "replies", "A part of the last reply, in any case.", metavar="TEXT"),
    _many("--header", "headers", "A header, as `Name: value`; reads every message it asks.", type=Header()),
    click.option("--older", type=AGE, help="In the queue for longer than this."),
    click.option("--younger", type=AGE, help="In the queue for less than this."),
    click.option("--larger", type=SIZE, help="Not smaller than this."),
    click.option("--smaller", type=SIZE, help="Not larger than this."),
)


def choosing(command: Command) -> Command:
    """Queue ids as arguments, and all options that choose. Options of one name add up; different ones narrow."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return click.argument("ids", nargs=-1, metavar="[QUEUE-ID]...")(command)


class Choice:
    """What the options of one call chose: hosts, and messages on them."""

    def __init__(self, *, inventory: Path, hosts: tuple[str, ...], **members: Any) -> None:
        self.inventory = inventory
        self.hosts = hosts
        self._members = members

    def wanted(self) -> Wanted:
        """The selection."""
        from smtpctl.operate.wanted import Wanted

        members = dict(self._members)
        for name in ("addresses", "domains", "replies"):
            members[name] = tuple(value.lower() for value in members[name])
        return Wanted(**members)
