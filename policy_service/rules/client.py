"""Rule: a credential that names its networks is used from there only. Elsewhere somebody else has its secret."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from policy_service.protocol import Request
from policy_service.rules.rule import DATA, RCPT, Context, Rule, Verdict


def check(request: Request, context: Context) -> Verdict | None:
    """Object to a client outside the credential's networks, or one whose address cannot be read."""
    credential = context.credential
    if credential is None or not credential.clients:
        return None
    address = _address(request.client)
    if address is None:
        return Verdict(f"REJECT 5.7.1 Credential {credential.name} may not be used from an unknown address")
    if any(address in network for network in credential.clients):
        return None
    return Verdict(f"REJECT 5.7.1 Credential {credential.name} may not be used from {address}")


@lru_cache(maxsize=1000)
def _address(text: bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as it is, None where it is none; many credentials are used from the same one."""
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


RULE = Rule(
    "client", "The client's address is in the credential's networks.", frozenset({RCPT, DATA}), check, once=True
)
