"""What must go on without the database, and without the DNS: ten minutes of the one, 100,000 new domains of the other.

Two hosts under load lose their database. Who stays within reserve and share is never refused, who wants more gets no
more than the limit, and no reply takes longer than 250 ms. Then a routing daemon whose resolver is dead is asked for
the way of domain after domain that it has never seen: each answer comes from memory.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import policy_service
from policy_service.socketmap import NetstringParser, netstring
from tests.bench.policy.cpu import resident_megabytes
from tests.conftest import Cluster
from tests.policy_service.daemons import free_port, fullest_window, get, knock, request, running

SCHEMA = Path(policy_service.__file__).parent / "sql" / "schema.sql"
HOSTS = ("edge1", "edge2")

#: count, per, burst. Half of a rate is the hosts' own: of ``steady`` two and a half messages a second each.
STEADY, HUNGRY = (36_000, 3600, 500), (1000, 12, 100)
#: Messages a second that a host is asked to let pass.
RATE = 1.5


def rules() -> str:
    """Two credentials on two hosts."""
    return json.dumps(
        {
            "version": 1,
            "hosts": HOSTS,
            "streams": {"t": {"filter": "t:[127.0.0.1]:10025"}},
            "credentials": {
                name: {
                    "senders": ["shop.test"],
                    "stream": "t",
                    "recipients_per_message": 1,
                    "limits": [{"key": "credential", "counted": "messages", "count": n, "per": t, "burst": b}],
                }
                for name, (n, t, b) in (("steady", STEADY), ("hungry", HUNGRY))
            },
        }
    )


async def steadily(path: Path, until: float) -> list[str]:
    """Ask for one message after the other at a rate within the host's own share; the answers."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    answers: list[str] = []
    while time.monotonic() < until:
        instance = f"{path.name}.{len(answers)}.{until}"
        writer.write(
            request("DATA", sasl_username="steady", sender="a@s.shop.test", recipient_count=1, instance=instance)
        )
        answers.append((await reader.readuntil(b"\n\n")).decode())
        await asyncio.sleep(1 / RATE)
    writer.close()
    return answers


def away(cluster: Cluster, database: str, folder: Path, seconds: float, bound: str = "0.25") -> dict[str, int]:
    """The database stops under load for so long. Return how many messages of each credential were let pass.

    ``bound`` is a bucket of the service's histogram: a machine that others use may keep a process waiting itself.
    """
    (folder / "rules.json").write_text(rules())
    paths = [folder / name for name in HOSTS]
    ports = [free_port() for _ in HOSTS]
    hungry: list[tuple[int, float, float]] = []
    with ExitStack() as stack:
        for name, path, port in zip(HOSTS, paths, ports, strict=True):
            arguments = ["serve", "--rules", f"{folder}/rules.json", "--listen", f"unix:{path}", "--name", name]
            arguments += ["--database", cluster.conninfo(database), "--metrics", f"127.0.0.1:{port}"]
            stack.enter_context(running(folder / f"of-{name}", *arguments))

        async def run() -> list[str]:
            async def ask(seconds: float) -> list[list[str]]:
                until = time.monotonic() + seconds
                asking = [asyncio.create_task(knock(path, "hungry", until, hungry)) for path in paths for _ in range(4)]
                answers = await asyncio.gather(*(steadily(path, until) for path in paths))
                await asyncio.gather(*asking)
                return answers

            # In touch with the database first: that is where the reserve comes from.
            for _ in range(20):
                first = await ask(3)
                if all(some[-1].startswith("action=FILTER") for some in first):
                    break
            cluster.stop("immediate")
            answers = await ask(seconds)
            return [answer for some in answers for answer in some]

        try:
            answers = asyncio.run(run())
            slow = [_slow_replies(port, bound) for port in ports]
        finally:
            cluster.start()
    refused = [answer for answer in answers if not answer.startswith("action=FILTER")]
    assert refused == [], f"{len(refused)} of {len(answers)} within the share were refused: {refused[0]}"
    assert slow == [0, 0], f"replies that took longer than {bound} s: {slow}"
    fullest = fullest_window(hungry, HUNGRY[1])
    assert fullest <= HUNGRY[0], f"{fullest} within {HUNGRY[1]} s"
    return {"steady": len(answers), "hungry": len(hungry)}


def _slow_replies(port: int, bound: str) -> int:
    """Replies beyond a bound, by the service's own clock."""
    _, text = get(f"http://127.0.0.1:{port}/metrics")
    counts = dict(re.findall(r'^smtpctl_policy_reply_seconds_bucket\{le="([^"]+)"\} (\d+)$', text, re.MULTILINE))
    return int(counts["+Inf"]) - int(counts[bound])


def new_domains(folder: Path, chance: random.Random, count: int) -> tuple[float, float]:
    """Ask for the way of domains that nobody knows, with a resolver that never answers. Return microseconds an answer
    in the middle of all, and megabytes."""
    routing = {"version": 1, "default": "default", "providers": {}, "pools": {"bulk": {"weights": [1]}}}
    (folder / "routing.json").write_text(json.dumps(routing))
    port, times = free_port(), []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, ExitStack() as stack:
        silent.bind(("127.0.0.1", 0))
        arguments = ["route", "--rules", f"{folder}/routing.json", "--listen", f"tcp:127.0.0.1:{port}"]
        arguments += ["--learn", f"{folder}/learnt", "--resolver", f"127.0.0.1:{silent.getsockname()[1]}"]
        daemon = stack.enter_context(running(folder / "route", *arguments))
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
        parser = NetstringParser()
        for number in range(count):
            began = time.perf_counter()
            sock.sendall(netstring(f"route-bulk a@{chance.getrandbits(64):x}.{number}.test".encode()))
            while not (found := parser.feed(sock.recv(4096))):
                pass
            times.append(time.perf_counter() - began)
            assert found == [b"OK default-1:"]
        return sorted(times)[count // 2] * 1e6, resident_megabytes(daemon.process.pid)


def torture(seed: int) -> None:
    """Ten minutes without the database, then 100,000 domains without the DNS."""
    with tempfile.TemporaryDirectory(prefix="smtpctl-torture-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[4]))[-1]
        (folder / "database").mkdir()
        cluster = Cluster(programs, folder / "database")
        try:
            cluster.apply("postgres", SCHEMA)
            print(away(cluster, "postgres", folder, 600), flush=True)
        finally:
            cluster.stop("immediate")
        micro, megabytes = new_domains(folder, random.Random(seed), 100_000)
        print(f"100,000 new domains: {micro:.0f} us an answer in the middle, {megabytes:.0f} MB", flush=True)
        assert micro < 1000
        assert megabytes < 120
