"""Tokens that stand for addresses in texts: replies, Message-IDs, bounce senders, samples of lines. Pure.

``{1:0f5ac9…@gmail.com}`` stands for an address at gmail.com: the number of the hash's key, the keyed hash, the domain
in clear. The same address has the same token everywhere, so texts compare and group as before; who has reading keys
finds the subject by the hash. An address that is packed into a local part (VERP ``bounce+ada=gmail.com@…``, SRS, BATV)
becomes ``{1:0f5ac9…=gmail.com}`` there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Bytes of a hash. Half of 96 bits still tells ten billion addresses apart.
LOOKUP = 12
_TOKEN = re.compile(r"\{(\d+):([0-9a-f]{24})([@=])([^{}\s]*)\}")
#: A local part: quoted (RFC 5321 §4.1.2), or of what is not punctuation around addresses in replies.
_ADDRESS = re.compile(
    rb"""("(?:[^"\\\r\n]|\\.){1,256}"|[^\s<>()\[\]{}",:;@'`|\\]{1,256})@([^\s<>()\[\]{}",:;@'`|\\/=]+)"""
)
#: local=domain at the end of a local part, after what a list manager put before it.
_PACKED = re.compile(rb"^(.*?[+-]|)([^+=\s]+)=((?:[A-Za-z0-9_\x80-\xff-]+\.)+[A-Za-z0-9\x80-\xff-]+)$")
#: Sender Rewriting Scheme: SRS0=hash=time=domain=local; BATV (prvs=tag=local).
_REWRITTEN = re.compile(rb"^(SRS[01][=+-].*?=)((?:[A-Za-z0-9_-]+\.)+[A-Za-z0-9-]+)=(.+)$", re.IGNORECASE | re.DOTALL)
_TAGGED = re.compile(rb"^(prvs=[0-9A-Za-z]+=)(.+)$", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class LookupKey:
    """A key of the keyed hash. Addresses are found by it; without it a hash says nothing."""

    number: int
    secret: bytes

    def hash(self, address: bytes) -> bytes:
        """The hash of an address, which is in lower case already."""
        return hashlib.blake2b(address, key=self.secret, digest_size=LOOKUP).digest()


class Hider:
    """Puts tokens in place of addresses."""

    def __init__(self, key: LookupKey, providers: Iterable[bytes] = ()) -> None:
        """``providers``: domains of mailboxes, which no Message-ID is made under."""
        self._key = key
        self._providers = frozenset(providers)

    def text(self, text: bytes) -> bytes:
        """``text`` without addresses."""
        return _ADDRESS.sub(self._found, text) if b"@" in text else text

    def address(self, address: bytes) -> bytes:
        """An address without the one that is packed into it."""
        local, at, domain = address.rpartition(b"@")
        return self._unpacked(local) + at + domain if b"=" in local else address

    def message_id(self, identity: bytes) -> bytes:
        """A Message-ID without addresses. It looks like one itself, and is none unless its domain has mailboxes."""
        local, _, domain = identity.rpartition(b"@")
        if domain.lower() in self._providers:
            return self._token(local, domain)
        if b"@" in local:
            return self.text(local) + b"@" + domain
        return self.address(identity)

    def _found(self, match: re.Match[bytes]) -> bytes:
        local, domain = match.groups()
        kept = domain.rstrip(b".")
        return self._token(local, kept) + domain[len(kept) :]

    def _token(self, local: bytes, domain: bytes, sign: bytes = b"@") -> bytes:
        lowered = domain.decode(errors="replace").lower().encode()
        hashed = self._key.hash(canonical(local + b"@" + domain)).hex()
        return b"{%d:%s%s%s}" % (self._key.number, hashed.encode(), sign, lowered)

    def _unpacked(self, local: bytes) -> bytes:
        if rewritten := _REWRITTEN.match(local):
            head, domain, inner = rewritten.groups()
            return head + self._token(inner, domain, b"=")
        if tagged := _TAGGED.match(local):
            head, inner = tagged.groups()
            return head + self._unpacked(inner)
        if packed := _PACKED.match(local):
            head, inner, domain = packed.groups()
            return head + self._token(inner, domain, b"=")
        return local


def canonical(address: bytes) -> bytes:
    """The form that is hashed and sealed: lower case, valid UTF-8."""
    return address.decode(errors="replace").lower().encode()


def token_of(number: int, lookup: bytes, domain: str) -> str:
    """The token of a subject."""
    return f"{{{number}:{lookup.hex()}@{domain}}}"


def hashes_in(text: str) -> list[bytes]:
    """Hashes of all tokens in a text."""
    return [bytes.fromhex(hashed) for _, hashed, _, _ in _TOKEN.findall(text)]


def revealed(text: str, addresses: dict[bytes, str]) -> str:
    """``text`` with the tokens of known addresses replaced by them."""

    def known(match: re.Match[str]) -> str:
        address = addresses.get(bytes.fromhex(match[2]))
        if address is None:
            return match[0]
        whole = revealed(address, addresses)  # a bounce address holds another's token
        return whole if match[3] == "@" else "=".join(whole.rsplit("@", 1))

    return _TOKEN.sub(known, text) if "{" in text else text


def lookups(keys: Sequence[LookupKey], address: str) -> list[bytes]:
    """The hashes that an address may stand under: one a key."""
    return [key.hash(canonical(address.encode())) for key in keys]
