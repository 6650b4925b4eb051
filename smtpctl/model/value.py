"""The base of all parts of the inventory's model: frozen values, whose fields say what they mean.

They are dataclasses, which pydantic takes in as they are: ``smtpctl.inventory`` has it validate and describe them. It
is not imported here, since whoever only reads a fleet does not have to wait for it.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, dataclass_transform

from smtpctl.model.frozen import MISSING, Frozen


def field(
    *,
    default: Any = MISSING,
    default_factory: Callable[[], Any] | Any = MISSING,
    description: str = "",
    examples: Sequence[Any] = (),
    **bounds: Any,
) -> Any:
    """A field of a part: its default (none: it is required), meaning, examples and ``bounds`` (``ge``, ``le``,
    ``min_length``, ``pattern``). Pydantic reads its own words from a dataclass field's metadata."""
    said = {"description": description, "examples": list(examples)}
    metadata = {name: value for name, value in said.items() if value} | bounds
    return dataclasses.field(default=default, default_factory=default_factory, metadata=metadata)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Value(Frozen):
    """Base of all parts of the fleet: frozen, made by name, and unknown keys are errors."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "strict": True}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__(kw_only=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Fields are strict about their types; the part itself is made from a mapping."""
        schema = handler(source)
        handler.resolve_ref_schema(schema)["strict"] = False
        return schema

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        """A plain dataclass brings no description of its own."""
        described = handler(schema)
        handler.resolve_ref_schema(described)["description"] = inspect.cleandoc(cls.__doc__ or "")
        return described


def fields_of(part: type[Value]) -> dict[str, dataclasses.Field[Any]]:
    """The fields of a part, by name."""
    return {found.name: found for found in dataclasses.fields(part)}


def required(found: dataclasses.Field[Any]) -> bool:
    """Whether a field has no default."""
    return found.default is MISSING and found.default_factory is MISSING


def default_of(found: dataclasses.Field[Any]) -> Any:
    """The default of a field that has one."""
    return found.default if found.default_factory is MISSING else found.default_factory()
