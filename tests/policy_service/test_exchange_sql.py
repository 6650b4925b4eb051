"""``quota.exchange`` on a real server does what ``memory.Memory`` does, exchange by exchange; roles and races hold."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.rows import TupleRow

from policy_service.batch import Batch
from policy_service.database import SESSION
from policy_service.exchange import Answer, Ask, Exchange, Report
from policy_service.gcra import SECOND, shape
from policy_service.key import Key
from policy_service.loan import LOAN
from policy_service.memory import Memory, Row
from policy_service.statements import answer_of, parameters, sql
from policy_service.statements import charge_values as values_of
from policy_service.wire import Value, integers_of
from tests.policy_service.conftest import SCHEMA

if TYPE_CHECKING:
    from tests.conftest import Cluster

SHARE = 3

pytestmark = pytest.mark.postgres

Connection = psycopg.Connection[TupleRow]


@pytest.fixture
def connection(postgres: Cluster, database: str) -> Iterator[Connection]:
    with psycopg.connect(postgres.conninfo(database), autocommit=True, options=SESSION) as connection:
        yield connection


def exchange(connection: Connection, request: Exchange, at: int | None = None) -> Answer:
    """One exchange on the server, at a time of the test's choosing."""
    statement = sql("exchange").replace("%(charge_units)s::integer[]", "%(charge_units)s::integer[], %(at)s::bigint")
    row = connection.execute(statement.encode(), {**for_psycopg(parameters(request, SHARE)), "at": at}).fetchone()
    assert row
    return answer_of(row[0])


def charge(connection: Connection, request: Exchange, at: int | None = None) -> list[int] | None:
    """The charges of an exchange, added up by key, on the server; None where not everything fits."""
    statement = sql("charge").replace("%(processes)s::integer", "%(processes)s::integer, %(at)s::bigint")
    units = units_of(request)
    keys = [Key(ask.key, SHAPES.get(ask.key) or BUSY, None) for ask in request.asks]
    values = values_of(Batch(keys, units, [], 0), request.processes)
    try:
        row = connection.execute(statement.encode(), {**for_psycopg(values), "at": at}).fetchone()
    except psycopg.Error as error:
        assert error.sqlstate == "SC001", error
        return None
    assert row
    return list(row[0])


def for_psycopg(values: Mapping[str, Value]) -> dict[str, object]:
    """Arrays in binary form as the lists that psycopg takes."""
    return {
        name: value if not isinstance(value, bytes) else list(texts_of(value) if name == "keys" else integers_of(value))
        for name, value in values.items()
    }


def texts_of(value: bytes) -> Iterator[str]:
    at = 20
    while at < len(value):
        length = int.from_bytes(value[at : at + 4], "big")
        yield value[at + 4 : at + 4 + length].decode()
        at += 4 + length


def units_of(request: Exchange) -> list[int]:
    units = [0] * len(request.asks)
    for one in request.charges:
        for index, count in one:
            units[index] += count
    return units


def rows(connection: Connection) -> dict[str, Row]:
    found = connection.execute("SELECT key, tat, generation, held, held_before, lag FROM quota.bucket").fetchall()
    return {key: Row(*values) for key, *values in found}


def _random_exchange(dice: random.Random, generations: dict[str, int]) -> Exchange:
    request = Exchange(processes=2)
    for name in sorted(dice.sample(["a", "b", 'c"d', "e\\f", "g,h}", "ü"], dice.randint(1, 4))):
        limit = SHAPES[name]
        ask = Ask(name, limit.interval, limit.burst, limit.generation, limit.share > 0)
        ask.lease, ask.reserve = dice.randint(0, 20), dice.randint(0, 3)
        request.asks.append(ask)
    for index, ask in enumerate(request.asks):
        if dice.random() < 0.6:
            generation = generations.get(ask.key, 0) - dice.randint(0, 2)
            request.reports.append(Report(index, generation, dice.randint(0, 5), dice.randint(0, 5)))
    for _ in range(dice.randint(0, 4)):
        indexes = dice.sample(range(len(request.asks)), dice.randint(1, len(request.asks)))
        request.charges.append([(index, dice.randint(1, request.asks[index].burst)) for index in indexes])
    return request


def _beat_both(connection: Connection, model: Memory, dice: random.Random, now: int) -> None:
    """A heartbeat or a leave-taking on the server and in the model."""
    process = dice.choice(["edge1", "edge2"])
    if dice.random() < 0.2:
        connection.execute("SELECT quota.leave(%s, 2, %s)", (process, now))
        model.leave(process, 2, now)
        return
    not_after = now + dice.randint(-SECOND, 3 * SECOND)
    found = connection.execute(
        "SELECT * FROM quota.beat(%s, 2, %s, %s, %s)", (process, LOAN, not_after, now)
    ).fetchone()
    answer = model.beat(process, 2, not_after, now)
    assert found == (answer.now, answer.lent)


SHAPES = {
    "a": shape(10, 3600, 10, 2),
    "b": shape(1000, 60, 100, 2),
    'c"d': shape(5, 1, 1, 2),
    "e\\f": shape(10000, 10, 50, 2),
    "g,h}": shape(300, 10, 150, 2),
    "ü": shape(7, 86400, 3, 2),
}


