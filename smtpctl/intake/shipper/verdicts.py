"""What failing replies mean, by the same judgement that bounces by mail get."""

from __future__ import annotations

import re
from functools import lru_cache

from smtpctl.feedback import rules
from smtpctl.feedback.verdict import MAX_WORDS, judge
from smtpctl.model.deliveries import Hardness, Verdict

#: Bytes of a reply that are looked at; a character has four at most.
_MOST = 4 * MAX_WORDS
#: What differs in replies that mean the same: addresses, and ids of messages and sessions. Providers' own codes are
#: shorter, or hold an underscore.
_PARTICULARS = re.compile(rb"<[^<>@]*@[^<>]*>|\b(?=[A-Za-z]*\d)[0-9A-Za-z]{11,}\b")


def classify(dsn: bytes, reply: bytes, provider: bytes | None) -> Verdict:
    """The verdict on an attempt that failed, from Postfix's enhanced status code, the reason that it logged, and whose
    server it went to, if that is known. Judging takes long, so replies that differ in particulars are judged once."""
    return _judged(dsn, _PARTICULARS.sub(b"<x@x>", reply[:_MOST]), provider)


@lru_cache(maxsize=4096)
def _judged(dsn: bytes, reply: bytes, provider: bytes | None) -> Verdict:
    verdict = judge(dsn.decode(errors="replace"), reply.decode(errors="replace"), _known(provider))
    return Verdict(Hardness(verdict.hardness), str(verdict.category))


@lru_cache(maxsize=1024)
def _known(provider: bytes | None) -> str:
    """The name of a provider that has rules; of others nothing is known, and their servers are told by their words."""
    name = "" if provider is None else provider.decode(errors="replace")
    return name if any(name in known.names for known in rules.providers()) else ""
