"""Walks the types of the model: what stands at a path, what it is called, which keys it has.

Words for errors, the reference page and the sample all ask here, so that they and the validation agree.
"""

from __future__ import annotations

import types
from dataclasses import Field
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from smtpctl.inventory.problems import Path
from smtpctl.model import forms
from smtpctl.model.fleet import Fleet, Role
from smtpctl.model.value import Value, fields_of

#: Kinds of text (and of durations) that have a name of their own.
_KINDS: tuple[tuple[Any, str], ...] = (
    (forms.Domain, "domain"),
    (forms.Name, "name"),
    (forms.Address, "IP address"),
    (forms.Network, "network"),
    (forms.InterfaceAddress, "address/bits"),
    (forms.Duration, "duration"),
    (forms.LocalPart, "local part"),
    (forms.AbsolutePath, "absolute path"),
    (forms.File, "file name"),
    (forms.Interface, "interface name"),
    (forms.Login, "login name"),
    (forms.Sender, "domain or address"),
    (forms.LimitKey, "key"),
    (forms.TimeOfDay, "time of day"),
    (forms.Date, "date"),
    (forms.Header, "header field"),
    (forms.Parameters, "main.cf parameters"),
)


_annotations: dict[type[Value], dict[str, Any]] = {}


def annotations_of(model: type[Value]) -> dict[str, Any]:
    """Annotation of every key of a part, with what `Annotated` adds."""
    if model not in _annotations:
        _annotations[model] = get_type_hints(model, include_extras=True)
    return {name: _annotations[model][name] for name in fields_of(model)}


def bare(annotation: Any) -> Any:
    """An annotation without ``Annotated`` and without ``| None``."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return bare(next(part for part in get_args(annotation) if part is not type(None)))
    return annotation


def model_of(annotation: Any) -> type[Value] | None:
    """The part of the model that an annotation is, if it is one."""
    annotation = bare(annotation)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Value) else None


def item_of(annotation: Any) -> Any:
    """Annotation of what a list or mapping holds; None for anything else."""
    annotation = bare(annotation)
    return get_args(annotation)[-1] if get_origin(annotation) in (list, dict) else None


def annotation_at(path: Path) -> Any:
    """Annotation of what may stand at ``path``; None where nothing may."""
    annotation: Any = Fleet
    for step in path:
        model = model_of(annotation)
        annotation = annotations_of(model).get(str(step)) if model else item_of(annotation)
        if annotation is None:
            return None
    return annotation


def field_at(path: Path) -> Field[Any] | None:
    """The field that the last step of ``path`` names; None for an item of a list or an entry of a mapping."""
    model = model_of(annotation_at(path[:-1])) if path else None
    return fields_of(model).get(str(path[-1])) if model else None


def keys_at(path: Path) -> tuple[str, ...]:
    """Keys that the part at ``path`` knows; none where keys are free."""
    model = model_of(annotation_at(path))
    return tuple(fields_of(model)) if model else ()


def choices(annotation: Any) -> tuple[str, ...]:
    """The words that may stand for a value with fixed choices; none where it has no such choices."""
    annotation = bare(annotation)
    if annotation is Role:
        return tuple(str(role) for role in Role)
    return tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()


def kind(annotation: Any) -> str:
    """What a value is, in the words of the reference page: `domain`, `list of name`, `text`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return kind(next(part for part in get_args(annotation) if part is not type(None)))
    named = next((word for known, word in _KINDS if known == annotation), None)
    if named is not None:
        return named
    words = choices(annotation)
    if words:
        quoted = [f"`{word}`" for word in words]
        return " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))
    annotation = bare(annotation)
    if get_origin(annotation) is list:
        return f"list of {kind(item_of(annotation))}"
    if get_origin(annotation) is dict:
        return f"mapping of {kind(get_args(annotation)[0])} to {kind(item_of(annotation))}"
    if annotation is bool:
        return "`true` or `false`"
    if annotation in (str, int):
        return "text" if annotation is str else "whole number"
    return str(annotation.__name__)


def part_in(annotation: Any) -> type[Value] | None:
    """The part of the model that an annotation holds: itself, or in a list or mapping."""
    while annotation is not None:
        model = model_of(annotation)
        if model is not None:
            return model
        annotation = item_of(annotation)
    return None


def parts() -> dict[type[Value], str]:
    """Every part of the model with the shortest path to it, such as ``hosts.NAME``, each below the part around it."""
    paths: dict[type[Value], str] = {}
    _collect(Fleet, "The inventory", "", paths)
    return paths


def _collect(model: type[Value], heading: str, prefix: str, paths: dict[type[Value], str]) -> None:
    if model in paths:
        paths[model] = min(paths[model], heading, key=len)
        return
    paths[model] = heading
    for name, annotation in annotations_of(model).items():
        part = part_in(annotation)
        if part is not None:
            path = prefix + name
            if get_origin(bare(annotation)) is dict:
                path += ".DOMAIN" if get_args(bare(annotation))[0] == forms.Domain else ".NAME"
            _collect(part, path, f"{path}.", paths)
