"""What is wrong with a host that no plan can see: from facts to symptoms with remedies. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from smtpctl.operate.health import LEAST_FREE, OLD_MESSAGE

#: Seconds that a clock may be off: TLS, DKIM's dates and the ledger's order still hold.
SKEW = 2.0
LEAST_MEMORY = 0.08
#: Days after which package lists are old: unattended-upgrades sees nothing new in them.
LISTS = 3.0
#: Seconds that mail may stay in a queue that it only passes through.
PASSING = 900.0
#: Waiting processes for each processor.
LOAD = 4.0


@dataclass(frozen=True, slots=True)
class Expected:
    """What the inventory says about a host: names that it has to resolve, and the name of each of its addresses."""

    names: tuple[str, ...] = ()
    reverse: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing that is wrong: of what kind, in a sentence, and what to do."""

    host: str
    check: str
    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Measured:
    """When a host was asked by the controller's clock, and how long it took (seconds)."""

    asked: float
    took: float


def symptoms(host: str, facts: Mapping[str, Any], expected: Expected, measured: Measured) -> list[Symptom]:
    """Everything that is wrong with a host."""
    found = [
        *_clock(facts, measured),
        *_names(facts, expected),
        *_space(facts),
        *_memory(facts),
        *_packages(facts),
        *_kernel(facts),
        *_mail(facts),
    ]
    found += [
        ("unit", f"{unit} has failed", f"systemctl status {unit}; journalctl -u {unit}") for unit in facts["units"]
    ]
    return [Symptom(host, *symptom) for symptom in found]


Found = Iterator[tuple[str, str, str]]


def _clock(facts: Mapping[str, Any], measured: Measured) -> Found:
    # The host looked at its clock somewhere between question and answer.
    early, late = measured.asked - facts["now"], facts["now"] - (measured.asked + measured.took)
    off = max(early, late)
    if off > SKEW:
        side = "behind" if early > late else "ahead of"
        yield "clock", f"the clock is {off:.0f} s {side} this machine's", "chronyc tracking; chronyc makestep"
    elif facts["synchronised"] is False:
        yield "clock", "the clock follows no time server", "systemctl status chrony; chronyc sources"


def _names(facts: Mapping[str, Any], expected: Expected) -> Found:
    for name, answer in facts["forward"].items():
        if isinstance(answer, str):
            yield (
                "dns",
                f"{name} does not resolve: {answer}",
                "systemctl status unbound; unbound-control status; dig NAME",
            )
    for address, wanted in (expected.reverse or {}).items():
        answer = facts["reverse"].get(address, "not asked")
        if isinstance(answer, str):
            text = f"{address} has no name ({answer}), and providers refuse mail from it"
        elif wanted not in [name.rstrip(".") for name in answer]:
            text = f"{address} is named {', '.join(answer)}, and not {wanted}"
        else:
            continue
        yield "reverse dns", text, "smtpctl dns records has the PTR record; whoever gave the address publishes it"


def _space(facts: Mapping[str, Any]) -> Found:
    for place, space in facts["space"].items():
        for what, share in (("space", space["free"]), ("inodes", space["inodes"])):
            if share < LEAST_FREE:
                yield "disk", f"{share:.0%} of the {what} of {place} is free", f"du -xh {place} | sort -h | tail"


def _memory(facts: Mapping[str, Any]) -> Found:
    share = facts["memory"]["available"] / facts["memory"]["total"]
    if share < LEAST_MEMORY:
        yield "memory", f"{share:.0%} of the memory is available", "ps axo rss,comm --sort -rss | head"
    if facts["killed"]:
        yield (
            "memory",
            f"the kernel has killed {facts['killed']} processes for want of memory since it started",
            "journalctl -k -g 'Out of memory' names them",
        )
    if facts["load"] > LOAD * facts["processors"]:
        yield (
            "load",
            f"{facts['load']:.0f} processes wait for {facts['processors']} processors",
            "top; smtpctl queue top --by reply",
        )


def _packages(facts: Mapping[str, Any]) -> Found:
    security, others = facts["upgrades"]["security"], facts["upgrades"]["packages"]
    if security:
        yield (
            "upgrades",
            f"{len(security)} security upgrades wait: {_few(security)}",
            "smtpctl upgrade; apt-get upgrade",
        )
    elif others:
        yield "upgrades", f"{len(others)} upgrades wait: {_few(others)}", "smtpctl upgrade; apt-get upgrade"
    age = facts["lists_age"]
    if age is not None and age > LISTS * 86400:
        yield (
            "upgrades",
            f"the package lists are {age / 86400:.0f} days old",
            "apt-get update; systemctl status apt-daily",
        )


def _kernel(facts: Mapping[str, Any]) -> Found:
    running, installed = facts["kernel"]["running"], facts["kernel"]["installed"]
    if installed and running != installed[-1]:
        yield "kernel", f"runs {running}, and {installed[-1]} is installed", "drain the host, then restart it"
    elif facts["restart_required"]:
        yield "kernel", "an upgrade asks for a restart", "drain the host, then restart it"


def _mail(facts: Mapping[str, Any]) -> Found:
    for instance, mail in facts["mail"].items():
        for queue, age in mail["ages"].items():
            if age is not None and age > (OLD_MESSAGE if queue == "deferred" else PASSING):
                yield (
                    "mail",
                    f"{instance} has mail in its {queue} queue since {age / 3600:.1f} hours",
                    f"smtpctl queue top --by reply --queue {queue}; smtpctl why PROVIDER",
                )
        if mail["corrupt"]:
            yield (
                "mail",
                f"{instance} has {mail['corrupt']} files in its corrupt queue, which nobody delivers",
                f"postcat them in /var/spool/postfix-{instance}/corrupt, and move back what is whole (postsuper(1))",
            )


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
