"""The reference page of the docs, made from the model and the checks: what a key means is written in one place."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict
from typing import Any

from smtpctl.inventory.checks import ALL_CHECKS
from smtpctl.inventory.checks.owned_parameters import OWNED
from smtpctl.inventory.checks.pools import MASTER_SERVICES
from smtpctl.inventory.checks.ports import HEALTH_PORT_OFFSET, OWN_PORTS
from smtpctl.inventory.flow import flow
from smtpctl.inventory.schema import duration_text
from smtpctl.inventory.shape import annotations_of, bare, kind, model_of, part_in, parts
from smtpctl.model import forms
from smtpctl.model.fleet import RESERVED_INSTANCES
from smtpctl.model.value import Value, default_of, fields_of, required

_HEAD = """\
<!-- Made by `smtpctl schema --format markdown` from the model of the fleet. Change smtpctl/model/fleet.py or
     smtpctl/inventory/, then: smtpctl schema --format markdown > docs/inventory-reference.md -->

# Inventory reference

One YAML file says what a fleet is. `smtpctl validate FILE` reports everything that is wrong with it at once, each
problem with file, line, column and remedy; it needs no key and no network. `smtpctl schema` prints the JSON schema for
editors, `smtpctl schema --format sample` a commented inventory to start from.

The file is YAML 1.2, encoded in UTF-8, one document. Only `true` and `false` are booleans and only decimal digits are
numbers: `yes`, `on`, `12:30` and `010` are text. Indent with spaces. A key stands once in its mapping. Anchors and
aliases (`&name`, `*name`) repeat a value; merge keys (`<<`) and tags (`!!str`) do not exist. Put an IPv6 address in
quotes where it stands in a list between brackets.

A *name* is a lower-case letter, then up to 31 of `a-z`, `0-9` and `-`. A *domain* is written in lower case. A
*duration* is a number and `s`, `m`, `h` or `d`. In the headings below, `NAME` and `DOMAIN` stand for keys of your
choice.
"""

_RULES = """\
## Rules over the whole fleet

Beyond the form of each value, `smtpctl validate` holds the fleet against these. A rule stays silent where a section
that it reads has problems of its own.
"""

_PARAMETERS = """\
## Parameters that smtpctl keeps to itself

`parameters` (of the fleet, a host or a pool) sets any parameter of main.cf but these, because a promise of the fleet
hangs on them. Where one has to differ all the same, an overlay folder (`templates`) replaces the template, and whoever
wrote it answers for it. The host's own parameters win over the fleet's, the fleet's over the pool's. `*` stands for any
text.
"""

_TAKEN = """\
## What is taken

A pool cannot be called {names}, or like a service of a stock master.cf: {services}.

Each pool takes its port and, for its health checks, the one {offset} above. These are the fleet's own:
"""


def reference_page() -> str:
    """The whole page as Markdown."""
    headings = parts()
    blocks = [_HEAD, *(_part(model, headings) for model in headings)]
    blocks += [_RULES, _rules(), _PARAMETERS, _owned(), _taken(), _ports()]
    return "\n".join(blocks)


def _part(model: type[Value], headings: Mapping[type[Value], str]) -> str:
    description = " ".join((model.__doc__ or "").replace("``", "`").split())
    rows = [
        (f"`{name}`", _value(model, name, headings) + _range(field), _default(model, name, field), _meaning(field))
        for name, field in fields_of(model).items()
    ]
    return f"## {headings[model]}\n\n{description}\n\n{_table(('key', 'value', 'default', 'meaning'), rows)}"


def _value(model: type[Value], name: str, headings: Mapping[type[Value], str]) -> str:
    """What a key holds, with a link to the section of the part that it holds."""
    annotation = annotations_of(model)[name]
    text, part = kind(annotation), part_in(annotation)
    if part is None:
        return text
    link = f"[{headings[part]}](#{re.sub(r'[^a-z0-9_-]', '', headings[part].lower().replace(' ', '-'))})"
    return f"{text.removesuffix(part.__name__)}{link}"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _range(field: Field[Any]) -> str:
    low, high = field.metadata.get("ge"), field.metadata.get("le")
    if low is None:
        return ""
    return f", {low} or more" if high is None else f", {low} to {high}"


def _default(model: type[Value], name: str, field: Field[Any]) -> str:
    if required(field):
        return "*required*"
    annotation = annotations_of(model)[name]
    if model_of(annotation) and default_of(field) is not None:
        return "see there"
    text = default_text(annotation, field)
    return f"`{text}`" if text is not None else "none"


def default_text(annotation: Any, field: Field[Any]) -> str | None:
    """The default of a key as one would write it; None where it is nothing."""
    default = default_of(field)
    if isinstance(default, Value):
        return flow({name: str(value) for name, value in asdict(default).items() if value is not None})
    if default is None or default in ([], {}):
        return None
    if annotation == forms.Duration and bare(annotation) is int:
        return duration_text(default)
    return flow(default) if isinstance(default, bool | list) else str(default)


def _meaning(field: Field[Any]) -> str:
    description, examples = field.metadata["description"], field.metadata.get("examples")
    return f"{description} Example: `{flow(examples[0])}`" if examples else description


def _rules() -> str:
    lines: list[str] = []
    module = ""
    for check in ALL_CHECKS:
        if check.find.__module__ != module:
            module = check.find.__module__
            lines += ["", f"### {_first_line(module)}", ""]
        lines.append(f"- {check.rule}")
    return "\n".join(lines[1:]) + "\n"


def _first_line(module: str) -> str:
    text = (sys.modules[module].__doc__ or "").split("\n\n")[0]
    return " ".join(text.split()).partition(":")[0]


def _owned() -> str:
    rows = [(owned.decides, ", ".join(f"`{name}`" for name in owned.patterns), owned.instead) for owned in OWNED]
    return _table(("they decide", "parameters", "instead"), rows)


def _taken() -> str:
    names = ", ".join(f"`{name}`" for name in (*RESERVED_INSTANCES, "default"))
    services = ", ".join(f"`{name}`" for name in sorted(MASTER_SERVICES))
    return _TAKEN.format(names=names, services=services, offset=HEALTH_PORT_OFFSET)


def _ports() -> str:
    return _table(("port", "used by"), [(str(port), what) for port, what in sorted(OWN_PORTS.items())])
