"""Rule: a credential that names its networks is used from there only. Elsewhere somebody else has its secret."""

from __future__ import annotations

import ipaddress

from policy_service.protocol import Request
from policy_service.rules.rule import DATA, RCPT, Context, Rule, Verdict


def check(request: Request, context: Context) -> Verdict | None:
    """Object to a client outside the credential's networks, or one whose address cannot be read."""
    credential = context.credential
    if credential is None or not credential.clients:
        return None
    text = request.text(b"client_address")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return Verdict(f"REJECT 5.7.1 Credential {credential.name} may not be used from an unknown address")
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if any(address in network for network in credential.clients):
        return None
    return Verdict(f"REJECT 5.7.1 Credential {credential.name} may not be used from {address}")


RULE = Rule(
    "client", "The client's address is in the credential's networks.", frozenset({RCPT, DATA}), check, once=True
)
