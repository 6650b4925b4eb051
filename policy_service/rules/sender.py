"""Rule: a credential uses its own envelope senders, nothing else: domains with those under them, domains, addresses.

The null sender is refused unless the credential may use it: it is for bounces, which applications do not submit. A
local part that would need quotes is refused as well, since what another server makes of ``"a@b"@shop.test`` is not
worth finding out.
"""

from __future__ import annotations

import re

from policy_service.protocol import Request
from policy_service.rules.rule import DATA, RCPT, Context, Rule, Verdict

NULL_SENDER = Verdict("REJECT 5.7.1 The null sender <> is not accepted for submission")
MALFORMED = Verdict("REJECT 5.7.1 The sender is not LOCAL@DOMAIN with a local part that needs no quotes")

#: Dot-atom (RFC 5322 §3.2.3) without '%' and '!', which old servers read as routes.
_ADDRESS = re.compile(
    rb"[A-Za-z0-9#$&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9#$&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
)


def plain(address: bytes) -> str | None:
    """An envelope address in lower case, or None where it is not plain LOCAL@DOMAIN."""
    return address.decode("ascii").lower() if len(address) <= 320 and _ADDRESS.fullmatch(address) else None


def check(request: Request, context: Context) -> Verdict | None:
    """Object to a sender that is not the credential's."""
    credential = context.credential
    if credential is None:
        return None
    sender = request.sender
    if not sender:
        return None if credential.null_sender else NULL_SENDER
    address = plain(sender)
    if address is None:
        return MALFORMED
    if credential.may_use(address):
        return None
    domain = address.rpartition("@")[2]
    shown = address if credential.knows(domain) else domain
    return Verdict(f"REJECT 5.7.1 Credential {credential.name} may not send as {shown}")


RULE = Rule("sender", "The envelope sender belongs to the credential.", frozenset({RCPT, DATA}), check, once=True)
