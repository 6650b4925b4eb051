"""A commented inventory to start from: values of one small fleet, words from the model.

Every key of the model appears once with its description; those that the sample leaves at their default are commented
out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import Field
from typing import Any

from smtpctl.inventory.flow import flow
from smtpctl.inventory.reference import default_text
from smtpctl.inventory.shape import annotations_of, item_of, model_of
from smtpctl.model.fleet import Fleet
from smtpctl.model.value import Value, fields_of

_WIDTH = 100

_HEAD = """\
# A fleet of one host with all six roles. Put your own names and addresses in, then: smtpctl validate FILE
# Keys that are commented out show their default, or an example where they have none.
"""

#: The fleet of the sample. Addresses and domains are documentation ones (RFC 5737, RFC 2606).
SAMPLE: dict[str, Any] = {
    "version": 1,
    "fleet": "sample",
    "ssh": {"known_hosts": "sample.known_hosts"},
    "network": {"management": ["203.0.113.7/32"]},
    "domains": {
        "infrastructure": "mail.example.com",
        "sending": {"shop.example.com": {"bounce": "bounce.shop.example.com"}},
        "feedback": "feedback.mail.example.com",
    },
    "hosts": {
        "mail1": {
            "address": "192.0.2.20",
            "roles": ["balancer", "submission", "relay", "feedback", "mailbox", "control"],
            "sources": [
                {"address": "192.0.2.21", "helo": "out1.mail.example.com", "pool": "transactional"},
            ],
        }
    },
    "balancing": {"name": "smtp.mail.example.com"},
    "streams": {"transactional": {"pool": "transactional"}},
    "pools": {"transactional": {"port": 10025, "queue_lifetime": "1d"}},
    "providers": {
        "google": {"domains": ["gmail.com", "googlemail.com"], "mx": ["google.com"], "connections": 5},
        "default": {"connections": 10},
    },
    "credentials": {
        "shop": {
            "senders": ["shop.example.com"],
            "stream": "transactional",
            "hours": [{"days": ["mon", "tue", "wed", "thu", "fri"], "start": "06:00", "end": "22:00"}],
            "ramp": {"since": "2026-11-30", "first": 200, "days": 10},
        }
    },
    "limits": [{"key": "credential", "counted": "recipients", "count": 10000, "per": "1h"}],
    "rules": {"client": {"mode": "enforce"}},
    "invalid_recipients": {"in_a_row": 20, "hold": "1d"},
    "mailboxes": {"postmaster": {"addresses": ["postmaster", "abuse"]}},
    "tls": {"minimum": "TLSv1.2"},
    "retention": {"ledger": "90d"},
}


def sample_inventory() -> str:
    """The sample as YAML text."""
    return _HEAD + "\n".join(_Writer().part(Fleet, SAMPLE, "")) + "\n"


class _Writer:
    """Writes parts as YAML lines; explains the keys of each kind of part where it first appears."""

    def __init__(self) -> None:
        self._explained: set[type[Value]] = set()

    def part(self, model: type[Value], values: dict[str, Any], indent: str) -> Iterator[str]:
        """Lines of one part: its keys in the model's order."""
        explain = model not in self._explained
        self._explained.add(model)
        for name, annotation in annotations_of(model).items():
            field = fields_of(model)[name]
            if explain:
                if model is Fleet:
                    yield ""
                yield from _comment(field.metadata["description"], indent)
            if name in values:
                yield from self._entry(name, annotation, values[name], indent)
            elif explain:
                yield f"{indent}# {name}: {_default_or_example(annotation, field)}"

    def _entry(self, name: str, annotation: Any, value: Any, indent: str) -> Iterator[str]:
        model, deeper = model_of(annotation), f"{indent}  "
        if model is not None:
            yield f"{indent}{name}:"
            yield from self.part(model, value, deeper)
        elif isinstance(value, dict):
            yield f"{indent}{name}:"
            for key, item in value.items():
                yield from self._entry(key, item_of(annotation), item, deeper)
        elif isinstance(value, list) and model_of(item_of(annotation)) is not None:
            yield f"{indent}{name}:"
            yield from self._items(model_of(item_of(annotation)), value, deeper)
        else:
            yield f"{indent}{name}: {flow(value)}"

    def _items(self, model: Any, values: list[dict[str, Any]], indent: str) -> Iterator[str]:
        """Lines of a list of parts: the dash stands before the first line that is not a comment."""
        for value in values:
            lines = list(self.part(model, value, f"{indent}  "))
            first = next(index for index, line in enumerate(lines) if not line.lstrip().startswith("#"))
            lines[first] = f"{indent}- {lines[first].lstrip()}"
            yield from lines


def _default_or_example(annotation: Any, field: Field[Any]) -> str:
    default = default_text(annotation, field)
    if default is not None:
        return default
    examples = field.metadata.get("examples")
    return flow(examples[0]) if examples else "[]"


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
