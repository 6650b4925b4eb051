"""The whole way: facts of a host to a draft that renders, with everything that it would change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from smtpctl.errors import SmtpctlError
from smtpctl.inventory.judge import judge
from smtpctl.model.fleet import Fleet
from smtpctl.model.secrets import Secrets
from smtpctl.operate.adoption.differences import carried, changes
from smtpctl.operate.adoption.draft import Reached, draft_of
from smtpctl.operate.adoption.facts import Server
from smtpctl.operate.adoption.report import Change, Draft
from smtpctl.operate.adoption.services import leave_services
from smtpctl.operate.adoption.text import inventory_text
from smtpctl.render import render_fleet


@dataclass(frozen=True, slots=True)
class Adoption:
    """The text of the inventory, what is not in it (``draft.notes.left``), and every parameter that changes."""

    text: str
    draft: Draft
    changes: list[Change]


def adopt(server: Server, reached: Reached) -> Adoption:
    """Draft, render, compare; carry over what may be, and compare again."""
    draft = draft_of(server, reached)
    parameters = carried(server, draft, main_cf_of(fleet_of(inventory_text(draft))))
    for name, texts in parameters.items():
        values = {key: int(text) if re.fullmatch(r"0|[1-9]\d{0,17}", text) else text for key, text in texts.items()}
        if name in draft.inventory["pools"]:
            draft.inventory["pools"][name]["parameters"] = values
        else:
            draft.inventory.setdefault("parameters", {})[name] = values
    text = inventory_text(draft)
    found, left = changes(server, draft, main_cf_of(fleet_of(text)))
    draft.notes.left.extend(left)
    leave_services(server, draft)
    return Adoption(text, draft, found)


def fleet_of(text: str) -> Fleet:
    """The fleet of a draft. Raise SmtpctlError, with all problems, where it is not sound: that is a bug of ours."""
    fleet, _, problems = judge(text, "draft")
    if fleet is None:
        raise SmtpctlError(
            "the draft is not sound:\n" + "\n".join(map(str, problems)), hint="a bug in smtpctl: please report it"
        )
    return fleet


def main_cf_of(fleet: Fleet) -> Mapping[str, str]:
    """main.cf of each new instance, by name."""
    (host,) = render_fleet(fleet, Secrets({}, placeholders=True)).values()
    found = {}
    for path, file in host.files.items():
        folder, _, name = path.rpartition("/")
        if name == "main.cf" and folder.startswith("/etc/postfix-"):
            found[folder.removeprefix("/etc/postfix-")] = file.content.decode()
    return found
