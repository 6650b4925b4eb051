"""Rows in PostgreSQL's binary COPY format (the manual's page on COPY, "Binary Format").

Built by hand, because a row of the ledger is mostly text that is bytes already: a field is its length and its bytes.
Parts that stand in many rows (a place, a route, a relay, delays) are encoded once and remembered.
"""

from __future__ import annotations

import ipaddress
import json
import struct
from collections.abc import Mapping
from functools import lru_cache

from smtpctl.model.deliveries import Client, Delays, Delivery, Event, Message, Outcome, Place, Relay, Route

NULL = b"\xff\xff\xff\xff"
HEADER = b"PGCOPY\n\xff\r\n\x00" + b"\0" * 8
TRAILER = b"\xff\xff"

_int2 = struct.Struct("!ih").pack
_int4 = struct.Struct("!ii").pack
_int8 = struct.Struct("!iq").pack
_length = struct.Struct("!i").pack
_delays = struct.Struct("!ififififif").pack

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
_message_head = struct.Struct("!hiqiq").pack
_delivery_head = struct.Struct("!hiqiqiqiq").pack

Numbers = Mapping[bytes, int]


def message_row(message: Message, base: int, constants: bytes, numbers: Numbers) -> bytes:
    """One row of ``messages``. ``base`` is added to the row's number, ``constants`` are the encoded source and host,
    ``numbers`` are those of addresses."""
    (number, started_at, ended_at, place, queue_id, origin, client, message_id, sender, size, recipients, activations,
     first_active_at, parent, parent_kind, end_kind) = message  # fmt: skip
    return b"".join(
        (
            _message_head(24, 8, base + number, 8, started_at),
            constants,
            long(ended_at),
            _place(place),
            text(queue_id),
            word(origin),
            _client(client),
            text(message_id),
            _int8(8, numbers[sender]) if sender else NULL,
            NULL if sender is None else text(domain_of(sender)),
            long(size),
            integer(recipients),
            _int4(4, activations),
            long(first_active_at),
            NULL if parent is None else _int8(8, base + parent),
            word(parent_kind),
            word(end_kind),
        )
    )


def delivery_row(delivery: Delivery, base: int, constants: bytes, numbers: Numbers) -> bytes:
    """One row of ``deliveries``."""
    (number, at, message, place, recipient, original, route, relay, connection_use, delays, outcome, reply_code, reply,
     queued_as) = delivery  # fmt: skip
    return b"".join(
        (
            _delivery_head(32, 8, base + number, 8, at, 8, base + message, 8, numbers[recipient]),
            constants,
            _place(place),
            NULL if original is None else _int8(8, numbers[original]),
            _route(route),
            _relay(relay),
            NULL if connection_use is None else _int4(4, connection_use),
            _NO_DELAYS if delays is None else _delays_of(delays),
            _outcome(outcome),
            NULL if reply_code is None else _int2(2, reply_code),
            _length(len(reply)),
            reply,
            NULL if queued_as is None else _length(len(queued_as)) + queued_as,
        )
    )


def event_row(event: Event, base: int, constants: bytes, numbers: Numbers) -> bytes:
    """One row of ``events``."""
    detail = b"\x01" + json.dumps(event.detail, ensure_ascii=False).encode()
    return b"".join(
        (
            _message_head(10, 8, base + event.id, 8, event.at),
            constants,
            word(event.instance),
            word(event.kind.encode()),
            NULL if event.message is None else _int8(8, base + event.message),
            long(numbers[event.sender] if event.sender else None),
            long(numbers[event.recipient] if event.recipient else None),
            text(detail),
        )
    )


def constants_of(source: int, host: bytes) -> bytes:
    """The two fields that all rows of one source share."""
    return _int4(4, source) + text(host)


def domain_of(mailbox: bytes) -> bytes:
    """The domain of an address, in lower case; empty when it has none."""
    return mailbox.rpartition(b"@")[2].lower() if b"@" in mailbox else b""


def text(value: bytes | None) -> bytes:
    """A field of text."""
    return NULL if value is None else _length(len(value)) + value


@lru_cache(maxsize=4096)
def word(value: bytes | None) -> bytes:
    """A field of text that stands in many rows."""
    return text(value)


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


@lru_cache(maxsize=4096)
def _place(place: Place) -> bytes:
    return text(place.instance) + text(place.role) + text(place.pool) + text(place.stream)


@lru_cache(maxsize=4096)
def _client(client: Client) -> bytes:
    return text(client.name) + address(client.address) + text(client.credential)


@lru_cache(maxsize=16_384)
def _route(route: Route) -> bytes:
    return text(route.transport) + address(route.source_address) + text(route.domain) + text(route.provider)


@lru_cache(maxsize=16_384)
def _relay(relay: Relay) -> bytes:
    return text(relay.name) + address(relay.address) + integer(relay.port)


@lru_cache(maxsize=16_384)
def _delays_of(delays: Delays) -> bytes:
    total, before_manager, in_manager, connecting, transferring = delays
    return _delays(4, total, 4, before_manager, 4, in_manager, 4, connecting, 4, transferring)


@lru_cache(maxsize=4096)
def _outcome(outcome: Outcome) -> bytes:
    verdict = outcome.verdict
    judged = NULL * 2 if verdict is None else text(verdict.hardness.encode()) + text(verdict.category.encode())
    return text(outcome.status) + text(outcome.dsn or None) + text(outcome.tls) + judged


_NO_DELAYS = NULL * 5
