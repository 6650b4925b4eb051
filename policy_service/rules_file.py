"""The rules file: JSON of a version, read into frozen values, with all problems of a bad one named. Pure.

``smtpctl policy compile`` writes it; a person may write it by hand (docs/policy.md). Members that are not known are
errors: a misspelt limit must not become no limit.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Generator, Mapping
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from policy_service.gcra import default_burst, shape
from policy_service.json_pieces import pieces
from policy_service.ruleset import (
    Credential,
    InvalidRecipients,
    Limit,
    Network,
    Ramp,
    RulesError,
    Ruleset,
    Stream,
)

VERSION = 1

_NONE: Mapping[str, Credential] = MappingProxyType({})

#: What a limit may be counted apart by, in the order in which a key names them.
KEYS = ("credential", "sender", "domain", "client", "stream", "provider")
COUNTED = ("messages", "recipients", "bytes")
MODES = ("enforce", "shadow", "off")
ACTIONS = ("reject", "defer", "defer_if_permit", "hold")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

#: The largest message where nothing says less; Postfix has a limit of its own.
LARGEST_MESSAGE = 25 * 1024 * 1024

_LOCAL = re.compile(r"[a-z0-9#$&'*+/=?^_`{|}~-]+(?:\.[a-z0-9#$&'*+/=?^_`{|}~-]+)*")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*: [!-~]+(?: [!-~]+)*")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_DOMAIN = re.compile(r"(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)+(?!-)[a-z0-9-]{1,63}(?<!-)")
_FILTER = re.compile(r"[A-Za-z0-9_-]+:\S+")


def parse(
    text: str | bytes,
    *,
    rule_names: tuple[str, ...] = (),
    with_action: tuple[str, ...] = (),
    before: Mapping[str, Credential] = _NONE,
) -> Ruleset:
    """Given the content of a rules file, return its values. Raise RulesError with every problem of it.

    A credential that says what it said ``before`` is that very object.
    """
    steps = parsing(text, rule_names=rule_names, with_action=with_action, before=before)
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            ruleset: Ruleset = ended.value
            return ruleset


def parsing(
    text: str | bytes,
    *,
    rule_names: tuple[str, ...] = (),
    with_action: tuple[str, ...] = (),
    before: Mapping[str, Credential] = _NONE,
) -> Generator[None, None, Ruleset]:
    """The same, a little at a time: for who has somebody to answer in between."""
    try:
        whole = text if isinstance(text, str) else text.decode(json.detect_encoding(text))
        document = yield from pieces(whole, ("credentials",))
    except (ValueError, RecursionError) as error:
        raise RulesError([f"not JSON: {error}"]) from None
    reader = _Reader(before)
    ruleset = yield from reader.ruleset(document, rule_names, with_action)
    if reader.problems:
        raise RulesError(reader.problems)
    return ruleset


class _Reader:
    """Walks the document and collects problems; where something is wrong a harmless value stands in."""

    def __init__(self, before: Mapping[str, Credential]) -> None:
        self.problems: list[str] = []
        self.before = before
        self.strict = False
        self.processes = 1

    def ruleset(
        self, document: Any, rule_names: tuple[str, ...], with_action: tuple[str, ...]
    ) -> Generator[None, None, Ruleset]:
        if not isinstance(document, dict):
            self.problems.append("the file must hold one object")
            return Ruleset("", (), {}, {})
        if document.get("version") != VERSION:
            self.problems.append(
                f"version: {document.get('version')!r} is not {VERSION}, the version this service reads"
            )
            return Ruleset("", (), {}, {})
        optional = ("fleet", "hosts", "rules", "providers", "invalid_recipients", "strict")
        self.members(document, "", required=("version", "credentials", "streams"), optional=optional)
        hosts = self.names(document["hosts"], "hosts") if "hosts" in document else []
        self.strict = self.truth(document.get("strict", False), "strict")
        self.processes = max(len(hosts), 1)
        streams = {
            name: self.stream(name, value, f"streams.{name}")
            for name, value in self.mapping(document.get("streams"), "streams").items()
        }
        credentials = {}
        for name, value in self.mapping(document.get("credentials"), "credentials").items():
            credential = self.credential(name.lower(), value, streams)
            known = self.before.get(credential.name)
            credentials[credential.name] = known if known == credential else credential
            yield
        modes, actions = self.rules(document.get("rules", {}), rule_names, with_action)
        invalid = self.invalid(document["invalid_recipients"]) if "invalid_recipients" in document else None
        providers = self.providers(document.get("providers", {}))
        return Ruleset(str(document.get("fleet", "")), tuple(hosts), credentials, modes, actions, providers, invalid)

    def rules(
        self, value: Any, names: tuple[str, ...], with_action: tuple[str, ...]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Modes and actions by rule. ``"shadow"`` is short for ``{"mode": "shadow"}``."""
        modes: dict[str, str] = {}
        actions: dict[str, str] = {}
        for rule, said in self.mapping(value, "rules").items():
            where = f"rules.{rule}"
            if names and rule not in names:
                self.problems.append(f"{where}: no such rule; there are {', '.join(names)}")
            setting = {"mode": said} if isinstance(said, str) else self.mapping(said, where)
            self.members(setting, where, required=(), optional=("mode", "action"))
            modes[rule] = self.choice(setting.get("mode", "enforce"), where, MODES)
            if "action" not in setting:
                continue
            actions[rule] = self.choice(setting["action"], where, ACTIONS)
            if with_action and rule not in with_action:
                self.problems.append(f"{where}.action: only {', '.join(with_action)} have a choice of action")
        return modes, actions

    def invalid(self, value: Any) -> InvalidRecipients:
        where = "invalid_recipients"
        value = self.mapping(value, where)
        self.members(value, where, required=("in_a_row", "hold"), optional=())
        return InvalidRecipients(
            self.number(value.get("in_a_row"), f"{where}.in_a_row"), self.number(value.get("hold"), f"{where}.hold")
        )

    def providers(self, value: Any) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, domains in self.mapping(value, "providers").items():
            for domain in self.names(domains, f"providers.{name}"):
                if found.setdefault(domain.lower(), name) != name:
                    self.problems.append(f"providers.{name}: {domain} is {found[domain.lower()]}'s already")
        return found

    def credential(self, name: str, value: Any, streams: dict[str, Stream]) -> Credential:
        where = f"credentials.{name}"
        if "," in name or not name.isprintable():
            self.problems.append(f"{where}: a name has no comma and no control character")
        value = self.mapping(value, where)
        optional = (
            "recipients_per_message",
            "limits",
            "reserved",
            "null_sender",
            "clients",
            "hours",
            "ramp",
        )
        self.members(value, where, required=("senders", "stream"), optional=optional)
        senders = self.senders(value.get("senders", []), f"{where}.senders")
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
        read = [self.limit(limit, f"{where}.limits[{index}]", recipients, stream) for index, limit in enumerate(limits)]
        return Credential(
            name,
            senders,
            stream,
            recipients,
            tuple(limit for limit in read if limit),
            reserved,
            self.truth(value.get("null_sender", False), f"{where}.null_sender"),
            self.networks(value["clients"], f"{where}.clients") if "clients" in value else (),
            self.hours(value["hours"], f"{where}.hours") if "hours" in value else (),
            self.ramp(value["ramp"], f"{where}.ramp") if "ramp" in value else None,
        )

    def senders(self, value: Any, where: str) -> frozenset[str]:
        found = frozenset(sender.lower() for sender in self.names(value, where))
        for sender in sorted(found):
            local, at, domain = sender.rpartition("@")
            if not _DOMAIN.fullmatch(domain):
                self.problems.append(f"{where}: {domain!r} is not a domain name")
            elif at and local and not _LOCAL.fullmatch(local):
                self.problems.append(f"{where}: {sender!r} is not an address that needs no quotes")
        return found

    def domains(self, value: Any, where: str) -> frozenset[str]:
        found = frozenset(domain.lower() for domain in self.names(value, where))
        for domain in sorted(found):
            if not _DOMAIN.fullmatch(domain):
                self.problems.append(f"{where}: {domain!r} is not a domain name")
        return found

    def networks(self, value: Any, where: str) -> tuple[Network, ...]:
        found = []
        for text in self.names(value, where):
            try:
                found.append(_network(text))
            except ValueError as error:
                self.problems.append(f"{where}: {error}")
        return tuple(found)

    def hours(self, value: Any, where: str) -> tuple[tuple[int, int], ...]:
        """Minutes of the week from a list of days with a start and an end, in UTC; none lies over midnight."""
        found = []
        if not isinstance(value, list) or not value:
            self.problems.append(f"{where}: must be a list of one or more")
            return ()
        for index, item in enumerate(value):
            place = f"{where}[{index}]"
            item = self.mapping(item, place)
            self.members(item, place, required=("start", "end"), optional=("days",))
            start, end = (self.time(item.get(member), f"{place}.{member}") for member in ("start", "end"))
            if start >= end:
                self.problems.append(f"{place}: the end {item.get('end')} is not after the start {item.get('start')}")
            for day in item.get("days", DAYS):
                number = DAYS.index(self.choice(day, f"{place}.days", DAYS)) * 24 * 60
                found.append((number + start, number + end))
        return tuple(sorted(found))

    def time(self, value: Any, where: str) -> int:
        if isinstance(value, str) and _TIME.fullmatch(value):
            return int(value[:2]) * 60 + int(value[3:])
        self.problems.append(f"{where}: {value!r} is not a time of day such as 08:30")
        return 0

    def ramp(self, value: Any, where: str) -> Ramp:
        value = self.mapping(value, where)
        self.members(value, where, required=("since", "first", "days"), optional=())
        try:
            since = date.fromisoformat(str(value.get("since"))).toordinal() - date(1970, 1, 1).toordinal()
        except ValueError:
            self.problems.append(f"{where}.since: {value.get('since')!r} is not a date such as 2026-11-30")
            since = 0
        days = self.number(value.get("days"), f"{where}.days")
        if days > 30:
            self.problems.append(f"{where}.days: {days} are more than 30: by then it is beyond all limits")
            days = 30
        return Ramp(since, self.number(value.get("first"), f"{where}.first"), days)

    def limit(self, value: Any, where: str, recipients: int, stream: Stream) -> Limit | None:
        value = self.mapping(value, where)
        before = len(self.problems)
        self.members(value, where, required=("key", "counted", "count", "per"), optional=("burst",))
        count = self.number(value.get("count"), f"{where}.count")
        seconds = self.number(value.get("per"), f"{where}.per")
        burst = value.get("burst")
        counted = self.choice(value.get("counted"), f"{where}.counted", COUNTED)
        # A message has so much to charge at most; unless the limit says otherwise that may go at once.
        largest = recipients if counted != "bytes" else stream.message_size or LARGEST_MESSAGE
        burst = default_burst(count, largest) if burst is None else self.number(burst, f"{where}.burst")
        key = value.get("key")
        parts = key if isinstance(key, list) and key else [key]
        for part in parts:
            self.choice(part, f"{where}.key", KEYS)
        if counted == "bytes" and "provider" in parts:
            self.problems.append(f"{where}.key: bytes are a whole message's and cannot be counted by provider")
        if len(self.problems) > before:
            return None
        try:
            arithmetic = shape(count, seconds, burst, self.processes, strict=self.strict)
        except ValueError as error:
            self.problems.append(f"{where}: {error}")
            return None
        return Limit(tuple(part for part in KEYS if part in parts), counted, arithmetic)

    def stream(self, name: str, value: Any, where: str) -> Stream:
        value = self.mapping(value, where)
        self.members(value, where, required=("filter",), optional=("message_size", "prepend"))
        size = self.number(value["message_size"], f"{where}.message_size") if "message_size" in value else 0
        prepend = value.get("prepend", "")
        if prepend and not (isinstance(prepend, str) and _HEADER.fullmatch(prepend) and len(prepend) < 900):
            self.problems.append(f"{where}.prepend: {prepend!r} is not a header field such as 'X-Stream: receipts'")
        return Stream(name, self.filter(value, where), size, str(prepend))

    def filter(self, value: dict[str, Any], where: str) -> str:
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

    def choice(self, value: Any, where: str, allowed: tuple[str, ...]) -> str:
        if value not in allowed:
            self.problems.append(f"{where}: {value!r} is not one of {', '.join(allowed)}")
            return allowed[0]
        return str(value)

    def truth(self, value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            self.problems.append(f"{where}: {value!r} is neither true nor false")
        return value is True

    def number(self, value: Any, where: str) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return value
        self.problems.append(f"{where}: {value!r} is not a whole number of 1 or more")
        return 1


@lru_cache(maxsize=1000)
def _network(text: str) -> Network:
    """A network of clients; many credentials have the same."""
    return ipaddress.ip_network(text)
