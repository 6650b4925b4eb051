"""Every look-up table that Postfix names is a file that it gets. (A checker on the host opens them, too.)"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from smtpctl.model.faults import Fault
from smtpctl.render.rules.view import HostView

#: Types whose table is read from the text file itself, at each start of a daemon.
_TEXT = re.compile(r"\b(texthash|pcre|regexp|cidr):(/[^\s,;}]+)")

#: Types that need a database which postmap(1) makes; smtpctl runs none.
_INDEXED = re.compile(r"\b(hash|btree|lmdb|cdb|dbm|sdbm):(/etc/[^\s,;}]+)")


def missing(view: HostView, views: Mapping[str, HostView], now: datetime) -> Iterator[Fault]:
    """Tables below an instance's own folder that nothing renders, and tables of a type that is never built."""
    for instance in view.instances:
        for path, name, value, _ in instance.settings():
            for kind, table in _TEXT.findall(value):
                if table.startswith(f"{instance.folder}/") and table not in view.files:
                    yield Fault(
                        path,
                        f"{name} reads {kind}:{table}, and nothing renders that file",
                        f"add a template for {table}, or take it out of {name}",
                    )
            for kind, table in _INDEXED.findall(value):
                yield Fault(
                    path,
                    f"{name} reads {kind}:{table}, a database that nobody builds",
                    f"use texthash:{table}, which Postfix reads as text",
                )
