"""Effects of main.cf, master.cf and lookup tables (postconf(5), master(5), postmap(1)).

A relay's SMTP clients are named PROVIDER-N, one a source address; what they share is told once, by provider.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from smtpctl.plan.effects.effect import changed
from smtpctl.plan.effects.pairs import Pairs, compare

_CLIENT = re.compile(r"(?P<provider>.+)-\d+")
_OF_CLIENT = re.compile(r"(?P<provider>.+)-\d+_(?P<what>destination_concurrency_limit|.+)")

#: Per-client parameters and columns, in the words of the inventory.
_WORDS = {
    "destination_concurrency_limit": "connections",
    "destination_recipient_limit": "recipients a message",
    "transport_rate_delay": "pause between deliveries",
    "processes": "connections",
    "smtp_tls_security_level": "TLS",
}

#: What belongs to one source address and not to the provider.
_OF_SOURCE = ("syslog_name", "smtp_helo_name", "smtp_bind_address", "smtp_bind_address6")

_COLUMNS = ("private", "unprivileged", "chroot", "wakeup", "processes", "command")


def main_cf(old: str, new: str) -> list[str]:
    """Parameters that change, are set, or are no longer."""
    return compare(_parameters(old), _parameters(new), _parameter_words)


def master_cf(old: str, new: str) -> list[str]:
    """Services and their options; of a relay's clients: providers, source addresses, connections."""
    return compare(_services(old), _services(new), _service_words)


def table(name: str, old: str, new: str) -> list[str]:
    """Entries of a lookup table called ``name``."""
    return compare(_entries(old), _entries(new), lambda key, before, after: _entry_words(name, key, before, after))


def _parameters(text: str) -> Pairs:
    return {name: value for name, value in (_split(line) for line in logical_lines(text)) if name}


def _split(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip(), " ".join(value.split())


def _parameter_words(name: str, old: str | None, new: str | None) -> str:
    client = _OF_CLIENT.fullmatch(name)
    if client is None or client["what"] not in _WORDS:
        return f"{name} {changed(old, new)}"
    word = _WORDS[client["what"]]
    if word == "pause between deliveries":
        old, new = old or "none", new or "none"
    if old is None or new is None:
        return ""  # a client that comes or goes is told by master.cf
    return f"{client['provider']} {word} {changed(old, new)}"


def _services(text: str) -> Pairs:
    """Every service by name and type; every column and option of it as ``NAME: OPTION``."""
    found: dict[str, str] = {}
    for line in logical_lines(text):
        words = line.split()
        if len(words) < 8:
            continue
        name, kind = words[0], words[1]
        options = dict(_split(option) for option in re.split(r"\s-o\s+", line)[1:])
        client = _CLIENT.fullmatch(name) if words[7] == "smtp" else None
        columns = dict(zip(_COLUMNS, [*words[2:7], words[7]], strict=True))
        if client is None or not any(option in options for option in _OF_SOURCE):
            found[f"service {name} ({kind})"] = ""
            found |= {f"{name}: {option}": value for option, value in {**columns, **options}.items()}
            continue
        provider, address = client["provider"], options.get("smtp_bind_address") or options.get("smtp_bind_address6")
        found[f"provider {provider}"] = ""
        found[f"source {address}"] = options.get("smtp_helo_name", "")
        shared = {option: value for option, value in {**columns, **options}.items() if option not in _OF_SOURCE}
        found |= {f"{provider}: {_WORDS.get(option, option)}": value for option, value in shared.items()}
    return found


def _service_words(key: str, old: str | None, new: str | None) -> str:
    kind, _, name = key.partition(" ")
    owner, _, option = key.partition(": ")
    if option:
        if (old is None or new is None) and option in (*_COLUMNS, *_WORDS.values()):
            return ""  # the service itself comes or goes
        return f"{owner} {option} {changed(old, new)}"
    if kind == "source":
        if old is not None and new is not None:
            return f"{name} says EHLO {new}, not {old}"
        return f"sends from {name}{f' ({new})' if new else ''} too" if old is None else f"no longer sends from {name}"
    return f"{kind} {name} {'added' if old is None else 'removed'}"


def _entries(text: str) -> Pairs:
    """Keys and values of a table; an empty answer where a key stands twice, as in pcre tables."""
    found: dict[str, str] = {}
    for line in logical_lines(text):
        key, _, value = line.partition(" ")
        if key in found:
            return {}
        found[key] = " ".join(value.split())
    return found


def _entry_words(name: str, key: str, old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return f"{name}: {key} {'added' if old is None else 'removed'}"
    return f"{name}: {key} {changed(old, new)}"


def logical_lines(text: str) -> Iterator[str]:
    """Lines without comments, with those that continue them (postconf(5): they begin with white space)."""
    current = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace():
            current = f"{current} {line.strip()}"
            continue
        if current:
            yield current
        current = line.strip()
    if current:
        yield current
