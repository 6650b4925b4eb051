"""What a failing reply means: hard, soft or undetermined, and why (the category).

The rules are data (``rules.yml``), tried in order: a provider's own words first, then enhanced status codes (RFC 3463),
then the reply code. A rule says why it is there.
"""

from __future__ import annotations

import functools
import pkgutil
import re
from typing import Any, NamedTuple

import yaml

from smtpctl.model.deliveries import Hardness, Verdict

_ENHANCED = re.compile(rb"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_UNDETERMINED = Verdict(Hardness.UNDETERMINED, "other")


class _Rule(NamedTuple):
    text: re.Pattern[bytes] | None
    status: re.Pattern[bytes] | None
    verdict: Verdict
    hardness_by_class: bool


@functools.lru_cache(maxsize=4096)
def classify(status: bytes, dsn: bytes, reply: bytes) -> Verdict:
    """The verdict on an attempt that was not ``sent``; ``dsn`` is Postfix's enhanced code, ``reply`` the reason."""
    if not reply and not dsn:
        return _UNDETERMINED
    inner = _ENHANCED.search(reply)
    code = inner[1] if inner else dsn
    by_class = _hardness_by_class(status, dsn, code)
    for rule in _rules():
        if rule.text is not None and not rule.text.search(reply):
            continue
        if rule.status is not None and not (rule.status.fullmatch(code) or rule.status.fullmatch(dsn)):
            continue
        return Verdict(by_class, rule.verdict.category) if rule.hardness_by_class else rule.verdict
    return Verdict(by_class, "other")


def _hardness_by_class(status: bytes, dsn: bytes, code: bytes) -> Hardness:
    """5.x.x is permanent and 4.x.x is not; Postfix's own verdict counts where the two disagree about trying again."""
    if status in (b"bounced", b"undeliverable", b"SOFTBOUNCE"):
        return Hardness.HARD if code[:1] == b"5" else Hardness.SOFT
    if status in (b"deferred", b"expired"):
        return Hardness.SOFT
    return Hardness.HARD if dsn[:1] == b"5" else Hardness.SOFT if dsn[:1] == b"4" else Hardness.UNDETERMINED


@functools.cache
def _rules() -> tuple[_Rule, ...]:
    source = pkgutil.get_data(__package__, "rules.yml")
    if source is None:
        raise FileNotFoundError(f"rules.yml is not beside {__name__}")
    return tuple(_compile(entry) for entry in yaml.safe_load(source)["rules"])


def _compile(entry: dict[str, Any]) -> _Rule:
    hardness = entry.get("hardness")
    return _Rule(
        re.compile(entry["text"].encode(), re.IGNORECASE | re.VERBOSE) if "text" in entry else None,
        re.compile(entry["status"].encode()) if "status" in entry else None,
        Verdict(Hardness(hardness) if hardness else Hardness.UNDETERMINED, entry["category"]),
        hardness is None,
    )
