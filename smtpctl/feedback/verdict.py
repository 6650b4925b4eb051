"""What a failure means: a category, and whether the address itself is bad (hard) or something else is (soft).

Only a hard verdict may ever stop mail to an address, so the question is not "4xx or 5xx": most block lists answer 5xx
about *us*. Words are asked first, because servers choose them more carefully than codes (5.7.1, 5.0.0 and 5.4.1 are
used for everything); then the enhanced status code (RFC 3463), then the reply code (RFC 5321 §4.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smtpctl.feedback.categories import HARD, Category
from smtpctl.feedback.phrases import PHRASES


@dataclass(frozen=True, slots=True)
class Verdict:
    """A category, and whether the address is bad."""

    category: Category
    hard: bool


#: Characters of a reply that are compared with the phrases: the reason stands at the front.
MAX_WORDS = 1000

# RFC 3463 and the IANA registry of enhanced status codes; class apart. Longest key first.
_STATUS = {
    "1.1": Category.INVALID_MAILBOX,
    "1.2": Category.DNS,
    "1.3": Category.INVALID_MAILBOX,
    "1.6": Category.INVALID_MAILBOX,
    "1.7": Category.POLICY,
    "1.8": Category.AUTHENTICATION,
    "1.10": Category.DNS,
    "2.1": Category.INACTIVE,
    "2.2": Category.FULL,
    "2.3": Category.SIZE,
    "3.1": Category.SYSTEM,
    "3.4": Category.SIZE,
    "4.6": Category.NETWORK,
    "4.7": Category.NETWORK,
    "7.1": Category.POLICY,
    "7.8": Category.AUTHENTICATION,
    "7.20": Category.AUTHENTICATION,
    "7.21": Category.AUTHENTICATION,
    "7.22": Category.AUTHENTICATION,
    "7.23": Category.AUTHENTICATION,
    "7.24": Category.AUTHENTICATION,
    "7.25": Category.AUTHENTICATION,
    "7.26": Category.AUTHENTICATION,
    "7.27": Category.DNS,
    "3": Category.SYSTEM,
    "4": Category.NETWORK,
    "5": Category.SYSTEM,
    "6": Category.SPAM,
    "7": Category.POLICY,
}

# RFC 5321 §4.2.3, where a code by itself says something.
_REPLIES = {
    "421": Category.SYSTEM,
    "451": Category.SYSTEM,
    "452": Category.SYSTEM,
    "500": Category.SYSTEM,
    "501": Category.SYSTEM,
    "502": Category.SYSTEM,
    "503": Category.SYSTEM,
    "504": Category.SYSTEM,
    "552": Category.SIZE,
}

_ADDRESS = re.compile(r"[^\s<>\[\]():,;\"']{1,256}@[^\s<>\[\]():,;\"']{1,256}")
_REPLY = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])")
_ENHANCED = re.compile(r"(?<![\d.])[45]\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")


def judge(status: str, text: str) -> Verdict:
    """Given an enhanced status code ("5.1.1" or "") and a server's words, return what the failure means."""
    category = _by_phrase(text) or _by_status(text) or _by_status(status) or _by_reply(text) or Category.OTHER
    return Verdict(category, category in HARD and not _is_temporary(status, text))


def _by_phrase(text: str) -> Category | None:
    words = _ADDRESS.sub("@", text[:MAX_WORDS].lower())
    return next((category for category, pattern in PHRASES if pattern.search(words)), None)


def _by_status(text: str) -> Category | None:
    """By the first enhanced code that says more than "other": 5.0.0 and its kind have no answer of their own."""
    for subject, detail in _ENHANCED.findall(text):
        found = _STATUS.get(f"{int(subject)}.{int(detail)}") or _STATUS.get(f"{int(subject)}")
        if found:
            return found
    return None


def _by_reply(text: str) -> Category | None:
    match = _REPLY.search(text)
    return _REPLIES.get(match[1]) if match else None


def _is_temporary(status: str, text: str) -> bool:
    """A 4yz answer to an unknown mailbox is a server that cannot look it up now, and no verdict on the address."""
    reply = _REPLY.search(text)
    return (reply[1] if reply else status).startswith("4")
