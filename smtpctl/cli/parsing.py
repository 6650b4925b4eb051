"""What the parser makes of each line of a log, as plain values. Makes documents; prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from smtpctl.maillog import phrases
from smtpctl.maillog.events import Foreign, Happening, Phrase, Policy, Unknown
from smtpctl.maillog.lines import LineReader, repetitions
from smtpctl.model.deliveries import datetime_of, moment_of


def documents_of(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """For each line its event, queue id, instance and every field; event ``unknown`` when it is not understood."""
    zone = datetime.now().astimezone().tzinfo or UTC
    reader = LineReader(moment_of(datetime.now(UTC)), zone)
    for line in lines:
        bare = line.rstrip(b"\r\n")
        moment, origin, happening = reader.read(bare)
        count, happening = repetitions(happening, origin)
        kind, queue_id, fields = describe(happening)
        yield {
            "at": datetime_of(moment).isoformat(),
            "host": _text(origin.host),
            "instance": _text(origin.instance),
            "service": _text(origin.service),
            "daemon": _text(origin.daemon),
            "pid": _text(origin.pid),
            "event": kind,
            "queue_id": queue_id,
            "fields": fields,
            **({"repeated": count} if count > 1 else {}),
        }


def describe(happening: Happening) -> tuple[str, str | None, dict[str, Any]]:
    """(event, queue id, fields) of what a line says."""
    fields: dict[str, Any]
    if isinstance(happening, Phrase):
        found = phrases.fields_of(happening.text) or {"text": happening.text}
        return happening.kind, _optional(happening.queue_id), {name: _text(value) for name, value in found.items()}
    if isinstance(happening, Policy):
        fields = {_text(name): _text(value) for name, value in happening.fields.items()}
        return "policy", _optional(happening.queue_id), fields
    if isinstance(happening, Foreign):
        return "foreign", None, {"text": _text(happening.text)}
    values = happening._asdict()
    queue_id = values.pop("queue_id", None)
    fields = {name: _value(value) for name, value in values.items() if value is not None}
    kind = "unknown" if isinstance(happening, Unknown) else type(happening).__name__.lower()
    return kind, _optional(queue_id), fields


def text_of_document(document: dict[str, Any]) -> str:
    """One line for people."""
    fields = " ".join(f"{name}={value}" for name, value in document["fields"].items())
    return f"{document['at']} {document['instance']} {document['event']} {document['queue_id'] or '-'} {fields}"


def _value(value: object) -> object:
    return _text(value) if isinstance(value, bytes) else value


def _optional(value: bytes | None) -> str | None:
    return None if value is None else _text(value)


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
