"""How a Postfix has to ask a policy service, held against how one does (SMTPD_POLICY_README, postconf(5)). Pure.

Each finding says what a setting does to mail. What costs a second a message, or lets mail past every limit, looks right
to Postfix's own checker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from smtpctl.render.rules.postfix_files import Instance, MasterService

#: A burst of smtpd processes that connect at once has to fit.
LEAST_BACKLOG = 1024
#: Longer than this a silent service holds an smtpd up for a client that has gone (seconds).
LONGEST_TIMEOUT = 30

RECIPIENT = ("smtpd_recipient_restrictions", "smtpd_relay_restrictions")
DATA = ("smtpd_data_restrictions",)
END = ("smtpd_end_of_data_restrictions",)
STAGES = (
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    *RECIPIENT,
    *DATA,
    *END,
    "smtpd_etrn_restrictions",
)

_ASKED = re.compile(r"check_policy_service\s+(\{(?:[^{}]|\{[^{}]*\})*\}|[^\s,]+)")
_ADDRESS = re.compile(r"\b(unix|inet):([^\s,{}]+)")
_ATTRIBUTE = re.compile(r"(\w+)\s*=\s*([^{},]*)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "": 1}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it has to be: where, what it does, and the right form."""

    place: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One ``check_policy_service``: where it stands, and its whole text, by which Postfix tells connections apart."""

    place: str
    text: str

    def attribute(self, name: str) -> str | None:
        """What braces say of a setting of the client."""
        return dict(_ATTRIBUTE.findall(self.text)).get(name, "").strip() or None if self.text.startswith("{") else None


@dataclass(frozen=True, slots=True)
class Needs:
    """What the rules need of Postfix: a question at END-OF-MESSAGE (bytes are known there alone), and the transports
    that their streams' mail leaves by."""

    end: bool = False
    transports: frozenset[str] = frozenset()


NOTHING = Needs()


def findings(instance: Instance, needs: Needs = NOTHING) -> tuple[Finding, ...]:
    """Everything about an instance's settings."""
    asked = list(_asked(instance))
    if not asked:
        remedy = f"{RECIPIENT[0]} = check_policy_service {{ unix:PATH, timeout=10s, default_action=451 }}, ..."
        return (Finding(instance.main, "no restriction asks a policy service: nothing is limited", remedy),)
    return (
        *_one_string(asked),
        *(finding for one in {one.text: one for one in reversed(asked)}.values() for finding in _client(instance, one)),
        *_stages(instance, counts_bytes=needs.end),
        *_transports(instance, needs.transports),
    )


def addresses(instance: Instance) -> tuple[str, ...]:
    """Where policy services are asked, as this machine names it: ``unix:`` with a whole path, ``inet:HOST:PORT``."""
    found: dict[str, None] = {}
    doors = [service for service in instance.services if service.command == "smtpd"]
    jailed = any(door.chroot for door in doors)
    for one in _asked(instance):
        for kind, where in _ADDRESS.findall(one.text):
            if kind == "unix" and (jailed or not where.startswith("/")):
                # smtpd(8) has its queue for a root there; else it is where it works.
                found[f"unix:{instance.queue}/{where.lstrip('/')}"] = None
            else:
                found[f"{kind}:{where}"] = None
    return tuple(found)


def _asked(instance: Instance) -> Iterator[Asked]:
    for file, name, value, service in instance.settings():
        if name in STAGES or "check_policy_service" in value:
            where = f"{file}: {service.name} -o {name}" if service else f"{file}: {name}"
            for match in _ASKED.finditer(value):
                yield Asked(where, " ".join(match[1].split()))


def _one_string(asked: list[Asked]) -> Iterator[Finding]:
    first = asked[0]
    for one in asked[1:]:
        if one.text != first.text:
            text = f"asks by another string than {first.place}: Postfix opens another connection for it"
            yield Finding(one.place, text, f"check_policy_service {first.text}")


def _client(instance: Instance, asked: Asked) -> Iterator[Finding]:
    timeout = asked.attribute("timeout") or instance.value("smtpd_policy_service_timeout")
    if not timeout:
        text = "no timeout is stated: a service that hangs holds every smtpd for 100 s, twice"
        yield Finding(asked.place, text, "{ ..., timeout=10s }")
    elif (seconds := _seconds(timeout)) is None or seconds > LONGEST_TIMEOUT:
        text = f"timeout {timeout} is more than {LONGEST_TIMEOUT} s: a service that hangs holds every smtpd for so long"
        yield Finding(asked.place, text, "{ ..., timeout=10s }")
    action = asked.attribute("default_action") or instance.value("smtpd_policy_service_default_action")
    if not action:
        yield Finding(asked.place, "no default action is stated", "{ ..., { default_action = 451 4.3.5 TEXT } }")
    elif not action.startswith("4"):
        text = f"default action {action!r}: a silent service means mail without limits, or mail lost"
        yield Finding(asked.place, text, "{ ..., { default_action = 451 4.3.5 TEXT } }")
    tries = asked.attribute("try_limit") or instance.value("smtpd_policy_service_try_limit") or "2"
    if tries == "1":
        text = "try_limit 1: after one restart of the service a session never asks it again, and passes every limit"
        yield Finding(asked.place, text, "leave try_limit at 2")


def _stages(instance: Instance, *, counts_bytes: bool) -> Iterator[Finding]:
    """Each smtpd that takes mail has to ask at RCPT and DATA, and before anything permits."""
    doors: list[MasterService | None] = [service for service in instance.services if service.command == "smtpd"]
    wanted = [(RECIPIENT, "RCPT: senders and spent limits"), (DATA, "DATA: nothing is charged")]
    if counts_bytes:
        wanted.append((END, "END-OF-MESSAGE: bytes are not counted"))
    told: set[tuple[str, str]] = set()
    for door in doors or [None]:
        if any(_only_rejects(instance.value(name, door)) for name in RECIPIENT):
            continue
        for names, what in wanted:
            values = {name: instance.value(name, door) for name in names}
            place = f"{instance.master}: {door.name}" if door and _overrides(door, names) else instance.main
            if (place, what) in told:
                continue
            told.add((place, what))
            if not any("check_policy_service" in value for value in values.values()):
                yield Finding(place, f"the service is not asked at {what}", f"{names[0]} = check_policy_service ...")
            for name, value in values.items():
                if permit := _permits_before(value):
                    text = f"{permit} stands before check_policy_service: whom it permits is never asked for"
                    yield Finding(f"{place}: {name}", text, f"check_policy_service ..., {permit}")


def _transports(instance: Instance, transports: frozenset[str]) -> Iterator[Finding]:
    """Postfix takes any name for a transport, and finds out at delivery that it has no such one."""
    there = {service.name for service in instance.services}
    for name in sorted(transports - there):
        text = f"has no transport {name}, by which the rules send a stream's mail: it waits in the queue"
        yield Finding(instance.master, text, f"{name} unix - - n - - smtp")


def _overrides(door: MasterService, names: tuple[str, ...]) -> bool:
    return any(name in door.overrides for name in names)


def _only_rejects(value: str) -> bool:
    return value.replace(",", " ").split()[:1] == ["reject"]


def _permits_before(value: str) -> str | None:
    before, asks, _ = value.partition("check_policy_service")
    words = before.replace(",", " ").split()
    return next((word for word in words if word.startswith("permit")), None) if asks else None


def _seconds(text: str) -> int | None:
    match = re.fullmatch(r"(\d+)([smhdw]?)", text.strip())
    return int(match[1]) * _UNITS[match[2]] if match else None
