"""What failing replies mean, by the same judgement that bounces by mail get."""

from __future__ import annotations

from functools import lru_cache

from smtpctl.feedback import rules
from smtpctl.feedback.verdict import judge
from smtpctl.model.deliveries import Hardness, Verdict


@lru_cache(maxsize=4096)
def classify(dsn: bytes, reply: bytes, provider: bytes | None) -> Verdict:
    """The verdict on an attempt that failed, from Postfix's enhanced status code, the reason that it logged, and whose
    server it went to, if that is known."""
    name = _known(provider)
    verdict = judge(dsn.decode(errors="replace"), reply.decode(errors="replace"), name)
    return Verdict(Hardness(verdict.hardness), str(verdict.category))


@lru_cache(maxsize=1024)
def _known(provider: bytes | None) -> str:
    """The name of a provider that has rules; of others nothing is known, and their servers are told by their words."""
    name = "" if provider is None else provider.decode(errors="replace")
    return name if any(name in known.names for known in rules.providers()) else ""
