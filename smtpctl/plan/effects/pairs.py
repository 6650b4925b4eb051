"""Contents as names and values, compared name by name; and the formats that are nothing but that."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from smtpctl.plan.effects.effect import changed

Pairs = Mapping[str, str]

#: (name, value before, value after) to words; None stands for no value, no words for what is said elsewhere.
Say = Callable[[str, str | None, str | None], str]


def compare(old: Pairs, new: Pairs, say: Say) -> list[str]:
    """Words for every name whose value differs, in the order of the new content, then of the old."""
    names = dict.fromkeys([*new, *old])
    return [
        words for name in names if old.get(name) != new.get(name) and (words := say(name, old.get(name), new.get(name)))
    ]


def unit(name: str, old: str, new: str) -> list[str]:
    """Settings of a systemd unit or drop-in (systemd.syntax(7))."""
    return compare(_settings(old), _settings(new), lambda key, before, after: f"{name}: {key} {changed(before, after)}")


def document(name: str, old: str, new: str) -> list[str]:
    """Members of a JSON document, by their path."""
    return compare(_members(old), _members(new), lambda key, before, after: f"{name}: {key} {changed(before, after)}")


def hosts(old: str, new: str) -> list[str]:
    """Hosts that join the fleet or leave it."""

    def say(name: str, before: str | None, after: str | None) -> str:
        if before is None or after is None:
            return f"{name} {'joins' if before is None else 'leaves'} the fleet"
        return f"address of {name} {changed(before, after)}"

    return compare(_members(old), _members(new), say)


def _settings(text: str) -> dict[str, str]:
    """``Key`` to value; values of a key that stands several times, joined."""
    found: dict[str, str] = {}
    joined = text.replace("\\\n", " ")
    for line in joined.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith(("#", ";")):
            value = " ".join(value.split())
            found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def _members(text: str) -> dict[str, str]:
    return dict(_leaves(json.loads(text), ""))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, member in value.items():
            yield from _leaves(member, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and all(not isinstance(item, dict | list) for item in value):
        yield path, ", ".join(map(str, value))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)
