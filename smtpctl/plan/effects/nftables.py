"""Effects of our nftables.conf: which ports open and close, and to whom (nft(8))."""

from __future__ import annotations

import re
from collections.abc import Iterator

EVERYBODY = "everybody"

_RULE = re.compile(
    r'(?:meta skuid "(?P<user>[^"]+)" )?'
    r"(?:ip6? [sd]addr \{ (?P<addresses>[^}]*) \} )?"
    r"(?:(?P<protocol>tcp|udp) dport \{ (?P<ports>[^}]*) \}|meta l4proto (?P<other>\w+)) accept"
)

#: Chain, user, protocol and port of what may pass.
Door = tuple[str, str, str, str]


def nftables(old: str, new: str) -> list[str]:
    """Ports by those to whom they open or close; then how many other statements differ."""
    (before, rest_before), (after, rest_after) = _doors(old), _doors(new)
    ports: dict[tuple[str, str, str, str, bool], list[str]] = {}
    for door in dict.fromkeys([*after, *before]):
        chain, user, protocol, port = door
        was, becomes = before.get(door, set()), after.get(door, set())
        for opens, whom in ((True, becomes - was), (False, was - becomes)):
            if whom:
                ports.setdefault((chain, user, protocol, ", ".join(sorted(whom)), opens), []).append(port)
    words = [_words(*key, numbers) for key, numbers in ports.items()]
    others = len(set(rest_before) ^ set(rest_after))
    return words + ([f"firewall: {others} other {'line' if others == 1 else 'lines'}"] if others else [])


def _words(chain: str, user: str, protocol: str, whom: str, opens: bool, ports: list[str]) -> str:
    what = " ".join(filter(None, (protocol, ", ".join(filter(None, ports)))))
    if chain == "input":
        return f"firewall: {what} {'opened' if opens else 'closed'} to {whom}"
    return f"firewall: {user or 'everything here'} may {'' if opens else 'no longer '}reach {what} of {whom}"


def _doors(text: str) -> tuple[dict[Door, set[str]], list[str]]:
    """Who passes each door, and the statements that are no door."""
    doors: dict[Door, set[str]] = {}
    rest: list[str] = []
    for chain, statement in _statements(text):
        rule = _RULE.fullmatch(statement)
        if rule is None:
            rest.append(f"{chain} {statement}")
            continue
        addresses = {item.strip() for item in (rule["addresses"] or EVERYBODY).split(",")}
        for port in (rule["ports"] or "").split(","):
            door = (chain, rule["user"] or "", rule["protocol"] or rule["other"], port.strip())
            doors.setdefault(door, set()).update(addresses)
    return doors, rest


def _statements(text: str) -> Iterator[tuple[str, str]]:
    chain = ""
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("chain "):
            chain = line.split()[1]
        elif line and not line.startswith("#"):
            yield chain, line
