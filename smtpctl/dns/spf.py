"""SPF records (RFC 7208): who may use a domain in the envelope, within the limits that receivers set. Pure.

Addresses are listed as such, which costs a receiver no look-up. A list too long for one answer is spread over records
of their own, which the domain's record includes: one look-up each, at most nine, where ten are allowed (§4.6.4).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

#: A longer record may not fit one UDP answer (RFC 7208 §3.4).
LONGEST_RECORD = 450
MOST_INCLUDES = 9

#: A HELO name is used by its own addresses only.
HELO_TEXT = "v=spf1 a -all"


def spf_texts(addresses: Iterable[str], owner: str) -> dict[str, str]:
    """Given the addresses that may send, return texts by name: under ``""`` the one for every sending domain, under
    ``_spf1.OWNER`` and so on those that it includes, if any."""
    addresses = tuple(dict.fromkeys(addresses))
    mechanisms = [_mechanism(address) for address in addresses]
    if len(_record(mechanisms)) > LONGEST_RECORD:
        mechanisms = [_mechanism(network) for network in _merged(addresses)]
    if len(_record(mechanisms)) <= LONGEST_RECORD:
        return {"": _record(mechanisms)}
    parts = {f"_spf{number}.{owner}": _record(part) for number, part in enumerate(_spread(mechanisms), 1)}
    return {"": _record(f"include:{name}" for name in parts)} | parts


def _record(mechanisms: Iterable[str]) -> str:
    return " ".join(["v=spf1", *mechanisms, "-all"])


def _mechanism(network: str) -> str:
    return f"ip6:{network}" if ":" in network else f"ip4:{network}"


def _merged(addresses: Iterable[str]) -> Iterator[str]:
    """The fewest networks that hold exactly these addresses."""
    four = [ipaddress.IPv4Network(address) for address in addresses if ":" not in address]
    six = [ipaddress.IPv6Network(address) for address in addresses if ":" in address]
    yield from (str(network).removesuffix("/32") for network in ipaddress.collapse_addresses(four))
    yield from (str(network).removesuffix("/128") for network in ipaddress.collapse_addresses(six))


def _spread(mechanisms: list[str]) -> Iterator[list[str]]:
    """Parts that each fit a record; longer ones only where nine would not do (receivers then ask again over TCP)."""
    longest = max(len(mechanism) for mechanism in mechanisms) + 1
    room = max(LONGEST_RECORD - len(_record([])), len(" ".join(mechanisms)) // MOST_INCLUDES + longest)
    part: list[str] = []
    for mechanism in mechanisms:
        if len(" ".join([*part, mechanism])) >= room:
            yield part
            part = []
        part.append(mechanism)
    yield part
