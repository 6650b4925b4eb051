"""What the parser makes of each line of a log, as plain values. Makes documents; prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from smtpctl.maillog.attempts import queued_as, read_delays, read_relay, reply_code
from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.recorder import Recorder, Said
from smtpctl.model.deliveries import datetime_of, moment_of


def documents_of(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """For each line its event, queue id, instance and every field; event ``unknown`` when it is not understood."""
    zone = datetime.now().astimezone().tzinfo or UTC
    recorder = Recorder()
    reader = LogReader(recorder, moment_of(datetime.now(UTC)), zone)
    for number, line in enumerate(lines, start=1):
        reader.read(line.rstrip(b"\r\n") + b"\n")
        yield from ({"line": number, **_document(said)} for said in recorder.said)
        recorder.said.clear()


def text_of_document(document: dict[str, Any]) -> str:
    """One line for people."""
    fields = " ".join(f"{name}={value}" for name, value in document["fields"].items())
    return f"{document['at']} {document['instance']} {document['event']} {document['queue_id'] or '-'} {fields}"


def _document(said: Said) -> dict[str, Any]:
    origin = said.origin
    fields = {name: _text(value) if isinstance(value, bytes) else value for name, value in said.fields.items()}
    return {
        "at": datetime_of(said.at).isoformat(),
        "host": _text(origin.host),
        "instance": _text(origin.instance),
        "service": _text(origin.service),
        "daemon": _text(origin.daemon),
        "pid": _text(origin.pid),
        "event": said.event,
        "queue_id": None if said.queue_id is None else _text(said.queue_id),
        "fields": fields | _parts(said),
    }


def _parts(said: Said) -> dict[str, Any]:
    """What is inside some fields: next hop, delays and reply of an attempt; the client of a decision."""
    fields = {name: value for name, value in said.fields.items() if isinstance(value, bytes)}
    found: dict[str, Any] = {}
    if said.event == "attempt":
        relay = read_relay(fields["relay"])
        delays = read_delays(fields["delay"], fields["delays"])
        found |= {"relay_name": relay.name, "relay_address": relay.address, "relay_port": relay.port}
        if delays is not None:
            names = ("delay_queue", "delay_manager", "delay_connect", "delay_transfer")
            found |= dict(zip(names, delays[1:], strict=True))
    elif b"[" in fields.get("client", b""):
        relay = read_relay(fields["client"])
        found |= {"client_name": relay.name, "client_address": relay.address, "client_port": relay.port}
    reply = fields.get("reply")
    if reply:
        found |= {"reply_code": reply_code(reply), "queued_as": queued_as(reply)}
    return {
        name: _text(value) if isinstance(value, bytes) else value for name, value in found.items() if value is not None
    }


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
