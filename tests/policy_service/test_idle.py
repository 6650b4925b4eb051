"""All that is remembered of a key which nobody asked for of late, in little memory, until it is forgotten."""

from __future__ import annotations

import random
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from policy_service.charges import GRANTED
from policy_service.gcra import SECOND, shape
from policy_service.idle import Idle
from policy_service.key import Key
from policy_service.leases import FORGOTTEN, Book
from tests.policy_service.simulation import Faults, Fleet

LIMIT = shape(100_000, 3600, 1000, 2)


def used(name: str, now: int, reserve: int = 7) -> Key:
    key = Key(name, LIMIT, "limit", now)
    key.reserve = reserve
    return key


@given(
    name=st.text(st.characters(codec="utf-8")) | st.just("sender:\udcff"),
    reserve=st.integers(0, LIMIT.reserve),
    times=st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)),
    demand=st.floats(0, 2**40, width=32),
)
def test_a_key_comes_back_as_it_was(name: str, reserve: int, times: tuple[int, int], demand: float) -> None:
    idle = Idle()
    key = used(name, times[0], reserve)
    key.refilled, key.demand = times[1], demand
    idle.put(key, FORGOTTEN)
    back = Key(name, LIMIT, "limit", 5)
    idle.take(back)
    assert (back.reserve, back.demand, back.used, back.refilled) == (reserve, demand, *times)
    assert len(idle) == 0


def test_nobody_spends_the_reserve_of_a_key_that_is_put_away() -> None:
    idle = Idle()
    key = used("k", 0)
    idle.put(key, FORGOTTEN)
    assert key.reserve == 0


def test_a_reserve_comes_back_once_and_never_larger_than_the_limit_has() -> None:
    idle = Idle()
    idle.put(used("k", 0, LIMIT.reserve), FORGOTTEN)
    smaller = shape(10_000, 3600, 1000, 2)
    first, second = Key("k", smaller, "limit"), Key("k", smaller, "limit")
    idle.take(first)
    idle.take(second)
    assert (first.reserve, second.reserve) == (smaller.reserve, 0)


def test_keys_are_forgotten_when_their_time_has_come_and_no_sooner() -> None:
    idle = Idle()
    for number in range(3000):
        idle.put(used(f"k{number}", number % 2 * 100 * SECOND), FORGOTTEN)
    for moment, left in ((FORGOTTEN - 1, 3000), (FORGOTTEN, 1500), (FORGOTTEN + 100 * SECOND, 0)):
        for _ in range(1024):
            idle.sweep(moment)
        assert len(idle) == left


def test_an_idle_key_takes_less_than_two_hundred_bytes() -> None:
    idle = Idle()
    tracemalloc.start()
    try:
        for number in range(20_000):
            idle.put(used(f"sender:recipients:86400:application-{number:07d}@bench.test", SECOND * 10**6), FORGOTTEN)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(idle) == 20_000
    assert taken / 20_000 < 200


def test_a_key_that_was_idle_spends_its_reserve_when_the_truth_is_away() -> None:
    fleet = Fleet({"a": LIMIT}, 2, random.Random(1), Faults())
    fleet.send(0, {"a": 1})
    fleet.advance(30 * SECOND)
    book = fleet.members[0].book
    assert (len(book.keys), len(book.idle)) == (0, 1)
    fleet.cut_off = {0}
    before = fleet.granted
    for _ in range(LIMIT.reserve):
        fleet.send(0, {"a": 1})
    fleet.advance(2 * SECOND)
    assert fleet.granted - before == LIMIT.reserve


def test_one_key_serves_all_who_knew_it_before_it_was_idle() -> None:
    book = Book()
    key = book.key("a", LIMIT, "limit", 0)
    key.reserve = 2
    for moment in range(100):
        book.tend(moment * SECOND)
    assert "a" not in book.keys
    now = 100 * SECOND
    again = book.current(key, now)
    assert again is key
    assert book.key("a", LIMIT, "limit", now) is key
    assert [book.charge(((again, 1),), print, now) for _ in range(2)] == [GRANTED, GRANTED]


def test_keys_that_come_once_are_put_away_as_quickly_as_they_come() -> None:
    book = Book()
    a_second = 20_000
    fullest = 0
    for moment in range(2 * SECOND, 10 * SECOND, SECOND // 100):
        for number in range(a_second // 100):
            book.key(f"{moment}-{number}", LIMIT, "limit", moment)
        book.tend(moment)
        fullest = max(fullest, len(book.keys))
    # They are in use for two seconds, and each is looked at once within the next one and a half.
    assert fullest < 3.5 * a_second
