"""Learning where domains take their mail: messages, memory, file, and the socketmap over a real name server."""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service import learnt_file
from policy_service.learnt import LONGEST, RETRY, SHORTEST, Learnt
from policy_service.mx import MessageError, parse, query
from policy_service.resolver import PATIENCE, TRIES
from policy_service.socketmap import NetstringParser, netstring
from tests.policy_service.daemons import Daemon, free_port, running

ROUTING = {
    "version": 1,
    "default": "default",
    "providers": {
        "google": {"domains": ["gmail.test"], "mx": ["google.test"]},
        "yahoo": {"domains": ["yahoo.test"], "mx": ["yahoodns.test"]},
    },
    "pools": {"bulk": {"weights": [1]}},
}
ZONE = """\
company.test. 60 IN MX 20 backup.yahoodns.test.
company.test. 60 IN MX 10 ASPMX.L.Google.test.
alias.test. 60 IN CNAME company.test.
alone.test. 60 IN A 192.0.2.1
nomail.test. 60 IN MX 0 .
"""


def answer(zone: str, domain: str) -> bytes:
    """What a name server says, written by dnspython, names compressed."""
    message = dns.message.make_response(dns.message.make_query(domain, "MX", id=7))
    for line in zone.splitlines():
        name, ttl, _, kind, data = line.split(None, 4)
        message.answer.append(dns.rrset.from_text(name, int(ttl), "IN", kind, data))
    return message.to_wire()


def test_the_question_is_one_that_dnspython_reads() -> None:
    wire = query(4711, "Company.test")
    assert wire is not None
    message = dns.message.from_wire(wire)
    assert message.id == 4711
    assert message.question[0].to_text() == "Company.test. IN MX"
    assert message.flags & dns.flags.RD
    assert message.payload == 1232


@pytest.mark.parametrize(
    "domain", ["", "a..b", "x" * 64 + ".test", "münchen.test", "a." * 127 + "test", ".", "[192.0.2.1]?"]
)
def test_what_is_no_host_name_is_not_asked_for(domain: str) -> None:
    assert query(1, domain) is None


@pytest.mark.parametrize(
    ("zone", "exchanges", "ttl"),
    [
        (ZONE.partition("alias")[0], ((10, "aspmx.l.google.test"), (20, "backup.yahoodns.test")), 60),
        ("alias.test. 9 IN CNAME company.test.\ncompany.test. 60 IN MX 10 company.test.", ((10, "company.test"),), 60),
        ("company.test. 5 IN MX 0 .", ((0, ""),), 5),
        ("", (), 0),
    ],
)
def test_answers_are_read_as_dnspython_wrote_them(zone: str, exchanges: object, ttl: int) -> None:
    reply = parse(answer(zone, "company.test"))
    assert (reply.number, reply.domain, reply.code) == (7, "company.test", 0)
    assert (reply.exchanges, reply.ttl) == (exchanges, ttl)


