"""Effects of haproxy.cfg: servers that come and go, and settings of a section (HAProxy's configuration manual, 2)."""

from __future__ import annotations

from smtpctl.plan.effects.effect import changed
from smtpctl.plan.effects.pairs import compare

_SECTIONS = ("global", "defaults", "frontend", "backend", "listen", "peers", "resolvers")

#: Keywords that stand several times in a section, told apart by their first argument.
_NAMED = ("server", "timeout", "option", "bind", "stats", "http-request", "http-check", "acl", "log", "use_backend")


def haproxy(old: str, new: str) -> list[str]:
    """Servers, sections and settings that differ. Raise ValueError for what is no configuration of HAProxy."""
    return compare(_settings(old), _settings(new), _words)


def _settings(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in _SECTIONS:
            section = " ".join(words)
            found[section] = ""
            continue
        if not section:
            raise ValueError("a setting outside of any section")
        count = 2 if words[0] in _NAMED else 1
        key = f"{section}: {' '.join(words[:count])}"
        value = " ".join(words[count:])
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def _words(key: str, old: str | None, new: str | None) -> str:
    section, _, setting = key.partition(": ")
    place = section.partition(" ")[2] or section
    if not setting:
        return f"haproxy: {section} {'added' if old is None else 'removed'}"
    if setting.startswith("server ") and (old is None or new is None):
        return f"haproxy: {setting} {'added to' if old is None else 'removed from'} {place}"
    if not old and not new:
        return f"haproxy: {place}: {setting} {'added' if old is None else 'removed'}"
    return f"haproxy: {place}: {setting} {changed(old, new)}"
