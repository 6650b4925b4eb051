"""Effects of the policy service's files: credentials and their limits (policy.json), providers (routing.json)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from smtpctl.plan.effects.effect import changed
from smtpctl.plan.effects.pairs import Pairs, compare

_WINDOWS = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day", 604800: "a week"}

#: Limit by what it counts, for what, in which window.
_Limits = dict[tuple[str, str, int], Mapping[str, Any]]


def rules(old: str, new: str) -> list[str]:
    """Credentials added and removed, what they may send, their limits."""
    before, after = json.loads(old), json.loads(new)
    words = []
    for name in dict.fromkeys([*after["credentials"], *before["credentials"]]):
        was, becomes = before["credentials"].get(name), after["credentials"].get(name)
        if was is None or becomes is None:
            words.append(f"credential {name} {'added' if was is None else 'removed'}")
        elif was != becomes:
            words += _credential(name, was, becomes)
    others = _flat(before, but="credentials"), _flat(after, but="credentials")
    return words + compare(*others, lambda key, a, b: f"policy: {key} {changed(a, b)}")


def routing(old: str, new: str) -> list[str]:
    """Domains by which providers are known, and the weights of source addresses."""
    return compare(_routes(json.loads(old)), _routes(json.loads(new)), _route_words)


def _credential(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    was, becomes = _limits(old), _limits(new)
    words = [
        _limit_words(name, key, was.get(key), becomes.get(key))
        for key in dict.fromkeys([*becomes, *was])
        if was.get(key) != becomes.get(key)
    ]
    others = _flat(old, but="limits"), _flat(new, but="limits")
    return words + compare(*others, lambda key, a, b: f"credential {name}: {key.replace('_', ' ')} {changed(a, b)}")


def _limits(credential: Mapping[str, Any]) -> _Limits:
    return {(limit["key"], limit["counted"], limit["per"]): limit for limit in credential["limits"]}


def _limit_words(
    name: str, key: tuple[str, str, int], old: Mapping[str, Any] | None, new: Mapping[str, Any] | None
) -> str:
    kind, counted, window = key
    whose = f"limit of {name}" if kind == "credential" else f"limit of each {kind} of {name}"
    unit = f"{counted} {_WINDOWS.get(window, f'in {window} s')}"
    if old is None or new is None:
        count = (new or old or {})["count"]
        return f"{whose}: {count:,} {unit} {'added' if old is None else 'removed'}"
    burst = f"burst {old['burst']:,} → {new['burst']:,}" if old["burst"] != new["burst"] else ""
    if old["count"] == new["count"]:
        return f"{whose}: {burst} {counted}"
    return f"{whose}: {old['count']:,} → {new['count']:,} {unit}{f' ({burst})' if burst else ''}"


def _routes(document: Mapping[str, Any]) -> Pairs:
    found: dict[str, str] = {}
    for name, provider in document["providers"].items():
        found[f"provider {name}: domains"] = ", ".join(provider["domains"])
        found[f"provider {name}: MX"] = ", ".join(provider["mx"])
    for pool, weights in document["pools"].items():
        found[f"pool {pool}: weights of its addresses"] = " : ".join(map(str, weights["weights"]))
    return found


def _route_words(key: str, old: str | None, new: str | None) -> str:
    kind, _, what = key.partition(": ")
    if old is None or new is None:
        return f"routing of {kind} {'added' if old is None else 'removed'}"
    return f"{kind}: {what} {old} → {new}" if "weights" in what else f"{kind}: {what} {changed(old, new)}"


def _flat(value: Mapping[str, Any], *, but: str) -> Pairs:
    """Members as texts; without the one that is told apart."""
    return {
        key: ", ".join(map(str, member)) if isinstance(member, list) else json.dumps(member, sort_keys=True)
        for key, member in value.items()
        if key != but
    }