@given(st.data())
def test_a_spoilt_answer_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    wire = bytearray(answer(ZONE.partition("alias")[0], "company.test"))
    for _ in range(data.draw(st.integers(1, 6))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse(bytes(wire[: data.draw(st.integers(0, len(wire)))]))
    except MessageError:
        return


def test_names_that_point_at_each_other_end() -> None:
    head = bytes.fromhex("0007 8000 0001 0000 0000 0000".replace(" ", ""))
    with pytest.raises(MessageError, match="without end"):
        parse(head + b"\xc0\x0c")
    with pytest.raises(MessageError, match="without end"):
        parse(head + b"\x3f" + b"a" * 63 + b"\xc0\x0c")


def test_a_domain_is_wanted_once_and_known_as_long_as_its_zone_says_within_bounds() -> None:
    learnt = Learnt()
    assert [learnt.exchange("a.test", 0), learnt.exchange("a.test", 1)] == ["", ""]
    assert [learnt.take(), learnt.take()] == ["a.test", None]
    learnt.learn("a.test", "mx.test", 1, 10)
    assert learnt.exchange("a.test", 10 + SHORTEST - 1) == "mx.test"
    assert learnt.take() is None
    # Past its time it still counts, and is asked for again.
    assert learnt.exchange("a.test", 10 + SHORTEST) == "mx.test"
    assert learnt.take() == "a.test"
    learnt.learn("a.test", "mx.test", 10**9, 0)
    assert learnt.exchange("a.test", LONGEST - 1) == "mx.test"
    assert learnt.take() is None


def test_a_question_that_failed_waits_and_forgets_nothing() -> None:
    learnt = Learnt()
    learnt.learn("a.test", "mx.test", SHORTEST, 0)
    learnt.fail("a.test", SHORTEST)
    assert learnt.exchange("a.test", SHORTEST + 1) == "mx.test"
    assert learnt.take() is None
    assert learnt.exchange("a.test", SHORTEST + RETRY) == "mx.test"
    assert learnt.take() == "a.test"


def test_everything_is_bounded_and_what_was_learnt_last_stays() -> None:
    learnt = Learnt(capacity=100, most_wanted=10)
    for number in range(1000):
        learnt.exchange(f"{number}.new.test", 0)
        learnt.fail(f"{number}.dead.test", 0)
        learnt.learn(f"{number}.test", "mx.test", 600, 0)
    assert len(learnt) == 100
    assert learnt.exchange("999.test", 1) == "mx.test"
    assert learnt.exchange("899.test", 1) == ""
    taken = 0
    while learnt.take():
        taken += 1
    assert taken == 10


def test_the_file_keeps_what_was_learnt_and_leaves_out_what_it_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "learnt"
    learnt = Learnt()
    learnt.restore(learnt_file.load(path), 0)
    learnt.learn("a.test", "mx.test", 600, 0)
    learnt.learn("none.test", "", 600, 0)
    learnt_file.save(path, learnt)
    path.write_bytes(path.read_bytes() + b"half a\nb.test mx.test soon\n\xff\xfe\x00\n")
    again = Learnt()
    again.restore(learnt_file.load(path), 0)
    assert list(again.entries()) == [("a.test", "mx.test", 600.0), ("none.test", "", 600.0)]
    path.write_text("another kind of file\na.test mx.test 9\n")
    assert list(learnt_file.load(path)) == []


class Asking:
    """A connection of a trivial-rewrite(8)."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._parser = NetstringParser()
        self.slowest = 0.0

    def ask(self, address: str) -> str:
        """The transport of an address."""
        started = time.monotonic()
        self._socket.sendall(netstring(f"route-bulk {address}".encode()))
        while not (found := self._parser.feed(self._socket.recv(4096))):
            pass
        self.slowest = max(self.slowest, time.monotonic() - started)
        return found[0].decode().removeprefix("OK ")

    def until(self, address: str, transport: str) -> None:
        """Ask until that is the answer."""
        end = time.monotonic() + 20
        while (found := self.ask(address)) != transport:
            assert time.monotonic() < end, f"{address} still goes by {found}"
            time.sleep(0.02)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def routing(tmp_path: Path) -> Path:
    path = tmp_path / "routing.json"
    path.write_text(json.dumps(ROUTING), encoding="utf-8")
    return path


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where questions arrive and nobody answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def route(tmp_path: Path, routing: Path, port: int, resolver: int) -> list[str]:
    learn = ["--learn", str(tmp_path / "learnt"), "--resolver", f"127.0.0.1:{resolver}"]
    return ["route", "--rules", str(routing), "--listen", f"tcp:127.0.0.1:{port}", *learn]


def test_domains_go_where_their_mail_hosts_are_known_behind_and_over_restarts(
    tmp_path: Path, routing: Path, name_server: Callable[[str], int], silent: int
) -> None:
    port = free_port()
    with running(tmp_path / "daemon", *route(tmp_path, routing, port, name_server(ZONE))) as daemon:
        asking = Asking(port)
        assert asking.ask("a@company.test") == "default-1:", "nobody waits for the DNS"
        asking.until("a@company.test", "google-1:")
        asking.until("a@Alias.Test", "google-1:")
        assert [asking.ask(f"a@{domain}.test") for domain in ("yahoo", "alone", "nomail", "never")] == [
            "yahoo-1:",
            "default-1:",
            "default-1:",
            "default-1:",
        ]
        # The table goes first; a provider that is named for other hosts counts at once.
        document = json.loads(routing.read_text())
        document["providers"]["yahoo"]["mx"].append("alone.test")
        routing.write_text(json.dumps(document), encoding="utf-8")
        asking.until("a@alone.test", "yahoo-1:")
        asking.close()
        assert daemon.stop() == 0
    kept = (tmp_path / "learnt").read_text()
    assert "company.test aspmx.l.google.test" in kept
    assert "a@" not in kept
    with running(tmp_path / "daemon", *route(tmp_path, routing, port, silent)):
        asking = Asking(port)
        assert asking.ask("b@company.test") == "google-1:", "the DNS is dead, and the domain was learnt"
        asking.close()


def test_new_domains_with_the_dns_dead_get_the_default_transport_at_once(
    tmp_path: Path, routing: Path, silent: int
) -> None:
    port = free_port()
    names = random.Random(4)
    with running(tmp_path / "daemon", *route(tmp_path, routing, port, silent)) as daemon:
        asking, other = Asking(port), Asking(port)
        for number in range(3000):
            assert asking.ask(f"a@{names.getrandbits(64):x}.{number}.test") == "default-1:"
            if number % 100 == 0:
                # Each trivial-rewrite(8) has a connection of its own; none waits for what another asked.
                assert other.ask("a@yahoo.test") == "yahoo-1:"
        # Whoever waited for the resolver would have waited so long for one answer.
        assert max(asking.slowest, other.slowest) < PATIENCE * TRIES
        wait_for(daemon, "resolver-silent")
        asking.close()
        other.close()


def wait_for(daemon: Daemon, words: str) -> None:
    end = time.monotonic() + 20
    while not any(words in line for line in daemon.lines):
        assert time.monotonic() < end, daemon.lines
        time.sleep(0.05)
