"""What the parser makes of each line of a log, as plain values. Makes documents; prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.recorder import Recorder, Said
from smtpctl.model.deliveries import datetime_of, moment_of


def documents_of(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """For each line its event, queue id, instance and every field; event ``unknown`` when it is not understood."""
    zone = datetime.now().astimezone().tzinfo or UTC
    recorder = Recorder()
    reader = LogReader(recorder, moment_of(datetime.now(UTC)), zone)
    for line in lines:
        reader.read(line.rstrip(b"\r\n") + b"\n")
        yield from (_document(said) for said in recorder.said)
        recorder.said.clear()


def text_of_document(document: dict[str, Any]) -> str:
    """One line for people."""
    fields = " ".join(f"{name}={value}" for name, value in document["fields"].items())
    return f"{document['at']} {document['instance']} {document['event']} {document['queue_id'] or '-'} {fields}"


def _document(said: Said) -> dict[str, Any]:
    origin = said.origin
    return {
        "at": datetime_of(said.at).isoformat(),
        "host": _text(origin.host),
        "instance": _text(origin.instance),
        "service": _text(origin.service),
        "daemon": _text(origin.daemon),
        "pid": _text(origin.pid),
        "event": said.event,
        "queue_id": None if said.queue_id is None else _text(said.queue_id),
        "fields": {name: _text(value) if isinstance(value, bytes) else value for name, value in said.fields.items()},
    }


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
