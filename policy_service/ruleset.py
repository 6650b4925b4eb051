"""The rules file: JSON of a version, read into frozen values, with all problems of a bad one named. Pure.

``smtpctl policy compile`` writes it; a person may write it by hand (docs/policy.md). Members that are not known are
errors: a misspelt limit must not become no limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy_service.gcra import SECOND, Shape, default_burst, shape

VERSION = 1

KEYS = ("credential", "sender")
COUNTED = ("messages", "recipients")
MODES = ("enforce", "shadow", "off")

_DOMAIN = re.compile(r"(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)+(?!-)[a-z0-9-]{1,63}(?<!-)")
_FILTER = re.compile(r"[A-Za-z0-9_-]+:\S+")
_WINDOWS = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}


class RulesError(Exception):
    """The rules file is not usable. ``problems`` names each place and what is right there."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Limit:
    """Never more than ``shape.count`` of ``counted`` in any window, counted apart by ``key``."""

    key: str
    counted: str
    shape: Shape

    @property
    def title(self) -> str:
        """The limit in words, such as ``10 recipients an hour``."""
        seconds = self.shape.window // SECOND
        return f"{self.shape.count} {self.counted} {_WINDOWS.get(seconds, f'in {seconds} s')}"

    def bucket(self, owner: str) -> str:
        """The name of the key under which ``owner``'s use is counted. The count is no part of it: it may change."""
        return f"{self.key}:{self.counted}:{self.shape.window // SECOND}:{owner}"


@dataclass(frozen=True, slots=True)
class Stream:
    """A kind of mail, and the FILTER destination that hands it to its pool."""

    name: str
    filter: str


@dataclass(frozen=True, slots=True)
class Credential:
    """What an application signs in with, and what it may do."""

    name: str
    senders: frozenset[str]
    stream: Stream
    recipients_per_message: int
    limits: tuple[Limit, ...]
    reserved: frozenset[str] = frozenset()

    def may_use(self, domain: str) -> bool:
        """Whether ``domain`` (lower case) is one of its sender domains, or under one, and not a reserved one: those
        are the mail servers' own, such as the domain that bounces come back to."""
        while domain and domain not in self.reserved:
            if domain in self.senders:
                return True
            domain = domain.partition(".")[2]
        return False


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Everything that a rules file says. ``hosts`` share the quotas; empty where one process is alone with them."""

    fleet: str
    hosts: tuple[str, ...]
    credentials: Mapping[str, Credential]
    modes: Mapping[str, str]

    def mode(self, rule: str) -> str:
        """``enforce``, ``shadow`` (log what it would do) or ``off``."""
        return self.modes.get(rule, "enforce")


def parse(text: str | bytes, *, rule_names: tuple[str, ...] = ()) -> Ruleset:
    """Given the content of a rules file, return its values. Raise RulesError with every problem of it."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RulesError([f"not JSON: {error}"]) from None
    reader = _Reader()
    ruleset = reader.ruleset(document, rule_names)
    if reader.problems:
        raise RulesError(reader.problems)
    return ruleset


