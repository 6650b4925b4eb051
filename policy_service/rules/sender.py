"""Rule: a credential uses envelope senders of its own domains and of domains under them, nothing else.

The null sender is refused: it is for bounces, which applications do not submit. A local part that would need quotes is
refused as well, since what another server makes of ``"a@b"@shop.test`` is not worth finding out.
"""

from __future__ import annotations

import re

from policy_service.protocol import Request
from policy_service.rules.rule import DATA, RCPT, Rule, Verdict
from policy_service.ruleset import Credential

NULL_SENDER = Verdict("REJECT 5.7.1 The null sender <> is not accepted for submission")
MALFORMED = Verdict("REJECT 5.7.1 The sender is not LOCAL@DOMAIN with a local part that needs no quotes")

#: Dot-atom (RFC 5322 §3.2.3) without '%' and '!', which old servers read as routes.
_ADDRESS = re.compile(
    rb"[A-Za-z0-9#$&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9#$&'*+/=?^_`{|}~-]+)*@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)"
)


def domain_of(address: bytes) -> str | None:
    """The domain of an envelope address in lower case, or None where the address is not plain LOCAL@DOMAIN."""
    match = _ADDRESS.fullmatch(address)
    return match[1].decode("ascii").lower() if match and len(address) <= 320 else None


def check(request: Request, credential: Credential | None) -> Verdict | None:
    """Object to a sender that is not the credential's."""
    if credential is None:
        return None
    sender = request.get(b"sender")
    if not sender:
        return NULL_SENDER
    domain = domain_of(sender)
    if domain is None:
        return MALFORMED
    if credential.may_use(domain):
        return None
    return Verdict(f"REJECT 5.7.1 Credential {credential.name} may not send as {domain}")


RULE = Rule("sender", "The envelope sender belongs to the credential.", frozenset({RCPT, DATA}), check)
