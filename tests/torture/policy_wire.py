"""Hostile peers of the policy service: garbage, stalled and half requests, floods. Others must not notice.

What holds of a run, of any size: the process stays, its memory stays bounded, and a client that behaves is answered.
"""

from __future__ import annotations

import json
import random
import resource
import socket
import sys
import tempfile
from pathlib import Path

from policy_service.protocol import LARGEST_REQUEST, ProtocolError, RequestParser, number
from tests.bench.policy.cpu import resident_megabytes
from tests.policy_service.daemons import Client, Daemon, request, running

RULES = Path(__file__).parents[1] / "policy_service" / "dialogues" / "rules.json"
FILTER = "FILTER transactional:[127.0.0.1]:10025"

#: What requests are made of, and what they must not be taken for.
_PIECES = (
    b"\n", b"\n\n", b"=", b"request=", b"smtpd_access_policy", b"protocol_state=", b"DATA", b"RCPT", b"instance=",
    b"sasl_username=", b"shop", b"sender=a@shop.test", b"recipient_count=", b"99999999999999999999", b"-1", b"\0",
    b"\r\n", b"\xff\xfe", b"a" * 500, b"END-OF-MESSAGE", b"recipient=", b"size=", "münchen".encode(),
)  # fmt: skip


def fuzz(chance: random.Random, size: int) -> None:
    """So many bytes at the parser, cut anywhere: it yields requests or refuses, and never holds more than the bound."""
    parser = RequestParser()
    left = size
    while left > 0:
        data = b"".join(
            chance.choice(_PIECES) if chance.random() < 0.9 else chance.randbytes(chance.randrange(40))
            for _ in range(chance.randrange(1, 60))
        )
        left -= len(data)
        try:
            for found in parser.feed(data):
                found.text(b"sender")
                number(found.recipients)
        except ProtocolError:
            pass
        assert len(parser.pending) <= LARGEST_REQUEST


def hostile(folder: Path, chance: random.Random, *, connections: int, megabytes: int) -> None:
    """Peers of every bad kind at once, and one that behaves in between."""
    rules = json.loads(RULES.read_text())
    for limit in rules["credentials"]["shop"]["limits"]:
        limit["count"] = 10**8
    (folder / "rules.json").write_text(json.dumps(rules))
    path = folder / "policy"
    with running(folder / "daemon", "serve", "--rules", f"{folder}/rules.json", "--listen", f"unix:{path}") as daemon:
        good = Client(path)
        assert good.message("shop") == FILTER
        before = resident_megabytes(daemon.process.pid)
        stalled = [_half_a_request(path, chance) for _ in range(connections)]
        assert good.message("shop") == FILTER, "among peers that send half a request and wait"
        _flood(path, megabytes)
        _garbage(path, chance)
        assert good.message("shop") == FILTER
        grown = resident_megabytes(daemon.process.pid) - before
        # A request under way is its bytes and a connection's state.
        assert grown < 20 + connections * 0.03, f"{grown:.0f} MB for {connections} connections"
        _trickle(stalled[0])
        assert good.message("shop") == FILTER
        for sock in stalled:
            sock.close()
        _alive(daemon)
        good.close()


def _half_a_request(path: Path, chance: random.Random) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    # One that blocks waits for its place in the listener's line.
    sock.connect(str(path))
    sock.settimeout(30)
    whole = request("DATA", sasl_username="shop", sender="a@shop.test", recipient_count=1)
    sock.sendall(whole[: chance.randrange(1, len(whole) - 1)])
    return sock


def _flood(path: Path, megabytes: int) -> None:
    """One request without an end: it is cut off long before it is all there."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(str(path))
        piece = b"sender=" + b"x" * 65529
        try:
            for _ in range(megabytes * 16):
                sock.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            return
    raise AssertionError(f"a request of {megabytes} MB was taken whole")


def _garbage(path: Path, chance: random.Random) -> None:
    """Noise over connections that are thrown away."""
    for _ in range(50):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(str(path))
            try:
                sock.sendall(chance.randbytes(chance.randrange(1, 5000)) + chance.choice((b"", b"\n", b"\n\n")))
            except (BrokenPipeError, ConnectionResetError):
                continue


def _trickle(sock: socket.socket) -> None:
    """A byte at a time."""
    for byte in b"x=y\n" * 20:
        sock.sendall(bytes([byte]))


def _alive(daemon: Daemon) -> None:
    assert daemon.process.poll() is None
    assert not any("Traceback" in line for line in daemon.lines), daemon.lines[-20:]


def torture(seed: int) -> None:
    """Ten million bytes, ten thousand connections, a hundred megabytes."""
    chance = random.Random(seed)
    fuzz(chance, 10_000_000)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    with tempfile.TemporaryDirectory(prefix="smtpctl-torture-", dir="/tmp") as folder:
        hostile(Path(folder), chance, connections=min(10_000, most - 500), megabytes=100)


if __name__ == "__main__":
    torture(int(sys.argv[1]))
