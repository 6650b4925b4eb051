"""Lines that become events, with the message that they speak of where one is known; they change no message. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smtpctl.maillog import others, phrases
from smtpctl.maillog.attempts import queued_as
from smtpctl.maillog.entries import Entries, Entry
from smtpctl.maillog.listener import Origin
from smtpctl.maillog.shapes import shape_of
from smtpctl.model.deliveries import Event, Rows, UnknownLine

#: Phrases that become events: these always, the others when they name a message.
_ALWAYS = frozenset(("sasl-failed", "daemon", "fatal", "panic", "password", "balancer"))
_REMEMBERED = _ALWAYS | {"reply", "conversation", "tls-error", "notification-failed", "cut", "opendkim", "rewritten"}
_MOST_PROXIED = 50_000


class Events:
    """The part of a ``Listener`` that notes events, in ``_rows``."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._rows = Rows()
        #: The client that a process of smtpd(8) passes on to a filter.
        self._proxied: dict[Origin, bytes] = {}
        #: Phrases that are more than an event with their text.
        self._tellers: dict[str, Callable[[int, Origin, bytes | None, bytes], None]] = {
            "transport": self._passed_on,
            "proxy-client": self._proxied_client,
            "proxy": self._proxied_message,
            "mailbox": self._stored,
            "balanced": self._balanced,
            "lines-lost": self._lines_lost,
        }

    def report(self, at: int, origin: Origin, kind: str, text: str) -> None:
        """An event that no line says: a gap in the log."""
        self._event(at, origin, kind, None, text=text.encode())

    def signed(self, at: int, origin: Origin, queue_id: bytes, selector: bytes, domain: bytes) -> None:
        entry = self._entries.anywhere(at, queue_id)
        self._event(at, origin, "signed", entry, queue_id=queue_id, selector=selector, domain=domain)

    def policy_decided(self, at: int, origin: Origin, queue_id: bytes | None, fields: Mapping[bytes, bytes]) -> None:
        entry = self._known(at, origin.instance, queue_id)
        detail = {name.decode(): value for name, value in fields.items()}
        sender, recipient = detail.pop("sender", None), detail.pop("recipient", None)
        detail["queue_id"] = queue_id or b""
        self._event(at, origin, "policy", entry, sender=sender, recipient=recipient, **detail)

    def incident(self, at: int, origin: Origin, fields: Mapping[bytes, bytes]) -> None:
        detail = {name.decode(): value for name, value in fields.items()}
        self._event(at, origin, "incident", None, sender=detail.pop("sender", None), **detail)

    def phrased(self, at: int, origin: Origin, kind: str, queue_id: bytes | None, text: bytes) -> None:
        teller = self._tellers.get(kind)
        if teller is not None:
            teller(at, origin, queue_id, text)
        elif kind in _REMEMBERED and (queue_id is not None or kind in _ALWAYS):
            self._event(at, origin, kind, self._known(at, origin.instance, queue_id), queue_id=queue_id, text=text)

    def _passed_on(self, at: int, origin: Origin, queue_id: bytes | None, text: bytes) -> None:
        """local(8) or virtual(8) left a recipient to another transport."""
        fields = phrases.fields_of(text)
        recipient = fields.pop("recipient", None)
        self._event(at, origin, "transport", self._known(at, origin.instance, queue_id), recipient=recipient, **fields)

    def _proxied_client(self, at: int, origin: Origin, queue_id: bytes | None, text: bytes) -> None:
        if len(self._proxied) > _MOST_PROXIED:
            self._proxied.clear()
        self._proxied[origin] = text.partition(b"client=")[2]

    def _proxied_message(self, at: int, origin: Origin, queue_id: bytes | None, text: bytes) -> None:
        """smtpd(8) in front of a filter (``smtpd_proxy_filter``): what the filter answered, about the message that
        came out behind it. Its client is the filter; the real one stands in this event."""
        fields = phrases.fields_of(text)
        sender, recipient = fields.pop("sender", None), fields.pop("recipient", None)
        behind = queued_as(fields.get("reply", b""))
        entry = self._known(at, origin.instance, behind)
        client = self._proxied.get(origin)
        self._event(
            at, origin, "proxy", entry, sender=sender, recipient=recipient, queue_id=behind, client=client, **fields
        )

    def _stored(self, at: int, origin: Origin, queue_id: bytes | None, text: bytes) -> None:
        """Dovecot put a message into a mailbox, or could not."""
        fields = others.fields_of("mailbox", text)
        user = fields.pop("user", b"")
        recipient = user if b"@" in user else None
        self._event(at, origin, "mailbox", None, recipient=recipient, user=None if recipient else user, **fields)

    def _balanced(self, at: int, origin: Origin, queue_id: bytes | None, text: bytes) -> None:
        """HAProxy's line on one connection; only what went wrong on the servers' side is worth a row."""
        fields = others.fields_of("balanced", text)
        ended = fields.get("more", b"").partition(b" ")[2]
        if fields.get("server") == b"<NOSRV>" or ended[:1] in (b"S", b"R", b"P", b"D", b"U"):
            self._event(at, origin, "balancer", None, text=text)

    def _lines_lost(self, at: int, origin: Origin, queue_id: bytes | None, text: bytes) -> None:
        """A logger threw lines away: they are missing here, and this is all that says so."""
        self._event(at, origin, "gap", None, text=text)

    def not_understood(self, at: int, origin: Origin, queue_id: bytes | None, text: bytes) -> None:
        sample = b"/".join(filter(None, (origin.instance, origin.daemon))) + b": " + text
        self._rows.unknown.append(UnknownLine(at, shape_of(sample), sample[:2048]))

    def foreign(self, at: int, origin: Origin, text: bytes) -> None:
        """Nothing of ours."""

    def _known(self, at: int, instance: bytes, queue_id: bytes | None) -> Entry | None:
        return None if queue_id is None else self._entries.named(at, instance, queue_id)

    def _event(
        self,
        at: int,
        origin: Origin,
        kind: str,
        entry: Entry | None,
        /,
        *,
        sender: bytes | None = None,
        recipient: bytes | None = None,
        **detail: bytes | None,
    ) -> None:
        # Names of details are a line's own: any, but for the two that are addresses.
        texts: dict[str, str | int] = {name: value.decode(errors="replace") for name, value in detail.items() if value}
        message = entry.id if entry is not None else None
        instance = entry.place.instance if entry is not None else origin.instance
        event = Event(self._entries.number(), at, instance, kind, message, sender, recipient, texts)
        self._rows.events.append(event)
