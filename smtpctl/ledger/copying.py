"""Rows in PostgreSQL's binary COPY format (the manual's page on COPY, "Binary Format").

Built by hand, because a row of the ledger is mostly text that is bytes already: a field is its length and its bytes.
Parts that stand in many rows (a place, a route, a relay, delays, an address) are encoded once and remembered.
"""

from __future__ import annotations

import ipaddress
import json
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from smtpctl.ledger.subjects import domain_of
from smtpctl.ledger.tokens import Hider
from smtpctl.model.deliveries import Client, Delays, Delivery, Event, Message, Outcome, Place, Relay, Route

NULL = b"\xff\xff\xff\xff"
HEADER = b"PGCOPY\n\xff\r\n\x00" + b"\0" * 8
TRAILER = b"\xff\xff"
NOTHING = HEADER + TRAILER

MESSAGE_COLUMNS = (
    "id, started_at, source, host, ended_at, instance, role, pool, stream, queue_id, origin, client_name, "
    "client_address, credential, message_id, sender, sender_domain, size, recipients, activations, first_active_at, "
    "parent, parent_kind, end_kind"
)
DELIVERY_COLUMNS = (
    "id, at, message, recipient, source, host, instance, role, pool, stream, original_recipient, transport, "
    "source_address, domain, provider, relay_name, relay_address, relay_port, connection_use, delay, delay_queue, "
    "delay_manager, delay_connect, delay_transfer, status, dsn, tls, hardness, category, reply_code, reply, queued_as"
)
EVENT_COLUMNS = "id, at, source, host, instance, kind, message, sender, recipient, detail"

_int2 = struct.Struct("!ih").pack
_int4 = struct.Struct("!ii").pack
_int8 = struct.Struct("!iq").pack
_length = struct.Struct("!i").pack
_delays = struct.Struct("!ififififif").pack
_row_head = struct.Struct("!hiqiq").pack
_delivery_head = struct.Struct("!hiqiqiqiq").pack
#: size, recipients, activations, first_active_at
_counts = struct.Struct("!iqiiiiiq").pack
_NO_DELAYS = NULL * 5
_MOST_REMEMBERED = 20_000
_AT = ord("@")


class _Remembered(dict[Any, bytes]):
    """What values are encoded as. Forgets everything when it has grown large."""

    def __init__(self, encode: Callable[[Any], bytes]) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, value: Any) -> bytes:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        encoded = self[value] = self._encode(value)
        return encoded


class RowEncoder:
    """Encodes rows of one source. ``base`` is added to a row's number to make its id; ``numbers`` are those of
    addresses. With a ``hider`` no address leaves here in a text."""

    def __init__(
        self, source: int, host: bytes, base: int, numbers: Mapping[bytes, int], hider: Hider | None = None
    ) -> None:
        self._base = base
        self._hider = hider
        self._constants = _int4(4, source) + text(host)
        self._numbers = numbers
        self._senders = _Remembered(self._sender)

    def use(self, numbers: Mapping[bytes, int]) -> None:
        """Take the numbers of addresses from here. Where one changes it is another mapping."""
        if numbers is not self._numbers:
            self._numbers = numbers
            self._senders.clear()

    def message(self, row: Message) -> bytes:
        """One row of ``messages``."""
        (number, started_at, ended_at, place, queue_id, origin, client, message_id, sender, size, recipients,
         activations, first_active_at, parent, parent_kind, end_kind) = row  # fmt: skip
        if self._hider is not None and message_id is not None:
            message_id = self._hider.message_id(message_id)
        if size is None or recipients is None or first_active_at is None:
            counts = long(size) + integer(recipients) + _int4(4, activations) + long(first_active_at)
        else:
            counts = _counts(8, size, 4, recipients, 4, activations, 8, first_active_at)
        return b"".join(
            (
                _row_head(24, 8, self._base + number, 8, started_at),
                self._constants,
                NULL if ended_at is None else _int8(8, ended_at),
                _PLACES[place],
                _length(len(queue_id)),
                queue_id,
                _WORDS[origin],
                _CLIENTS[client],
                NULL if message_id is None else _length(len(message_id)) + message_id,
                self._senders[sender],
                counts,
                NULL if parent is None else _int8(8, self._base + parent),
                _WORDS[parent_kind],
                _WORDS[end_kind],
            )
        )

    def delivery(self, row: Delivery) -> bytes:
        """One row of ``deliveries``."""
        (number, at, message, place, recipient, original, route, relay, connection_use, delays, outcome, reply_code,
         reply, queued_as) = row  # fmt: skip
        base = self._base
        if self._hider is not None and _AT in reply:
            reply = self._hider.text(reply)
        return b"".join(
            (
                _delivery_head(32, 8, base + number, 8, at, 8, base + message, 8, self._numbers[recipient]),
                self._constants,
                _PLACES[place],
                NULL if original is None else _int8(8, self._numbers[original]),
                _ROUTES[route],
                _RELAYS[relay],
                NULL if connection_use is None else _int4(4, connection_use),
                _NO_DELAYS if delays is None else _DELAYS[delays],
                _OUTCOMES[outcome],
                NULL if reply_code is None else _int2(2, reply_code),
                _length(len(reply)),
                reply,
                NULL if queued_as is None else _length(len(queued_as)) + queued_as,
            )
        )

    def event(self, row: Event) -> bytes:
        """One row of ``events``."""
        detail = b"\x01" + json.dumps(self._without_addresses(row.detail), ensure_ascii=False).encode()
        numbers = self._numbers
        return b"".join(
            (
                _row_head(10, 8, self._base + row.id, 8, row.at),
                self._constants,
                _WORDS[row.instance],
                _WORDS[row.kind.encode()],
                NULL if row.message is None else _int8(8, self._base + row.message),
                long(numbers[row.sender] if row.sender else None),
                long(numbers[row.recipient] if row.recipient else None),
                text(detail),
            )
        )

    def _without_addresses(self, detail: dict[str, str | int]) -> dict[str, str | int]:
        hider = self._hider
        if hider is None:
            return detail
        return {
            name: hider.text(value.encode()).decode() if isinstance(value, str) and "@" in value else value
            for name, value in detail.items()
        }

    def _sender(self, sender: bytes | None) -> bytes:
        """Number and domain; the null sender has an empty domain and no number, an unknown one has neither."""
        if sender is None:
            return NULL * 2
        return long(self._numbers[sender] if sender else None) + text(domain_of(sender))


