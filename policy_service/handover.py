"""Where a relay that is being emptied hands its mail: other relays' same pool, by pool. Pure but for the watched file.

``smtpctl queue drain`` writes the file, and takes it away: {"pools": {"POOL": ["[ADDRESS]:PORT", …]}}.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

from policy_service.fresh_file import FreshFile

PATH = Path("/var/lib/smtpctl-operate/handover.json")

#: Transport of a relay that hands over inside the fleet, under TLS.
TRANSPORT = "handover"

#: Next hops by pool.
Handover = Mapping[str, tuple[str, ...]]


def parse(text: bytes) -> Handover:
    """The next hops of a file. Raise ValueError when it is not such a file."""
    try:
        return {pool: tuple(map(str, hops)) for pool, hops in json.loads(text)["pools"].items() if hops}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a file of hand-overs: {error!r}") from None


def next_hop(handover: Handover, pool: str, recipient: str) -> str | None:
    """The transport and next hop for a recipient, or None where the pool is not handed over. Spread over the hops."""
    hops = handover.get(pool)
    if not hops:
        return None
    return f"{TRANSPORT}:{hops[zlib.crc32(recipient.lower().encode('utf-8', 'surrogateescape')) % len(hops)]}"


def handover_file(path: Path = PATH) -> FreshFile[Handover]:
    """The hand-over in force."""
    return FreshFile(path, parse, {})
