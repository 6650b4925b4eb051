"""A TCP connection that is begun before anybody waits for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpctl.errors import TransportError
from smtpctl.transport.calls import WORKERS, call_all
from smtpctl.transport.connection import Connection, Target, answered, call


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _target(port: int, address: str = "127.0.0.1") -> Target:
    return Target("relay1", address, port, "root", Path("known_hosts"))


def test_a_call_is_answered_by_the_host_that_was_called(listener: socket.socket) -> None:
    target = _target(listener.getsockname()[1])
    with answered(target, call(target)) as raw:
        there, place = listener.accept()
        with there:
            assert place == raw.getsockname()
            assert raw.gettimeout() is not None


def test_a_call_that_nobody_answers_names_host_address_and_reason() -> None:
    with socket.socket() as bound:  # its port is nobody else's, and nobody listens there
        bound.bind(("127.0.0.1", 0))
        target = _target(bound.getsockname()[1])
        raw = call(target)
        with pytest.raises(TransportError, match=rf"relay1 \(127.0.0.1 port {target.port}\): no connection: .*refused"):
            answered(target, raw)
    assert raw.fileno() == -1


def test_a_call_that_could_not_even_begin_says_so_when_it_is_asked_for() -> None:
    target = _target(22, "255.255.255.255")
    raw = call(target)
    with pytest.raises(TransportError, match=r"relay1 .*: no connection: "):
        answered(target, raw)


def test_a_name_that_leads_nowhere_is_told_like_an_address_that_does_not_answer() -> None:
    target = _target(22, "mail.invalid")  # as `smtpctl adopt` may be given one
    with pytest.raises(TransportError, match=r"relay1 \(mail.invalid port 22\): no connection: "):
        Connection(target)


def test_no_more_hosts_are_called_than_are_spoken_to_at_once() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        target = _target(bound.getsockname()[1])
        called = call_all({f"relay{number}": target for number in range(WORKERS + 5)})
        assert list(called) == [f"relay{number}" for number in range(WORKERS)]
        assert all(isinstance(agent.exception(), TransportError) for agent in called.values())