def whole(rows: Iterable[bytes]) -> bytes:
    """What COPY takes for these rows; NOTHING for none."""
    return b"".join((HEADER, *rows, TRAILER))


def text(value: bytes | None) -> bytes:
    """A field of text."""
    return NULL if value is None else _length(len(value)) + value


def long(value: int | None) -> bytes:
    """A field of eight bytes: bigint or timestamptz."""
    return NULL if value is None else _int8(8, value)


def integer(value: int | None) -> bytes:
    """A field of four bytes."""
    return NULL if value is None else _int4(4, value)


def address(value: bytes | None) -> bytes:
    """A field of type inet; null for what is no address (``unknown``)."""
    parsed = parse_address(value)
    if parsed is None:
        return NULL
    packed = parsed.packed
    # Family (2 is IPv4, 3 is IPv6 in PostgreSQL's own numbering), bits, is_cidr, length.
    return text(bytes((2 if parsed.version == 4 else 3, parsed.max_prefixlen, 0, len(packed))) + packed)


def parse_address(value: bytes | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, without the interface that a link-local one may name: PostgreSQL knows none."""
    try:
        return None if value is None else ipaddress.ip_address(value.decode(errors="replace").partition("%")[0])
    except ValueError:
        return None


def _place(place: Place) -> bytes:
    return text(place.instance) + text(place.role) + text(place.pool) + text(place.stream)


def _client(client: Client) -> bytes:
    return text(client.name) + address(client.address) + text(client.credential)


def _route(route: Route) -> bytes:
    return text(route.transport) + address(route.source_address) + text(route.domain) + text(route.provider)


def _relay(relay: Relay) -> bytes:
    return text(relay.name) + address(relay.address) + integer(relay.port)


def _delays_of(delays: Delays) -> bytes:
    total, before_manager, in_manager, connecting, transferring = delays
    return _delays(4, total, 4, before_manager, 4, in_manager, 4, connecting, 4, transferring)


def _outcome(outcome: Outcome) -> bytes:
    verdict = outcome.verdict
    judged = NULL * 2 if verdict is None else text(verdict.hardness.encode()) + text(verdict.category.encode())
    return text(outcome.status) + text(outcome.dsn or None) + text(outcome.tls) + judged


_WORDS = _Remembered(text)
_PLACES = _Remembered(_place)
_CLIENTS = _Remembered(_client)
_ROUTES = _Remembered(_route)
_RELAYS = _Remembered(_relay)
_DELAYS = _Remembered(_delays_of)
_OUTCOMES = _Remembered(_outcome)
