"""The addresses that the firewall turns away: nftables sets whose elements end by themselves (nft(8)). Edge."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from typing import Any

from smtpctl.transport.agent import StepError, processes
from smtpctl.transport.agent.pauses import Record

#: Kind of the pauses that lock an address out.
KIND = "client"

TABLE = ("inet", "smtpctl")
SETS = {4: "locked_out4", 6: "locked_out6"}

#: Seconds that an element without an end of its own stays; it is put there again while its pause lasts.
AT_MOST = 7 * 86400


def wanted(records: Iterable[Record], now: float) -> dict[str, int]:
    """Addresses that pauses in force lock out, with the seconds that remain."""
    found: dict[str, int] = {}
    for record in records:
        for address in record["scope"].get("clients", ()):
            remaining = AT_MOST if record["until"] is None else int(record["until"] - now) + 1
            found[address] = max(found.get(address, 0), min(remaining, AT_MOST))
    return found


def bring(addresses: Mapping[str, int]) -> None:
    """Bring the sets to ``addresses``, whatever is in them: a reload of the firewall empties them. Raise StepError."""
    for version, name in SETS.items():
        mine = {
            address: left for address, left in addresses.items() if ipaddress.ip_address(address).version == version
        }
        there = _elements(name)
        gone = sorted(there - mine.keys())
        new = sorted(mine.keys() - there)
        commands = [f"delete element {' '.join(TABLE)} {name} {{ {', '.join(gone)} }}"] if gone else []
        if new:
            elements = ", ".join(f"{address} timeout {mine[address]}s" for address in new)
            commands.append(f"add element {' '.join(TABLE)} {name} {{ {elements} }}")
        for command in commands:
            _nft(command)


def _elements(name: str) -> set[str]:
    answer: dict[str, Any] = json.loads(_nft("-j", "list", "set", *TABLE, name))
    found: list[Any] = []
    for item in answer["nftables"]:
        found += item.get("set", {}).get("elem", [])
    return {str(element["elem"]["val"] if isinstance(element, dict) else element) for element in found}


def _nft(*words: str) -> str:
    result = processes.run(["nft", *words], timeout=30)
    if result.code:
        raise StepError("nft", result.output.strip()[-300:])
    return result.output
