"""The fields of a delivery status (RFC 3464 §2) and the addresses in them.

Two blocks of fields are told apart: one about the message, and one about each recipient. Senders are read generously
(missing empty lines, missing types, comments, angle brackets); what cannot be read is empty, never guessed.
"""

from __future__ import annotations

import re

Fields = dict[str, str]

#: Recipients of one report that are read. Postfix itself writes at most one report a message and sender.
MAX_RECIPIENTS = 1000
#: Longest value that is kept; a reply in Diagnostic-Code is rarely over one kilobyte.
MAX_VALUE = 4096

_FIELD = re.compile(r"([!-9;-~]+)[ \t]*:(.*)", re.S)
_TYPED = re.compile(r"\s*([A-Za-z][\w.+-]*)\s*;\s*(.*)", re.S)
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_ROUTE = re.compile(r"@[^:@\s]+(?:,@[^:@\s]+)*:")
_ADDRESS = re.compile(
    r'("(?:[^"\\]|\\.){1,128}"|[^\s"<>@,;:()\[\]]{1,128})@(\[[^\]\s]{1,253}\]|[^\s"<>@,;:()\[\]]{1,253})'
)
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "\ufffd")
_UTF8_ESCAPE = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")


def read_groups(text: str) -> tuple[Fields, list[Fields]]:
    """Given the text of a message/delivery-status part, return (fields of the message, fields of each recipient).

    Names are in lower case; of a field that stands twice in one group the first counts. A second Final-Recipient
    without an empty line before it starts a group of its own: some gateways leave the line out.
    """
    message: Fields = {}
    recipients: list[Fields] = []
    for block in re.split(r"\n[ \t]*\n", text):
        for group in _groups_of(block):
            if "reporting-mta" in group or not _is_recipient(group):
                message = {**group, **message}
            if _is_recipient(group) and len(recipients) < MAX_RECIPIENTS:
                recipients.append(group)
    return message, recipients


def _groups_of(block: str) -> list[Fields]:
    groups: list[Fields] = [{}]
    for line in re.split(r"\n(?![ \t])", block):
        match = _FIELD.fullmatch(line)
        if not match:
            continue
        name, value = match[1].lower(), one_line(match[2])[:MAX_VALUE]
        if name == "final-recipient" and name in groups[-1]:
            groups.append({})
        groups[-1].setdefault(name, value)
    return [group for group in groups if group]


def _is_recipient(group: Fields) -> bool:
    return any(name in group for name in ("final-recipient", "original-recipient", "action", "status"))


def one_line(text: str) -> str:
    """``text`` on one line, with U+FFFD for control characters: PostgreSQL takes no NUL, a terminal takes all."""
    return " ".join(text.split()).translate(_CONTROLS)


def untyped(value: str) -> tuple[str, str]:
    """Given ``type; value`` (RFC 3464 §2.1.2), return (type in lower case, value); the type is empty when missing."""
    match = _TYPED.fullmatch(value)
    return (match[1].lower(), match[2].strip()) if match else ("", value.strip())


def address_in(value: str) -> str:
    """Given Original-Recipient or Final-Recipient, return the mail address in it, or an empty string.

    ``rfc822;user@example.com``, ``<user@example.com>``, ``rfc822; <@mx.example.com:user@example.com> (unknown user)``
    and xtext (RFC 3461 §4) are all read as user@example.com. The domain is in lower case.
    """
    kind, text = untyped(value)
    if kind == "utf-8":
        text = _UTF8_ESCAPE.sub(_from_code_point, text)
    match = _ADDRESS.search(_ROUTE.sub("", decode_xtext(text)))
    if not match:
        return ""
    return f"{match[1]}@{match[2].rstrip('.').lower()}"


def decode_xtext(text: str) -> str:
    """Given an address that may be xtext (RFC 3461 §4), return it decoded.

    RFC 3464 wants the decoded form, yet some servers copy what they got. In xtext every ``+`` starts a code, and of
    what an address may hold only space, ``+`` and ``=`` are coded: anything else is an address with a ``+`` of its own.
    """
    characters = [chr(int(code, 16)) for code in _XTEXT.findall(text)]
    if len(characters) != text.count("+") or not set(characters) <= set(" +="):
        return text
    return _XTEXT.sub(lambda match: chr(int(match[1], 16)), text)


def status_in(value: str) -> str:
    """The first enhanced status code (RFC 3463) in ``value``, such as 5.1.1, or an empty string."""
    match = _STATUS.search(value)
    return f"{match[1]}.{int(match[2])}.{int(match[3])}" if match else ""


def _from_code_point(match: re.Match[str]) -> str:
    """RFC 6533 §3: ``\\x{HEX}`` stands for a character outside ASCII."""
    code = int(match[1], 16)
    return chr(code) if 0xA0 <= code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else match[0]
