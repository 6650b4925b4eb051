"""Nodes to plain values, with the place of each part of the inventory kept beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from smtpctl.inventory.nodes import Composer, Mapping, Node, Place, Scalar, Sequence, Trouble, entries_of
from smtpctl.inventory.problems import Path

#: Nodes that one inventory may unfold to: some 5,000 hosts. Aliases of aliases pass any size in a few lines.
MOST_NODES = 200_000

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(slots=True)
class Document:
    """Values of an inventory file and where each stands."""

    data: Any = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    quoted: set[Path] = field(default_factory=set)
    #: Top-level keys in the order of the file, with their places.
    sections: list[tuple[Place, str]] = field(default_factory=list)

    def place_of(self, path: Path, *, at_key: bool = False) -> Place:
        """Where a part stands; for one that is not written, the nearest part around it that is."""
        if path in self.values and not at_key:
            return self.values[path]
        while path:
            if path in self.keys:
                return self.keys[path]
            if path in self.values:
                return self.values[path]
            path = path[:-1]
        return Place(1, 1)

    def section_at(self, place: Place) -> str | None:
        """The top-level key under which a place lies."""
        found = [name for start, name in self.sections if start <= place]
        return found[-1] if found else None


class TooManyNodesError(Exception):
    """Aliases unfold to more than an inventory may hold."""


def read_document(text: str) -> tuple[Document | None, list[Trouble]]:
    """Values and places of a YAML text, if there are any, and what is wrong with the YAML itself."""
    composer = Composer()
    composer.read(text)
    troubles = composer.troubles
    if composer.root is None:
        if not troubles:
            hint = "start from: smtpctl schema --format sample"
            troubles.append(Trouble(Place(1, 1), "the file holds no inventory, only blank lines or comments", hint))
        return None, troubles
    document = Document(sections=[(entry.place, entry.key) for entry in entries_of(composer.root)])
    try:
        document.data = _Unfolding(document).value(composer.root, ())
    except TooManyNodesError:
        message = f"aliases unfold to more than {MOST_NODES} parts"
        troubles.append(Trouble(composer.root.place, message, "write the values out"))
        return None, troubles
    return document, troubles


class _Unfolding:
    """Turns nodes into values, an alias into one copy for each time that it is used."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = MOST_NODES

    def value(self, node: Node, path: Path) -> Any:
        self._left -= 1
        if self._left < 0:
            raise TooManyNodesError
        self._document.values[path] = node.place
        if isinstance(node, Scalar):
            if not node.plain:
                self._document.quoted.add(path)
            return scalar_value(node.text) if node.plain else node.text
        if isinstance(node, Sequence):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.items)]
        return self._mapping(node, path)

    def _mapping(self, node: Mapping, path: Path) -> dict[str, Any]:
        values = {}
        for entry in node.entries.values():
            own = (*path, entry.key)
            self._document.keys[own] = entry.place
            values[entry.key] = self.value(entry.value, own)
        return values


def scalar_value(text: str) -> str | int | float | bool | None:
    """What a text without quotes means: the YAML 1.2 core schema, narrowed to one spelling of each thing."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