class _Reader:
    """Walks the document and collects problems; where something is wrong a harmless value stands in."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def ruleset(self, document: Any, rule_names: tuple[str, ...]) -> Ruleset:
        if not isinstance(document, dict):
            self.problems.append("the file must hold one object")
            return Ruleset("", (), {}, {})
        if document.get("version") != VERSION:
            self.problems.append(
                f"version: {document.get('version')!r} is not {VERSION}, the version this service reads"
            )
            return Ruleset("", (), {}, {})
        self.members(document, "", required=("version", "credentials", "streams"), optional=("fleet", "hosts", "rules"))
        hosts = self.names(document["hosts"], "hosts") if "hosts" in document else []
        streams = {
            name: Stream(name, self.filter(value, f"streams.{name}"))
            for name, value in self.mapping(document.get("streams"), "streams").items()
        }
        credentials = {
            name.lower(): self.credential(name.lower(), value, streams, max(len(hosts), 1))
            for name, value in self.mapping(document.get("credentials"), "credentials").items()
        }
        modes = self.mapping(document.get("rules", {}), "rules")
        for rule, mode in modes.items():
            if rule_names and rule not in rule_names:
                self.problems.append(f"rules.{rule}: no such rule; there are {', '.join(rule_names)}")
            if mode not in MODES:
                self.problems.append(f"rules.{rule}: {mode!r} is not one of {', '.join(MODES)}")
        return Ruleset(str(document.get("fleet", "")), tuple(hosts), credentials, modes)

    def credential(self, name: str, value: Any, streams: dict[str, Stream], processes: int) -> Credential:
        where = f"credentials.{name}"
        value = self.mapping(value, where)
        optional = ("recipients_per_message", "limits", "reserved")
        self.members(value, where, required=("senders", "stream"), optional=optional)
        domains = self.domains(value.get("senders", []), f"{where}.senders")
        reserved = self.domains(value["reserved"], f"{where}.reserved") if value.get("reserved") else frozenset()
        stream = streams.get(str(value.get("stream")))
        if stream is None:
            self.problems.append(f"{where}.stream: {value.get('stream')!r} is not one of the streams {sorted(streams)}")
            stream = Stream("", "x:x")
        recipients = self.number(value.get("recipients_per_message", 100), f"{where}.recipients_per_message")
        limits = value.get("limits", [])
        if not isinstance(limits, list):
            self.problems.append(f"{where}.limits: must be a list")
            limits = []
        read = [
            self.limit(limit, f"{where}.limits[{index}]", recipients, processes) for index, limit in enumerate(limits)
        ]
        return Credential(name, domains, stream, recipients, tuple(limit for limit in read if limit), reserved)

    def domains(self, value: Any, where: str) -> frozenset[str]:
        found = frozenset(domain.lower() for domain in self.names(value, where))
        for domain in sorted(found):
            if not _DOMAIN.fullmatch(domain):
                self.problems.append(f"{where}: {domain!r} is not a domain name")
        return found

    def limit(self, value: Any, where: str, recipients: int, processes: int) -> Limit | None:
        value = self.mapping(value, where)
        before = len(self.problems)
        self.members(value, where, required=("key", "counted", "count", "per"), optional=("burst",))
        count = self.number(value.get("count"), f"{where}.count")
        seconds = self.number(value.get("per"), f"{where}.per")
        burst = value.get("burst")
        burst = default_burst(count, recipients) if burst is None else self.number(burst, f"{where}.burst")
        for member, allowed in (("key", KEYS), ("counted", COUNTED)):
            if value.get(member) not in allowed:
                self.problems.append(f"{where}.{member}: {value.get(member)!r} is not one of {', '.join(allowed)}")
        if len(self.problems) > before:
            return None
        try:
            return Limit(str(value.get("key")), str(value.get("counted")), shape(count, seconds, burst, processes))
        except ValueError as error:
            self.problems.append(f"{where}: {error}")
            return None

    def filter(self, value: Any, where: str) -> str:
        value = self.mapping(value, where)
        self.members(value, where, required=("filter",), optional=())
        destination = str(value.get("filter"))
        # Postfix takes any text at this point and finds out at delivery that it leads nowhere.
        if not _FILTER.fullmatch(destination):
            self.problems.append(
                f"{where}.filter: {destination!r} is not TRANSPORT:NEXT-HOP, such as bulk:[127.0.0.1]:10026"
            )
        return destination

    def members(
        self, value: dict[str, Any], where: str, *, required: tuple[str, ...], optional: tuple[str, ...]
    ) -> None:
        prefix = f"{where}." if where else ""
        for member in required:
            if member not in value:
                self.problems.append(f"{prefix}{member}: is missing")
        for member in value:
            if member not in required and member not in optional and not member.startswith("$"):
                self.problems.append(f"{prefix}{member}: is not known; known are {', '.join(required + optional)}")

    def mapping(self, value: Any, where: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.problems.append(f"{where}: must be an object")
        return {}

    def names(self, value: Any, where: str) -> list[str]:
        if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
            return value
        self.problems.append(f"{where}: must be a list of one text or more")
        return []

    def number(self, value: Any, where: str) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        self.problems.append(f"{where}: {value!r} is not a whole number of 1 or more")
        return 1
