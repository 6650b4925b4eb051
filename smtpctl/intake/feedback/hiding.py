"""What of a mail may be stored where addresses are sealed. Pure."""

from __future__ import annotations

import re

from smtpctl.ledger.tokens import Hider

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


def hidden_text(text: str, hider: Hider | None) -> str:
    """A text, with tokens for its addresses and for those that are packed into one."""
    if hider is None:
        return text
    return hider.text(text.encode()).decode() if " " in text else hider.address(text.encode()).decode()


def hidden_identity(identity: str | None, hider: Hider | None) -> str | None:
    """A Message-ID, which may stand in its angle brackets."""
    if not identity or hider is None:
        return identity or None
    bare = identity.removeprefix("<").removesuffix(">")
    return identity.replace(bare, hider.message_id(bare.encode()).decode()) if bare else identity


def hidden_content(content: bytes, hider: Hider | None) -> bytes:
    """A mail with tokens for its addresses; of one with encoded parts, where nobody sees them, the header only."""
    if hider is None:
        return content
    if b"base64" in content.lower():
        content = _BLANK_LINE.split(content, maxsplit=1)[0] + b"\r\n\r\n"
    return hider.text(content)
