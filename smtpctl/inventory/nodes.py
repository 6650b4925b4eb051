"""YAML text to nodes that know their place: the YAML 1.2 that people expect, and no more of it.

Only ``true`` and ``false`` are booleans, numbers are decimal, everything else is text: ``yes``, ``on``, ``12:30``,
``010`` and dates stay what was written. Duplicate keys, merge keys, tags and a second document are problems. Anchors
and aliases work; how much they may add up to is bounded where nodes become values (``document.py``).

This module reads events of PyYAML's parser (libyaml where it is there) and never builds objects that a file asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import yaml

from smtpctl.inventory.syntax import describe_syntax_error, find_unreadable_character

#: Deeper than any inventory; keeps every later recursion harmless.
DEEPEST = 32

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Place(NamedTuple):
    """Line and column, both from 1."""

    line: int
    column: int


@dataclass(slots=True, eq=False)
class Scalar:
    """Text; ``plain`` when it stands without quotes."""

    place: Place
    text: str
    plain: bool


@dataclass(slots=True, eq=False)
class Sequence:
    """A list."""

    place: Place
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Entry:
    """One key of a mapping and what stands behind it."""

    key: str
    place: Place
    value: Node


@dataclass(slots=True, eq=False)
class Mapping:
    """A mapping, its keys in the order of the file, each once."""

    place: Place
    entries: dict[str, Entry] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


class Trouble(NamedTuple):
    """A problem of the YAML itself."""

    place: Place
    message: str
    hint: str = ""


@dataclass(slots=True, eq=False)
class _Open:
    """A list or mapping whose end has not been read. ``key`` waits for its value; a key that was refused is None."""

    node: Sequence | Mapping
    key: tuple[str, Place] | None = None
    has_key: bool = False


class _StopError(Exception):
    """Reading on makes no sense."""


class Composer:
    """Builds nodes from events and collects what is wrong on the way."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.troubles: list[Trouble] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0

    def read(self, text: str) -> None:
        """Read a whole file; afterwards ``root`` and ``troubles`` say what it held."""
        unreadable = find_unreadable_character(text)
        if unreadable is not None:
            place, message, hint = unreadable
            self.troubles.append(Trouble(Place(*place), message, hint))
            return
        try:
            for event in yaml.parse(text, Loader=_Loader):
                self._take(event)
        except _StopError:
            return
        except (yaml.YAMLError, ValueError, OverflowError) as error:  # see describe_syntax_error
            self.root = None
            place, message, hint = describe_syntax_error(text, error)
            self.troubles.append(Trouble(Place(*place), message, hint))

    def _take(self, event: yaml.Event) -> None:
        place = _place_of(event)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._give_up(
                    place, "a second YAML document starts here", "an inventory is one document: remove the ---"
                )
        elif isinstance(event, yaml.AliasEvent):
            self._add_alias(event.anchor, place)
        elif isinstance(event, yaml.ScalarEvent):
            self._add_scalar(event, place)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._start_collection(event, place)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()

    def _add_alias(self, anchor: str | None, place: Place) -> None:
        node = self._anchors.get(anchor or "")
        if node is None:
            self._trouble(place, f"nothing is called &{anchor} above this line", "an alias repeats an earlier anchor")
            node = Scalar(place, "", plain=True)
        elif any(node is open_node.node for open_node in self._open):
            self._trouble(place, f"*{anchor} stands inside the very thing that it repeats", "write it out")
            node = Scalar(place, "", plain=True)
        self._add(node, place)

    def _add_scalar(self, event: yaml.ScalarEvent, place: Place) -> None:
        self._refuse_tag(event.tag, place)
        if any("\ud800" <= character <= "\udfff" for character in event.value):
            self._trouble(place, "an escape in this text names no character", "write the character itself, in UTF-8")
        node = Scalar(place, event.value, plain=not event.style)
        self._name(event.anchor, node)
        self._add(node, place)

    def _start_collection(self, event: yaml.CollectionStartEvent, place: Place) -> None:
        if len(self._open) == DEEPEST:
            self._give_up(
                place, f"nested more than {DEEPEST} deep", "no inventory needs this: look for a stray bracket"
            )
        self._refuse_tag(event.tag, place)
        node = Mapping(place) if isinstance(event, yaml.MappingStartEvent) else Sequence(place)
        self._name(event.anchor, node)
        self._add(node, place)
        self._open.append(_Open(node))

    def _add(self, node: Node, place: Place) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
        elif not parent.has_key:
            parent.key = self._key(node, place)
            parent.has_key = True
        else:
            parent.has_key = False
            if parent.key is not None:
                self._add_entry(parent.node, *parent.key, node)

    def _key(self, node: Node, place: Place) -> tuple[str, Place] | None:
        if not isinstance(node, Scalar):
            self._trouble(place, "a key must be text, not a list or a mapping", "write KEY: VALUE")
        elif node.text == "<<" and node.plain:
            self._trouble(place, "merge keys (<<) are not part of YAML 1.2", "write the keys out")
        elif not node.text:
            self._trouble(place, "a key is empty", "write a name before the ':'")
        else:
            return node.text, place
        return None

    def _add_entry(self, mapping: Mapping, key: str, place: Place, value: Node) -> None:
        first = mapping.entries.get(key)
        if first is None:
            mapping.entries[key] = Entry(key, place, value)
        else:
            self._trouble(
                place,
                f"key {key!r} stands twice in the same mapping, first on line {first.place.line}",
                "remove one of the two, or merge them",
            )

    def _name(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _refuse_tag(self, tag: str | None, place: Place) -> None:
        if tag is not None:
            self._trouble(place, f"the tag {_short_tag(tag)} has no meaning in an inventory", "remove the tag")

    def _trouble(self, place: Place, message: str, hint: str = "") -> None:
        self.troubles.append(Trouble(place, message, hint))

    def _give_up(self, place: Place, message: str, hint: str) -> None:
        self.root = None
        self._trouble(place, message, hint)
        raise _StopError


def _place_of(event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def entries_of(node: Node | None) -> Iterator[Entry]:
    """Entries of a mapping; none of anything else."""
    if isinstance(node, Mapping):
        yield from node.entries.values()
