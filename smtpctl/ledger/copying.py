"""Rows in PostgreSQL's binary COPY format (the manual's page on COPY, "Binary Format").

Built by hand, because a row of the ledger is mostly text that is bytes already: a field is its length and its bytes.
"""

from __future__ import annotations

import ipaddress
import json
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache

from smtpctl.model.deliveries import Delivery, Event, Message

NULL = b"\xff\xff\xff\xff"
HEADER = b"PGCOPY\n\xff\r\n\x00" + b"\0" * 8
TRAILER = b"\xff\xff"

_int2 = struct.Struct("!ih").pack
_int4 = struct.Struct("!ii").pack
_int8 = struct.Struct("!iq").pack
_real = struct.Struct("!if").pack
_reals = struct.Struct("!ifififif").pack
_NO_REALS = NULL * 4

MESSAGE_COLUMNS = (
    "id, started_at, ended_at, source, host, instance, queue_id, origin, role, pool, stream, credential, client_name, "
    "client_address, message_id, sender, sender_domain, size, recipients, activations, first_active_at, parent, "
    "parent_kind, end_kind"
)
DELIVERY_COLUMNS = (
    "id, at, message, source, host, instance, role, pool, stream, recipient, original_recipient, domain, provider, "
    "transport, source_address, relay_name, relay_address, relay_port, connection_use, delay, delay_queue, "
    "delay_manager, delay_connect, delay_transfer, tls, status, dsn, reply_code, reply, queued_as, hardness, category"
)
EVENT_COLUMNS = "id, at, source, host, instance, kind, message, sender, recipient, detail"
_MESSAGE_HEAD = struct.Struct("!hiqiq")
_DELIVERY_HEAD = struct.Struct("!hiqiqiq")

Number = Callable[[bytes], int]


def message_row(message: Message, base: int, constants: bytes, number_of: Mapping[bytes, int]) -> bytes:
    """One row of ``messages``. ``base`` is added to the row's number, ``constants`` are the encoded source and host."""
    sender = message.sender
    return b"".join(
        (
            _MESSAGE_HEAD.pack(24, 8, base + message.id, 8, message.started_at),
            long(message.ended_at),
            constants,
            text(message.instance),
            text(message.queue_id),
            text(message.origin),
            text(message.role),
            text(message.pool),
            text(message.stream),
            text(message.credential),
            text(message.client_name),
            address(message.client_address),
            text(message.message_id),
            long(number_of[sender] if sender else None),
            NULL if sender is None else text(domain_of(sender)),
            long(message.size),
            integer(message.recipients),
            _int4(4, message.activations),
            long(message.first_active_at),
            NULL if message.parent is None else _int8(8, base + message.parent),
            text(message.parent_kind),
            text(message.end_kind),
        )
    )


def delivery_row(delivery: Delivery, base: int, constants: bytes, number_of: Mapping[bytes, int]) -> bytes:
    """One row of ``deliveries``."""
    original = delivery.original_recipient
    verdict = delivery.verdict
    return b"".join(
        (
            _DELIVERY_HEAD.pack(32, 8, base + delivery.id, 8, delivery.at, 8, base + delivery.message),
            constants,
            text(delivery.instance),
            text(delivery.role),
            text(delivery.pool),
            text(delivery.stream),
            _int8(8, number_of[delivery.recipient]),
            NULL if original is None else _int8(8, number_of[original]),
            text(delivery.domain),
            text(delivery.provider),
            text(delivery.transport),
            address(delivery.source_address),
            text(delivery.relay_name),
            address(delivery.relay_address),
            integer(delivery.relay_port),
            integer(delivery.connection_use),
            NULL if delivery.delay is None else _real(4, delivery.delay),
            _delays(delivery.delays),
            text(delivery.tls),
            text(delivery.status),
            text(delivery.dsn),
            NULL if delivery.reply_code is None else _int2(2, delivery.reply_code),
            text(delivery.reply),
            text(delivery.queued_as),
            _word(verdict.hardness if verdict else None),
            _word(verdict.category if verdict else None),
        )
    )


def event_row(event: Event, base: int, constants: bytes, number_of: Mapping[bytes, int]) -> bytes:
    """One row of ``events``."""
    detail = b"\x01" + json.dumps(event.detail, ensure_ascii=False).encode()
    return b"".join(
        (
            _MESSAGE_HEAD.pack(10, 8, base + event.id, 8, event.at),
            constants,
            text(event.instance),
            _word(event.kind),
            NULL if event.message is None else _int8(8, base + event.message),
            long(number_of[event.sender] if event.sender else None),
            long(number_of[event.recipient] if event.recipient else None),
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
    return NULL if value is None else len(value).to_bytes(4, "big") + value


def long(value: int | None) -> bytes:
    """A field of eight bytes: bigint or timestamptz."""
    return NULL if value is None else _int8(8, value)


def integer(value: int | None) -> bytes:
    """A field of four bytes."""
    return NULL if value is None else _int4(4, value)


@lru_cache(maxsize=10_000)
def address(value: bytes | None) -> bytes:
    """A field of type inet; null for what is no address (``unknown``)."""
    if value is None:
        return NULL
    try:
        parsed = ipaddress.ip_address(value.decode().removeprefix("IPv6:"))
    except ValueError:
        return NULL
    packed = parsed.packed
    # Family (2 is IPv4, 3 is IPv6 in PostgreSQL's own numbering), bits, is_cidr, length.
    return text(bytes((2 if parsed.version == 4 else 3, parsed.max_prefixlen, 0, len(packed))) + packed)


@lru_cache(maxsize=1000)
def _word(value: str | None) -> bytes:
    return NULL if value is None else text(value.encode())


def _delays(delays: tuple[float, float, float, float] | None) -> bytes:
    if delays is None:
        return _NO_REALS
    before, manager, connecting, transferring = delays
    return _reals(4, before, 4, manager, 4, connecting, 4, transferring)
