"""The policy-delegation protocol of Postfix (SMTPD_POLICY_README): requests out of a stream of bytes. Pure.

A request is a list of ``name=value`` lines and an empty line. The order of attributes is not fixed, unknown ones are
ignored, a missing one is the same as an empty one, and of duplicates the first counts. Postfix itself always writes
them in one order, so its requests are read by one match; whatever looks otherwise is searched for each attribute. A
dictionary of all of them would cost more than the decision.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias, cast

#: A request of Postfix has under 4 KiB; a sender and a recipient of 64 KiB each are beyond any protocol limit.
LARGEST_REQUEST = 65536

#: The only value of ``request`` that Postfix has.
POLICY_REQUEST = b"smtpd_access_policy"


class ProtocolError(Exception):
    """A peer sent more than a request may have without ending it."""


#: What nearly every request is looked at for.
_READ = (
    b"protocol_state", b"client_address", b"sender", b"recipient", b"recipient_count", b"instance", b"size",
    b"sasl_username",
)  # fmt: skip

#: The attributes up to the last one of those, in the order in which Postfix 3.2 and later write them.
_ORDER = (
    b"protocol_state", b"protocol_name", b"client_address", b"client_name", b"client_port", b"reverse_client_name",
    b"server_address", b"server_port", b"helo_name", b"sender", b"recipient", b"recipient_count", b"queue_id",
    b"instance", b"size", b"etrn_domain", b"stress", b"sasl_method", b"sasl_username",
)  # fmt: skip

#: The members of a ``Request``, which most are answered by without making one.
Values: TypeAlias = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes]

#: Its groups are the members of ``Request``.
_USUAL = re.compile(
    b"(request=%b\n" % POLICY_REQUEST
    + b"".join(name + (b"=([^\n]*+)\n" if name in _READ else b"=[^\n]*+\n") for name in _ORDER)
    + rb"(?:[^\n]++\n)*+\n)"
).fullmatch


class Request(NamedTuple):
    """One request: values are bytes as they came, whatever the client said; empty where there are none.

    ``state`` is empty, too, where this does not ask what Postfix asks.
    """

    attributes: bytes
    state: bytes
    client: bytes
    sender: bytes
    recipient: bytes
    recipients: bytes
    instance: bytes
    size: bytes
    user: bytes

    @classmethod
    def of(cls, attributes: bytes) -> Request:
        """The request of these attributes, in whatever order."""
        block = _framed(attributes)
        state, *others = (_value(block, name) for name in _READ)
        return cls(attributes, state if _value(block, b"request") == POLICY_REQUEST else b"", *others)

    @property
    def known(self) -> bool:
        """Whether this asks what Postfix asks."""
        return self.get(b"request") == POLICY_REQUEST

    def get(self, name: bytes) -> bytes:
        """The value of attribute ``name``, empty when it is missing."""
        return _value(_framed(self.attributes), name)

    def text(self, name: bytes) -> str:
        """The value as text; bytes that are no UTF-8 stay distinguishable."""
        return self.get(name).decode("utf-8", "surrogateescape")


def _framed(attributes: bytes) -> bytes:
    """Attributes with a line feed before and after, so that each stands between two."""
    return b"\n%b\n" % attributes


def _value(block: bytes, name: bytes) -> bytes:
    start = block.find(b"\n%b=" % name)
    if start < 0:
        return b""
    start += len(name) + 2
    return block[start : block.index(10, start)]


def number(value: bytes) -> int:
    """A value as a number, 0 when it is none."""
    return int(value) if value.isdigit() and len(value) < 16 else 0


def usual(data: bytes) -> Values | None:
    """The request that ``data`` is, the whole of it and nothing else, where it is written as Postfix writes it."""
    match = _USUAL(data) if len(data) <= LARGEST_REQUEST else None
    # Nine groups, each of which takes part in every match.
    return cast(Values, match.groups()) if match else None


class RequestParser:
    """Cuts a stream into requests. Raises ``ProtocolError`` when one grows past ``LARGEST_REQUEST``."""

    __slots__ = ("pending",)

    def __init__(self) -> None:
        #: The beginning of a request that has not ended.
        self.pending = b""

    def feed(self, data: bytes) -> list[Request]:
        """The requests that ``data`` completes, in order."""
        scanned = len(self.pending)
        if scanned:
            data = self.pending + data
        requests = []
        start = 0
        # An end that began in the last byte of the buffer is found, and nothing is scanned twice.
        end = data.find(b"\n\n", max(scanned - 1, 0))
        while end >= 0 or data.startswith(b"\n", start):
            if data.startswith(b"\n", start):
                # An empty line with no attribute before it.
                requests.append(Request.of(b""))
                start += 1
            else:
                if end - start > LARGEST_REQUEST:
                    # However it was cut on its way, what is too much is refused.
                    break
                requests.append(Request.of(data[start:end]))
                start = end + 2
            end = data.find(b"\n\n", start)
        self.pending = data[start:]
        if len(self.pending) > LARGEST_REQUEST:
            self.pending = b""
            raise ProtocolError(f"a request passed {LARGEST_REQUEST} bytes without an empty line")
        return requests


def reply(action: str) -> bytes:
    """The reply that carries ``action``: one line, whatever is in it."""
    line = "".join(character if character.isprintable() else "?" for character in action)
    return b"action=" + line.encode("ascii", "replace") + b"\n\n"
