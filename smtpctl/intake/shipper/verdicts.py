"""What failing replies mean, by the same judgement that bounces by mail get."""

from __future__ import annotations

from functools import lru_cache

from smtpctl.feedback.categories import Category
from smtpctl.feedback.verdict import judge
from smtpctl.model.deliveries import Hardness, Verdict


@lru_cache(maxsize=4096)
def classify(dsn: bytes, reply: bytes) -> Verdict:
    """The verdict on an attempt that failed, from Postfix's enhanced status code and the reason it logged."""
    verdict = judge(dsn.decode(errors="replace"), reply.decode(errors="replace"))
    if verdict.hard:
        return Verdict(Hardness.HARD, str(verdict.category))
    if verdict.category is Category.OTHER:
        return Verdict(Hardness.UNDETERMINED, str(verdict.category))
    return Verdict(Hardness.SOFT, str(verdict.category))
