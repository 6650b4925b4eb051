"""Which file is read how. What has no reader here, or says nothing to its reader, is told in lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from smtpctl.model.plans import Change, FileChange
from smtpctl.plan.effects import haproxy, keys, nftables, pairs, policy, postfix
from smtpctl.plan.effects.effect import MOST, Effect

#: Given both contents, the effects in words.
Reader = Callable[[str, str], list[str]]

#: The same of a file whose name is part of the words.
NamedReader = Callable[[str, str, str], list[str]]


def _unnamed(reader: Reader) -> NamedReader:
    return lambda _, old, new: reader(old, new)


#: Pattern of a path, and who reads such a file; the first that matches does.
_READERS: tuple[tuple[str, NamedReader], ...] = (
    ("/etc/postfix*/master.cf", _unnamed(postfix.master_cf)),
    ("/etc/postfix*/main.cf", _unnamed(postfix.main_cf)),
    ("/etc/postfix*/*", postfix.table),
    ("/etc/haproxy/*.cfg", _unnamed(haproxy.haproxy)),
    ("/etc/nftables.conf", _unnamed(nftables.nftables)),
    ("/etc/smtpctl/policy.json", _unnamed(policy.rules)),
    ("/etc/smtpctl/routing.json", _unnamed(policy.routing)),
    ("/etc/smtpctl/peers.json", _unnamed(pairs.hosts)),
    ("/etc/smtpctl/*.json", pairs.document),
    ("/etc/opendkim/keytable-*", keys.key_table),
    ("/etc/systemd/system/*", pairs.unit),
)

_INSTANCE = re.compile(r"/etc/postfix-(?P<name>[^/]+)/")
_PROGRAM = re.compile(r"/usr/local/lib/smtpctl/(?P<name>[^/]+)\.pyz")


def words(change: FileChange, old: bytes | None) -> tuple[Effect, ...]:
    """Effects of one changed file. ``old`` is what stands on the host, None where that is secret or not a text.

    Nothing for a file that only gets another mode or owner, and for most that come or go: those are listed.
    """
    instance = _INSTANCE.match(change.path)
    name = instance["name"] if instance else ""
    return tuple(Effect(text, name) for text in _texts(change, old, name))


def _texts(change: FileChange, old: bytes | None, instance: str) -> list[str]:
    path, after = change.path, change.after
    if change.change is Change.ATTRIBUTES:
        return []
    if after and after.secret:
        told = keys.secret(path, change.change, after.content)
        return [told] if told else [] if change.change is Change.CREATE else [f"secret {path} changed"]
    if change.change is not Change.CHANGE:
        return _come_or_gone(change, instance)
    if program := _PROGRAM.fullmatch(path):
        return [f"program {program['name']}: new version"]
    if after is None or old is None or b"\0" in old or b"\0" in after.content:
        return [f"{path} changed"]
    if path.endswith(".pem"):
        told = keys.certificate(PurePosixPath(path).name, after.content)
        return [told] if told else [_lines(change)]
    told_words = _read(path, old, after.content)
    if len(told_words) > MOST:
        return [*told_words[: MOST - 1], f"{len(told_words) - MOST + 1} other effects of {path}"]
    return told_words or [_lines(change)]


def _read(path: str, old: bytes, new: bytes) -> list[str]:
    """What the reader of ``path`` says, each thing once; nothing where there is none or it cannot read that."""
    reader = next((reader for pattern, reader in _READERS if fnmatchcase(path, pattern)), None)
    if reader is None:
        return []
    try:
        return list(dict.fromkeys(reader(_name(path), old.decode(), new.decode())))
    except (ValueError, KeyError, TypeError):  # a hand has brought it into another form: its lines are told
        return []


def _name(path: str) -> str:
    """What to call a file: its name, and for a drop-in that of its unit."""
    file = PurePosixPath(path)
    return file.parent.name.removesuffix(".d") if file.parent.name.endswith(".d") else file.name


def _come_or_gone(change: FileChange, instance: str) -> list[str]:
    verb = "added" if change.change is Change.CREATE else "removed"
    if instance and change.path.endswith("/main.cf"):
        return [f"Postfix instance {instance} {verb}"]
    if change.change is Change.REMOVE and (told := keys.secret(change.path, change.change, None)):
        return [told]
    return []


def _lines(change: FileChange) -> str:
    """So many lines of a file: as many as its diff takes away or adds, whichever is more."""
    lines = [line for line in change.diff.splitlines() if not line.startswith(("--- ", "+++ "))]
    count = max(sum(line.startswith(sign) for line in lines) for sign in "+-")
    return f"{count} {'line' if count == 1 else 'lines'} of {change.path}"
