"""Emptying this host: HAProxy stops sending to a server, and a relay hands its mail to others. Edge.

Mail is handed over by SMTP, as it came: Postfix keeps each message until the other relay has answered for it, so none
is lost, and it is gone here once that is so. As everywhere in SMTP a connection that breaks between the last octet and
the answer can leave a message on both sides (RFC 1047); both hosts and all connections have to stand for "not twice".
"""

from __future__ import annotations

import json
import os
import time

from . import haproxy, spool
from .moves import forget_routes
from .pauses import FOLDER
from .store import sync_folder

HANDOVER = FOLDER / "handover.json"

#: How long the routing may take to see a change of the file.
SEEN = 0.5


def intake(path: str, server: str, state: str) -> int:
    """Have the HAProxy behind the admin socket ``path`` take ``server`` to ``state`` (drain, ready) wherever it has it;
    the sessions that still go there."""
    sessions = 0
    for name, row in haproxy.servers(path).items():
        if name.partition("/")[2] == server:
            haproxy.set_state(haproxy.Server(path, name), state)
            sessions += int(row["scur"] or 0)
    return sessions


def hand_over(pools: dict[str, list[str]]) -> None:
    """Send what the instances of ``pools`` have to these next hops from now on; nothing there: as usual again."""
    HANDOVER.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not pools:
        HANDOVER.unlink(missing_ok=True)
    else:
        temporary = HANDOVER.with_name(".handover.new")
        with temporary.open("w") as file:
            json.dump({"version": 1, "pools": pools}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(HANDOVER)
    sync_folder(HANDOVER.parent)
    time.sleep(SEEN)
    for pool in pools:
        forget_routes(pool)
        spool.flush(pool)


def handed_over() -> list[str]:
    """The pools of this host that are being handed over."""
    try:
        return sorted(json.loads(HANDOVER.read_bytes())["pools"])
    except FileNotFoundError:
        return []
