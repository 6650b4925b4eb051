"""Deliberately broken changes: a table of edits of rendered files, each with the words that have to name its cause.

``changes.yml`` holds them. A case is broken so that it must stop at ``step``: by the rules over rendered files, by a
server's own checker, by an action on a unit, by a health check, while it is watched, or at the confirmation; at one of
several joined by "or" where the servers' own time decides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from smtpctl.keys.certificates import Pair, issue, new_authority
from smtpctl.model.artifacts import Action, DesiredHost, ManagedFile, Service
from smtpctl.model.secrets import Secrets

TABLE = Path(__file__).with_name("changes.yml")


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One broken change of one host."""

    name: str
    host: str
    step: str
    expect: str
    edits: tuple[Mapping[str, Any], ...]
    sample: bool = False

    def __str__(self) -> str:
        return self.name


def cases() -> tuple[Case, ...]:
    rows = yaml.safe_load(TABLE.read_text())
    return tuple(Case(**{**row, "edits": tuple(row["edits"])}) for row in rows)


def broken(case: Case, desired: DesiredHost, secrets: Secrets) -> DesiredHost:
    """``desired`` with the edits of ``case``. An edit whose text is not there any more fails: the table is stale."""
    files = dict(desired.files)
    services = list(desired.services)
    for edit in case.edits:
        if "unit" in edit:
            triggers = tuple((path, Action.RESTART) for path in edit.get("restart", ()))
            services.append(Service(edit["unit"], edit.get("stage", 20), triggers))
        else:
            _edit(files, edit, secrets)
    return dataclasses.replace(desired, files=files, services=tuple(sorted(services, key=lambda one: one.stage)))


def _edit(files: dict[str, ManagedFile], edit: Mapping[str, Any], secrets: Secrets) -> None:
    path = edit["path"]
    if edit.get("remove"):
        del files[path]
        return
    if "content" in edit:
        old = files.get(path, ManagedFile(path, b""))
        files[path] = dataclasses.replace(old, content=edit["content"].encode())
        return
    if "same_as" in edit:
        files[path] = dataclasses.replace(files[path], content=files[edit["same_as"]].content)
        return
    if "mode" in edit or "owner" in edit:
        old = files[path]
        owner, mode = edit.get("owner", old.owner), int(str(edit.get("mode", old.mode)), 0)
        files[path] = dataclasses.replace(old, mode=mode, owner=owner, group=edit.get("group", old.group))
        return
    if "certificate" in edit:
        files[path] = dataclasses.replace(files[path], content=_certificate(edit, files[path], secrets).encode())
        return
    text = files[path].content.decode()
    if "replace" in edit:
        old_text, new_text = edit["replace"]
        assert old_text in text, f"{path} does not hold {old_text!r}"
        text = text.replace(old_text, new_text)
    files[path] = dataclasses.replace(files[path], content=(text + edit.get("append", "")).encode())


def _certificate(edit: Mapping[str, Any], file: ManagedFile, secrets: Secrets) -> str:
    """A certificate that is wrong in one way, in the form of ``file`` (key first where it holds one)."""
    host = edit["host"]
    now = datetime.now(UTC)
    authority = Pair(secrets["tls/ca/certificate"], secrets["tls/ca/key"])
    names = tuple(edit.get("names", (host,)))
    makers: dict[str, Callable[[], Pair]] = {
        "expired": lambda: issue(old_authority(), names, now - timedelta(days=900)),
        "future": lambda: issue(authority, names, now + timedelta(days=3)),
        "named": lambda: issue(authority, names, now),
        "foreign": lambda: issue(new_authority("elsewhere", now), names, now),
        "key": lambda: Pair(secrets[f"tls/{host}/certificate"], issue(authority, names, now).key),
    }
    pair = makers[edit["certificate"]]()
    return f"{pair.key}\n{pair.certificate}\n" if b"PRIVATE KEY" in file.content else f"{pair.certificate}\n"


@cache
def old_authority() -> Pair:
    """An authority of three years ago: what it signed then has expired."""
    return new_authority("before", datetime.now(UTC) - timedelta(days=1000))
