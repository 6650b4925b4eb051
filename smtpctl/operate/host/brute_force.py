"""Who guesses passwords: addresses with too many failed sign-ins in a while. Pure but for what it remembers."""

from __future__ import annotations

import ipaddress
import re
from collections import OrderedDict, deque
from collections.abc import Iterable

#: smtpd(8): ``warning: NAME[ADDRESS]: SASL PLAIN authentication failed: …``.
_FAILED = re.compile(rb"/smtpd\[\d+\]: warning: [^\s\[]*\[([0-9a-fA-F.:]+)\]: SASL \S+ authentication failed")

#: So many in so many seconds lock an address out, for so many seconds. A person mistypes twice; an application with an
#: old password tries again each minute.
FAILURES, WINDOW, LOCKED_OUT = 20, 600.0, 3600.0

#: Addresses that are remembered, and locked out at once by a host: what a botnet fills is bounded.
MOST_REMEMBERED, MOST_LOCKED_OUT = 20_000, 5_000


class Guessers:
    """Failed sign-ins by address."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted = [ipaddress.ip_network(network) for network in trusted]
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def read(self, line: bytes, now: float) -> str | None:
        """The address that this line of the mail log makes one too many of; None for every other line."""
        found = _FAILED.search(line)
        address = _address(found[1].decode()) if found else None
        if address is None or any(address in network for network in self._trusted):
            return None
        name = str(address)
        times = self._failed.setdefault(name, deque(maxlen=FAILURES))
        self._failed.move_to_end(name)
        times.append(now)
        if len(self._failed) > MOST_REMEMBERED:
            self._failed.popitem(last=False)
        if len(times) == FAILURES and now - times[0] <= WINDOW:
            del self._failed[name]
            return name
        return None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
