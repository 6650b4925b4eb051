"""Statements over one connection without waiting in between: answers in order, failures alone, an end for all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.database import connect
from policy_service.wire import Wire, integers, integers_of, texts

if TYPE_CHECKING:
    from tests.conftest import Cluster

pytestmark = pytest.mark.postgres

Dialogue = Callable[[Wire], Awaitable[None]]


@pytest.fixture
def over_a_wire(postgres: Cluster) -> Callable[[Dialogue], None]:
    """Run a dialogue over a connection of its own."""

    async def run(dialogue: Dialogue) -> None:
        connection = await connect(postgres.conninfo())
        wire = Wire(connection)
        try:
            await asyncio.wait_for(dialogue(wire), 60)
        finally:
            wire.close()
            await connection.close()

    return lambda dialogue: asyncio.run(run(dialogue))


def test_answers_come_in_the_order_of_their_statements(over_a_wire: Callable[[Dialogue], None]) -> None:
    async def dialogue(wire: Wire) -> None:
        answers = [wire.send("SELECT %(n)s::integer * 2, %(n)s::text", {"n": number}) for number in range(200)]
        assert [await answer for answer in answers] == [(b"%d" % (2 * n), b"%d" % n) for n in range(200)]

    over_a_wire(dialogue)


def test_a_statement_that_fails_fails_alone(over_a_wire: Callable[[Dialogue], None]) -> None:
    async def dialogue(wire: Wire) -> None:
        divided = "SELECT 1 / %(n)s::integer"
        answers = [wire.send(divided, {"n": n}) for n in (1, 0, 1)]
        unknown = wire.send("SELECT no_such_function()", {})
        last = wire.send(divided, {"n": 1})
        assert await answers[0] == (b"1",)
        with pytest.raises(psycopg.errors.DivisionByZero):
            await answers[1]
        assert await answers[2] == (b"1",)
        with pytest.raises(psycopg.errors.UndefinedFunction):
            await unknown
        assert await last == (b"1",)

    over_a_wire(dialogue)


def test_what_is_larger_than_the_sockets_buffer_arrives_whole(over_a_wire: Callable[[Dialogue], None]) -> None:
    async def dialogue(wire: Wire) -> None:
        size = 5_000_000
        answers = [wire.send("SELECT length(%(text)s::text)", {"text": "x" * size}) for _ in range(3)]
        assert [await answer for answer in answers] == [(b"%d" % size,)] * 3

    over_a_wire(dialogue)


def test_a_connection_that_ends_fails_all_that_is_on_its_way(over_a_wire: Callable[[Dialogue], None]) -> None:
    async def dialogue(wire: Wire) -> None:
        gone = [wire.send("SELECT pg_terminate_backend(pg_backend_pid())", {}), wire.send("SELECT 1", {})]
        for answer in gone:
            with pytest.raises(psycopg.OperationalError):
                await answer
        with pytest.raises(psycopg.OperationalError):
            await wire.send("SELECT 1", {})

    over_a_wire(dialogue)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_numbers_come_back_out_of_their_binary_form(values: list[int]) -> None:
    assert list(integers_of(integers(values))) == values


def test_the_server_reads_arrays_as_they_were_meant(over_a_wire: Callable[[Dialogue], None]) -> None:
    async def dialogue(wire: Wire) -> None:
        names, numbers = ["a", "", 'q"{},\\', "ü", "x" * 1000], [0, -1, 2**62]
        statement = "SELECT array_to_json(%(names)s::text[]), %(numbers)s::bigint[], cardinality(%(none)s::bigint[])"
        row = await wire.send(statement, {"names": texts(names), "numbers": integers(numbers), "none": integers([])})
        assert row[0] is not None
        assert json.loads(row[0]) == names
        assert row[1:] == (b"{0,-1,4611686018427387904}", b"0")
        (back,) = await wire.send("SELECT %(numbers)s::bigint[]", {"numbers": integers(numbers)}, binary=True)
        assert back is not None
        assert list(integers_of(back)) == numbers

    over_a_wire(dialogue)
