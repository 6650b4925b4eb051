"""The base of plain frozen values: what was rendered, observed, planned, and what came of it.

A ``Frozen`` is a dataclass whose methods stand here once. ``dataclass(frozen=True, slots=True)`` compiles eight of them
for each class at every start: for the few dozen classes of a plan that took as long as reading the inventory did.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, dataclass_transform

MISSING = dataclasses.MISSING


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
class Frozen:
    """Frozen, and made from its fields by place or by name. Values are equal that are of one class and have equal
    fields. A field says by ``dataclasses.field`` that it has a default of its own, or is not shown."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    _known: ClassVar[frozenset[str]]
    _defaults: ClassVar[tuple[tuple[str, Any], ...]]
    _factories: ClassVar[tuple[tuple[str, Callable[[], Any]], ...]]

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
        fields = dataclasses.fields(cls)
        cls._known = frozenset(found.name for found in fields)
        cls._defaults = tuple((found.name, found.default) for found in fields if found.default is not MISSING)
        cls._factories = tuple(
            (found.name, found.default_factory) for found in fields if found.default_factory is not MISSING
        )

    def __init__(self, *placed: Any, **named: Any) -> None:
        values = vars(self)
        if not placed and named.keys() == self._known:  # as facts come from a host: thousands, all of them named
            values.update(named)
            return
        values.update(zip(self.__match_args__, placed))  # type: ignore[attr-defined]  # noqa: B905 - checked below
        values.update(named)
        once = len(values) == len(placed) + len(named)
        for name, default in self._defaults:
            values.setdefault(name, default)
        for name, make in self._factories:
            if name not in values:
                values[name] = make()
        if not once or values.keys() != self._known:
            wrong = ", ".join(sorted(values.keys() ^ self._known)) or "more than its fields, or one of them twice"
            raise TypeError(f"{type(self).__name__}: unknown or missing: {wrong}")

    def __setattr__(self, name: str, value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self)[found.name] for found in dataclasses.fields(self)))

    def __repr__(self) -> str:
        shown = (f"{found.name}={vars(self)[found.name]!r}" for found in dataclasses.fields(self) if found.repr)
        return f"{type(self).__name__}({', '.join(shown)})"