@pytest.mark.parametrize("seed", range(5))
def test_the_server_and_the_model_agree_on_every_exchange(connection: Connection, seed: int) -> None:
    dice = random.Random(seed)
    model = Memory(SHARE)
    now = 1_800_000_000 * SECOND
    generations: dict[str, int] = {}
    for step in range(200):
        now += dice.choice([1000, 1_000_000, SECOND // 10, SECOND, 20 * SECOND, 20 * SECOND, 90000 * SECOND])
        if dice.random() < 0.3:
            _beat_both(connection, model, dice, now)
        if dice.random() < 0.5:
            charges = _random_exchange(dice, generations)
            fitted = model.charge(charges.asks, units_of(charges), charges.processes, now)
            assert charge(connection, charges, now) == fitted, f"charge before step {step}"
        request = _random_exchange(dice, generations)
        expected = model.exchange(request, now)
        assert exchange(connection, request, now) == expected, f"step {step}"
        for ask, answer in zip(request.asks, expected.keys, strict=True):
            generations[ask.key] = answer.generation
    assert rows(connection) == model.rows


def test_time_is_the_servers_own_where_the_test_does_not_set_it(connection: Connection) -> None:
    limit = shape(3600, 3600, 1, 1)
    request = Exchange([Ask("k", limit.interval, 1, limit.generation)], [], [[(0, 1)]])
    exchange(connection, request)
    found = connection.execute("SELECT tat / 1e9 - extract(epoch FROM clock_timestamp()) FROM quota.bucket").fetchone()
    assert found and 0.5 < found[0] <= limit.interval / SECOND


#: The limit of the test below.
BUSY = shape(500, 3600, 500, 8)


def test_an_exchange_about_nothing_is_answered(connection: Connection) -> None:
    assert exchange(connection, Exchange()) == Answer([], [])


def test_what_does_not_fit_whole_charges_nothing(connection: Connection) -> None:
    limit = SHAPES["a"]
    asks = [Ask(name, limit.interval, limit.burst, limit.generation) for name in ("a", "b")]
    assert charge(connection, Exchange(asks, [], [[(0, 1), (1, 1)]])) is None, "there are no rows yet"
    exchange(connection, Exchange(asks))
    before = rows(connection)
    assert charge(connection, Exchange(asks, [], [[(0, limit.burst)], [(0, 1), (1, 1)]])) is None
    assert rows(connection) == before
    assert charge(connection, Exchange(asks, [], [[(0, limit.burst - 1)], [(0, 1), (1, 1)]]))


def test_concurrent_exchanges_over_the_same_keys_admit_exactly_the_limit(postgres: Cluster, database: str) -> None:
    limit = BUSY
    names = [f"busy {letter}" for letter in "abcd"]

    def worker(seed: int) -> list[int]:
        dice = random.Random(seed)
        admitted = [0] * len(names)
        with psycopg.connect(postgres.conninfo(database), autocommit=True, options=SESSION) as own:
            for _ in range(120):
                chosen = sorted(dice.sample(range(len(names)), 2))
                asks = [Ask(names[index], limit.interval, limit.burst, limit.generation) for index in chosen]
                request = Exchange(asks, [], [[(0, 1), (1, 1)]])
                # Both ways at once: who is refused the one is decided by the other.
                fitted = charge(own, request) if dice.random() < 0.7 else None
                if fitted or exchange(own, request).verdicts[0].refused_by < 0:
                    for index in chosen:
                        admitted[index] += 1
        return admitted

    with ThreadPoolExecutor(8) as pool:
        totals = [sum(column) for column in zip(*pool.map(worker, range(8)), strict=True)]
    # 8 * 120 messages over two keys of four: some 480 a key; a refused one is charged to neither.
    assert all(400 <= total <= 500 for total in totals)
    with psycopg.connect(postgres.conninfo(database)) as own:
        found = own.execute("SELECT key, tat FROM quota.bucket ORDER BY key").fetchall()
    assert [key for key, _ in found] == names


def test_the_policy_user_may_exchange_and_nothing_beyond_its_schema(postgres: Cluster, database: str) -> None:
    with psycopg.connect(postgres.conninfo(database), autocommit=True) as owner:
        owner.execute("DROP ROLE IF EXISTS policy_edge1")
        owner.execute("CREATE ROLE policy_edge1 LOGIN IN ROLE quota_user")
        owner.execute("CREATE TABLE public.other (x integer)")
    with psycopg.connect(postgres.conninfo(database, "policy_edge1"), autocommit=True) as user:
        request = Exchange([Ask("k", SECOND, 5, SECOND)], [], [[(0, 5)]])
        assert exchange(user, request).verdicts[0].refused_by == -1
        assert exchange(user, request).verdicts[0].refused_by == 0
        user.execute(sql("sweep"))
        for forbidden in ("SELECT * FROM public.other", "CREATE TABLE quota.mine (x integer)", "TRUNCATE quota.bucket"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                user.execute(forbidden.encode())


def test_the_sweep_removes_only_rows_that_say_nothing(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO quota.bucket (key, tat, held) VALUES ('idle', 0, 0), ('holding', 0, 1), "
        "('busy', ((extract(epoch FROM clock_timestamp()) + 60) * 1000000000)::bigint, 0)"
    )
    connection.execute(sql("sweep"))
    assert sorted(rows(connection)) == ["busy", "holding"]


def test_the_schema_can_be_applied_again_over_its_rows(
    postgres: Cluster, database: str, connection: Connection
) -> None:
    connection.execute("INSERT INTO quota.bucket (key, tat) VALUES ('k', 5)")
    postgres.apply(database, SCHEMA)
    assert rows(connection)["k"].tat == 5
