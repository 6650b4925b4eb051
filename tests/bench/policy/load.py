"""The load: connections that are kept, each with one request outstanding, as Postfix's smtpd asks. Edge.

A process of its own with one epoll loop, so that it costs less than what it measures. It asks for a while unmeasured,
then for a while measured, and prints one JSON object: requests, latency, and the CPU that the server's process tree and
the database's used meanwhile.

    python -m tests.bench.policy.load --connect tcp:127.0.0.1:10045 --connections 50 --server PID
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import select
import socket
import sys
from array import array
from collections import Counter
from time import perf_counter_ns

from policy_service.listen import Endpoint, endpoint
from tests.bench.policy.cpu import cpu_seconds
from tests.bench.policy.requests import SENDERS, pieces


def connect(where: Endpoint) -> socket.socket:
    """One connection, as an smtpd opens it."""
    if where.path:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(where.path)
    else:
        sock = socket.create_connection((where.host, where.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Load:
    """Connections to one server, and what came back over them."""

    def __init__(self, where: Endpoint, connections: int, requests: list[tuple[bytes, bytes]]) -> None:
        self._sockets = [connect(where) for _ in range(connections)]
        self._requests = itertools.cycle(requests)
        self._instances = itertools.count(perf_counter_ns())
        self._asked: dict[int, int] = {}
        self._poll = select.epoll()
        self.latencies = array("Q")
        self.answers: Counter[bytes] = Counter()
        for sock in self._sockets:
            self._poll.register(sock.fileno(), select.EPOLLIN)
            self._ask(sock.fileno())

    def run(self, seconds: float, most: int = sys.maxsize) -> tuple[int, float]:
        """Ask for so long, or so many; return requests answered and seconds taken."""
        self.latencies = array("Q")
        self.answers.clear()
        note, answers, asked = self.latencies.append, self.answers, self._asked
        read, write, poll, now = os.read, os.write, self._poll.poll, perf_counter_ns
        requests, instances = self._requests, self._instances
        started = now()
        end = started + int(seconds * 1e9)
        while (moment := now()) < end and len(self.latencies) < most:
            for descriptor, _ in poll(1.0):
                data = read(descriptor, 4096)
                if not data.endswith(b"\n\n"):
                    raise ConnectionError(f"the server said {data!r}")
                moment = now()
                note(moment - asked[descriptor])
                answers[data[7:12]] += 1
                before, after = next(requests)
                asked[descriptor] = moment
                write(descriptor, b"%b%x%b" % (before, next(instances), after))
        return len(self.latencies), (now() - started) / 1e9

    def close(self) -> None:
        """Hang up."""
        for sock in self._sockets:
            sock.close()

    def _ask(self, descriptor: int) -> None:
        before, after = next(self._requests)
        self._asked[descriptor] = perf_counter_ns()
        os.write(descriptor, b"%b%x%b" % (before, next(self._instances), after))


def percentile(latencies: array[int], share: float) -> float:
    """The latency in microseconds that ``share`` of the requests do not pass."""
    ordered = sorted(latencies)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] / 1000


def main() -> None:
    """Put one load on one server and print what it did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connect", type=endpoint, required=True)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--warm", type=float, default=1.0, help="seconds before anything is measured")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--requests", type=int, default=sys.maxsize, help="stop after so many")
    parser.add_argument("--senders", type=int, default=SENDERS)
    parser.add_argument("--first", type=int, default=0, help="number of the first sender")
    parser.add_argument("--user", default="", help="who signs in; default: each sender as itself")
    parser.add_argument("--state", default="DATA")
    parser.add_argument("--server", type=int, required=True, help="process whose tree answers")
    parser.add_argument("--database", type=int, default=0, help="process whose tree is its database")
    options = parser.parse_args()
    load = Load(
        options.connect, options.connections, pieces(options.state, options.senders, options.first, options.user)
    )
    if options.warm:
        load.run(options.warm)
    roots = [root for root in (options.server, options.database) if root]
    before = [cpu_seconds(root) for root in roots]
    requests, seconds = load.run(options.seconds, options.requests)
    if not requests:
        raise SystemExit(f"no answer within {options.seconds} s")
    used = [cpu_seconds(root) - start for root, start in zip(roots, before, strict=True)]
    print(
        json.dumps(
            {
                "requests": requests,
                "seconds": seconds,
                "server": used[0] / requests * 1e6,
                "database": (used[1] if len(used) > 1 else 0.0) / requests * 1e6,
                "p50": percentile(load.latencies, 0.5),
                "p99": percentile(load.latencies, 0.99),
                "p99_9": percentile(load.latencies, 0.999),
                "slowest": max(load.latencies) / 1000,
                "answers": {word.decode("latin-1").strip(): count for word, count in load.answers.items()},
            }
        )
    )
    load.close()


if __name__ == "__main__":
    main()
