"""Writes down what lines say, as values: for people who look at a log, and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from smtpctl.maillog import others, phrases
from smtpctl.maillog.listener import Decision, Ending, Hop, Origin, Peer, Timing

Value = bytes | int | bool


class Said(NamedTuple):
    """One thing that a line says. ``fields`` are in the order of the line; what it does not have is not there."""

    at: int
    origin: Origin
    event: str
    queue_id: bytes | None
    fields: dict[str, Value]


class Recorder:
    """A ``Listener`` that keeps everything in ``said``."""

    wants_sessions = True

    def __init__(self) -> None:
        self.said: list[Said] = []

    def accepted(self, at: int, origin: Origin, queue_id: bytes, peer: Peer) -> None:
        named = {name.decode(): value for name, value in peer.more.items()}
        self._note(
            at,
            origin,
            "accepted",
            queue_id,
            client_name=peer.client.name,
            client_address=peer.client.address,
            client_port=peer.port or None,
            **named,
        )

    def hung_up(self, origin: Origin) -> bool:
        return True

    def disconnected(self, at: int, origin: Origin, text: bytes) -> None:
        self._note(at, origin, "disconnect", None, **phrases.fields_of(text))

    def picked_up(
        self, at: int, origin: Origin, queue_id: bytes, uid: bytes, sender: bytes, original_queue_id: bytes | None
    ) -> None:
        self._note(at, origin, "picked-up", queue_id, uid=uid, sender=sender, original_queue_id=original_queue_id)

    def identified(self, at: int, origin: Origin, queue_id: bytes, message_id: bytes, resent: bool) -> None:
        self._note(at, origin, "identified", queue_id, message_id=message_id, resent=resent or None)

    def activated(self, at: int, origin: Origin, queue_id: bytes, sender: bytes, size: int, recipients: int) -> None:
        self._note(at, origin, "active", queue_id, sender=sender, size=size, recipients=recipients)

    def attempted(
        self,
        at: int,
        origin: Origin,
        queue_id: bytes,
        recipient: bytes,
        original_recipient: bytes | None,
        hop: Hop,
        timing: Timing,
        ending: Ending,
    ) -> None:
        self._note(
            at,
            origin,
            "attempt",
            queue_id,
            recipient=recipient,
            original_recipient=original_recipient,
            relay=hop.text,
            connection_use=hop.use,
            delay=timing.delay,
            delays=timing.parts,
            tls=timing.tls,
            dsn=ending.dsn,
            status=ending.status,
            reply=ending.reply,
        )

    def expired(self, at: int, origin: Origin, queue_id: bytes, sender: bytes, status: bytes) -> None:
        self._note(at, origin, "expired", queue_id, sender=sender, status=status)

    def removed(self, at: int, origin: Origin, queue_id: bytes, how: bytes) -> None:
        self._note(at, origin, "removed", queue_id, how=how or None)

    def notified(self, at: int, origin: Origin, queue_id: bytes, kind: bytes, child: bytes) -> None:
        self._note(at, origin, "notified", queue_id, kind=kind, child=child)

    def changed(self, at: int, origin: Origin, queue_id: bytes, action: bytes) -> None:
        self._note(at, origin, "changed", queue_id, action=action)

    def decided(self, at: int, origin: Origin, decision: Decision) -> None:
        fields = decision._asdict()
        self._note(at, origin, "decision", fields.pop("queue_id"), **fields)

    def signed(self, at: int, origin: Origin, queue_id: bytes, selector: bytes, domain: bytes) -> None:
        self._note(at, origin, "signed", queue_id, selector=selector, domain=domain)

    def policy_decided(self, at: int, origin: Origin, queue_id: bytes | None, fields: Mapping[bytes, bytes]) -> None:
        self._note(at, origin, "policy", queue_id, **{name.decode(): value for name, value in fields.items()})

    def incident(self, at: int, origin: Origin, fields: Mapping[bytes, bytes]) -> None:
        self._note(at, origin, "incident", None, **{name.decode(): value for name, value in fields.items()})

    def phrased(self, at: int, origin: Origin, kind: str, queue_id: bytes | None, text: bytes) -> None:
        fields = others.fields_of(kind, text) or phrases.fields_of(text) or {"text": text}
        self._note(at, origin, kind, queue_id, **fields)

    def not_understood(self, at: int, origin: Origin, queue_id: bytes | None, text: bytes) -> None:
        self._note(at, origin, "unknown", queue_id, text=text)

    def foreign(self, at: int, origin: Origin, text: bytes) -> None:
        self._note(at, origin, "foreign", None, text=text)

    def _note(self, moment: int, who: Origin, what: str, which: bytes | None, /, **fields: Value | None) -> None:
        kept = {name: value for name, value in fields.items() if value is not None}
        self.said.append(Said(moment, who, what, which, kept))
