"""What failing replies mean, by the same judgement that bounces by mail get."""

from __future__ import annotations

import re
from functools import lru_cache

from smtpctl.feedback import rules
from smtpctl.feedback.verdict import MAX_WORDS, judge
from smtpctl.model.deliveries import Hardness, Verdict

#: Bytes of a reply that are looked at; a character has four at most.
_MOST = 4 * MAX_WORDS
_AT = ord("@")
_ADDRESS = re.compile(rb"<[^<>@]*@[^<>]*>")
#: What may be the id of a message or session. Providers' own codes are shorter, or hold an underscore.
_MAYBE_ID = re.compile(rb"(?<![0-9A-Za-z_])[0-9A-Za-z]{11,}(?![0-9A-Za-z_])")


def classify(dsn: bytes, reply: bytes, provider: bytes | None) -> Verdict:
    """The verdict on an attempt that failed, from Postfix's enhanced status code, the reason that it logged, and whose
    server it went to, if that is known. Judging takes long, so replies that differ only in addresses and ids are judged
    once."""
    said = reply[:_MOST]
    return _verdict(dsn, _ADDRESS.sub(b"<x@x>", said) if _AT in said else said, provider)


@lru_cache(maxsize=4096)
def _verdict(dsn: bytes, reply: bytes, provider: bytes | None) -> Verdict:
    return _judged(dsn, _MAYBE_ID.sub(_without_id, reply), provider)


def _without_id(match: re.Match[bytes]) -> bytes:
    """A long word is an id when it holds a digit."""
    return match[0] if match[0].isalpha() else b"<x@x>"


@lru_cache(maxsize=4096)
def _judged(dsn: bytes, reply: bytes, provider: bytes | None) -> Verdict:
    verdict = judge(dsn.decode(errors="replace"), reply.decode(errors="replace"), _known(provider))
    return Verdict(Hardness(verdict.hardness), str(verdict.category))


@lru_cache(maxsize=1024)
def _known(provider: bytes | None) -> str:
    """The name of a provider that has rules; of others nothing is known, and their servers are told by their words."""
    name = "" if provider is None else provider.decode(errors="replace")
    return name if any(name in known.names for known in rules.providers()) else ""
