"""The quotas of a whole fleet in simulated time: whatever fails, no window ever holds more than the limit."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_service.gcra import SECOND, default_burst, shape
from policy_service.loan import ABANDONED
from tests.policy_service.simulation import Faults, Fleet, fullest_window

ALL_FAULTS = Faults(lost_request=0.02, lost_answer=0.02, executed_late=0.02, crash=0.01)


@st.composite
def limits(draw: st.DrawFn) -> tuple[int, int, int]:
    """Count, seconds and burst of a limit."""
    count = draw(st.sampled_from([1, 2, 7, 10, 100, 1000, 10000]) | st.integers(1, 3000))
    seconds = draw(st.sampled_from([1, 2, 5, 10, 30, 60, 600, 3600]))
    burst = draw(st.integers(1, count) | st.just(default_burst(count, 5)))
    return count, seconds, burst


def _storm(fleet: Fleet, steps: int, faults: Faults) -> None:
    """Bursts, pauses, partitions, outages, crashes: everything by the fleet's own dice."""
    dice = fleet.random
    for _ in range(steps):
        chance = dice.random()
        if chance < 0.02:
            fleet.cut_off = {index for index in range(fleet.processes) if dice.random() < 0.3}
        elif chance < 0.03:
            fleet.truth_down = not fleet.truth_down
        elif chance < 0.03 + faults.crash:
            fleet.crash(dice.randrange(fleet.processes))
        process = dice.randrange(fleet.processes)
        for _ in range(dice.choice([1, 1, 2, 5, 30])):
            names = dice.sample(sorted(fleet.shapes), dice.randint(1, len(fleet.shapes)))
            units = {name: min(dice.choice([1, 1, 1, 2, 5]), fleet.shapes[name].burst) for name in names}
            fleet.send(process, units)
        fleet.advance(dice.choice([0, 100_000, SECOND // 1000, SECOND // 50, SECOND // 10, SECOND // 2, 3 * SECOND]))


def _check(fleet: Fleet) -> None:
    for name, limit in fleet.shapes.items():
        fullest = fullest_window(fleet.admitted[name], limit.window)
        assert fullest <= limit.count, f"{name}: {fullest} in a window of {limit}"
    assert fleet.longest_reply <= 250_000_000


@settings(max_examples=150)
@given(first=limits(), second=limits(), processes=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_no_window_holds_more_than_the_limit_whatever_fails(
    first: tuple[int, int, int], second: tuple[int, int, int], processes: int, seed: int
) -> None:
    shapes = {"a": shape(*first, processes), "b": shape(*second, processes)}
    fleet = Fleet(shapes, processes, random.Random(seed), ALL_FAULTS)
    _storm(fleet, 120, ALL_FAULTS)
    _check(fleet)


@st.composite
def leased_limits(draw: st.DrawFn) -> tuple[int, int, int]:
    """Limits whose leases weigh much: a window that is just leased ahead, a large burst of not so large a count."""
    burst = draw(st.integers(20, 60))
    return burst + draw(st.integers(0, 60)) + draw(st.sampled_from([0, 1000])), draw(st.integers(10, 20)), burst


def _rush(fleet: Fleet, process: int, units: int) -> None:
    """Ask so often that permits are leased ahead."""
    for _ in range(units):
        fleet.send(process, {"a": 1})
        fleet.advance(SECOND // 40)


def _press(fleet: Fleet, process: int, seconds: float) -> None:
    """Take whatever there is, for a while."""
    for _ in range(int(seconds * 20)):
        for _ in range(8):
            fleet.send(process, {"a": 1})
        fleet.advance(SECOND // 20)


def _intrigue(fleet: Fleet, steps: int) -> None:
    """Lease on one process, part it from the truth, use the limit up on the others, spend the lease late."""
    dice = fleet.random
    for _ in range(steps):
        one, other = dice.sample(range(fleet.processes), 2)
        _rush(fleet, one, dice.randint(5, 40))
        if dice.random() < 0.7:
            fleet.cut_off = {one}
        fleet.advance(dice.randrange(3 * SECOND))
        _press(fleet, other, dice.uniform(0, 12))
        for _ in range(60):
            fleet.send(one, {"a": 1})
        if dice.random() < 0.7:
            fleet.cut_off = set()
        if dice.random() < 0.2:
            fleet.crash(one)
        _press(fleet, other, dice.uniform(0, 3))


@settings(max_examples=15)
@given(limit=leased_limits(), processes=st.integers(2, 4), seed=st.integers(0, 2**32), faulty=st.booleans())
def test_greedy_leases_do_not_loosen_a_limit(
    limit: tuple[int, int, int], processes: int, seed: int, faulty: bool
) -> None:
    # A divisor of one lets a process lease everything that is left: the arithmetic must hold without that caution.
    faults = ALL_FAULTS if faulty else Faults()
    fleet = Fleet({"a": shape(*limit, processes)}, processes, random.Random(seed), faults, divisor=1)
    _intrigue(fleet, 6)
    _check(fleet)


@pytest.mark.parametrize("pressed_before", [0, 11], ids=["then spent", "the limit used up meanwhile, then spent"])
@pytest.mark.parametrize("idle", [0.2, 0.5, 0.9, 1.2, 1.7, 2.4])
def test_a_hoarded_lease_spent_late_stays_within_the_limit(idle: float, pressed_before: float) -> None:
    fleet = Fleet({"a": shape(1000, 10, 60, 2)}, 2, random.Random(idle), Faults(), divisor=1)
    _rush(fleet, 0, 100)
    fleet.cut_off = {0}
    for _ in range(int(idle * 10)):
        # The other process keeps touching the key, so that the truth settles what runs out when it runs out.
        fleet.send(1, {"a": 1})
        fleet.advance(SECOND // 10)
    _press(fleet, 1, pressed_before)
    for _ in range(100):
        fleet.send(0, {"a": 1})
    _press(fleet, 1, 11)
    _check(fleet)


def test_reserves_come_out_of_the_limit() -> None:
    limit = shape(3000, 10, 20, 4)
    fleet = Fleet({"a": limit}, 4, random.Random(5), Faults())
    for step in range(40):
        fleet.send(step % 4, {"a": 1})
        fleet.advance(SECOND // 2)
    fleet.cut_off = {0, 2, 3}
    fleet.advance(2 * SECOND)
    # Within one window: the burst, the rate, and then the reserves of the others.
    _saturate(fleet, limit.window - SECOND // 200, only=1)
    before = fleet.granted
    for step in range(100):
        fleet.send((0, 2, 3)[step % 3], {"a": 1})
    fleet.advance(SECOND)
    assert fleet.granted - before >= 3 * limit.reserve
    _check(fleet)


def test_a_process_that_crashes_again_and_again_gets_no_fresh_reserve() -> None:
    limit = shape(3000, 10, 20, 2)
    fleet = Fleet({"a": limit}, 2, random.Random(6), Faults())
    for _ in range(1000):
        fleet.crash(0)
        fleet.cut_off = set()
        fleet.send(0, {"a": 1})
        fleet.advance(SECOND // 100)
        fleet.cut_off = {0}
        fleet.members[0].book.disconnect(fleet.now + fleet.members[0].offset)
        for _ in range(limit.reserve):
            fleet.send(0, {"a": 1})
        fleet.advance(SECOND // 500)
    assert fleet.granted > 2000
    _check(fleet)


def _saturate(fleet: Fleet, duration: int, *, only: int | None = None) -> None:
    """Steady demand above the rate over all processes, or over one of them.

    Without a burst a unit that comes a little late is lost for good, so there demand knocks more often.
    """
    limit = fleet.shapes["a"]
    pause = limit.interval // (200 if limit.burst == 1 and limit.count < 20 else 3)
    for step in range(duration // pause):
        fleet.send(step % fleet.processes if only is None else only, {"a": 1})
        fleet.advance(pause)


@pytest.mark.parametrize("only", [None, 0], ids=["over all processes", "over one of six"])
@pytest.mark.parametrize(
    ("count", "seconds", "burst"),
    [
        (1, 1, 1),
        (10, 1, 1),
        (10, 1, 5),
        (10, 10, 10),
        (100, 10, 5),
        (1000, 10, 10),
        (1000, 10, 100),
        (5000, 10, 100),
        (10000, 3600, 200),
    ],
)
def test_steady_demand_gets_the_rate(count: int, seconds: int, burst: int, only: int | None) -> None:
    limit = shape(count, seconds, burst, 6)
    fleet = Fleet({"a": limit}, 6, random.Random(1), Faults())
    _saturate(fleet, 4 * limit.window, only=only)
    _check(fleet)
    rate = (count - burst + 1) / seconds
    # The first window has the burst on top; what is steady is what comes after.
    start = fleet.admitted["a"][0][0] + limit.window
    steady = [time for time, _ in fleet.admitted["a"] if time >= start]
    expected = rate * 3 * seconds
    assert len(steady) >= 0.99 * expected - 1, f"{len(steady)} of {expected}"


@pytest.mark.parametrize("processes", [1, 2, 6])
def test_a_small_limit_is_exact_on_whichever_process(processes: int) -> None:
    fleet = Fleet({"a": shape(10, 3600, 10, processes)}, processes, random.Random(2), Faults())
    for _ in range(60):
        fleet.send(fleet.random.randrange(processes), {"a": 1})
        fleet.advance(SECOND // 20)
    assert fleet.granted == 10


def test_a_message_that_one_window_refuses_is_charged_to_none() -> None:
    fleet = Fleet({"a": shape(100, 3600, 100, 2), "b": shape(1, 3600, 1, 2)}, 2, random.Random(3), Faults())
    for _ in range(5):
        fleet.send(0, {"a": 1, "b": 1})
        fleet.advance(SECOND)
    fleet.send(1, {"a": 99})
    fleet.advance(SECOND)
    assert sum(units for _, units in fleet.admitted["a"]) == 100


def test_cut_off_a_process_spends_its_reserve_then_its_share_of_the_rate() -> None:
    limit = shape(10000, 3600, 100, 2)
    fleet = Fleet({"a": limit}, 2, random.Random(4), Faults())
    for _ in range(10):
        fleet.send(0, {"a": 1})
        fleet.advance(SECOND)
    before = fleet.granted
    fleet.cut_off = {0}
    for _ in range(60):
        fleet.send(0, {"a": 1})
    fleet.advance(2 * SECOND)
    # What was leased ahead at that moment comes on top: what was asked for lately, at most.
    assert limit.reserve <= fleet.granted - before <= limit.reserve + before
    before = fleet.granted
    for _ in range(3600):
        fleet.send(0, {"a": 1})
        fleet.advance(SECOND)
    # A quarter of the rate: half of it is made of two shares.
    assert 0.98 <= (fleet.granted - before) / (9900 / 4) <= 1.0
    assert fleet.away > 0
    _check(fleet)


def test_with_the_truth_down_all_shares_together_stay_within_the_limit() -> None:
    fleet = Fleet({"a": shape(3000, 10, 20, 3)}, 3, random.Random(7), Faults())
    _saturate(fleet, 12 * SECOND)
    fleet.truth_down = True
    _saturate(fleet, 30 * SECOND)
    fleet.truth_down = False
    before = fleet.granted
    _saturate(fleet, 25 * SECOND)
    _check(fleet)
    # After a while of touch the rate is whole again, and the time lost is not made up for.
    assert 0.9 <= (fleet.granted - before) / (298 * 25) <= 1.01


def test_a_share_that_was_given_up_for_a_day_is_the_others_again() -> None:
    limit = shape(2000, 10, 20, 2)
    fleet = Fleet({"a": limit}, 2, random.Random(8), Faults())
    fleet.advance(5 * SECOND)
    fleet.cut_off = {0}
    fleet.advance(20 * SECOND)
    before = fleet.granted
    _saturate(fleet, 20 * SECOND, only=1)
    assert (fleet.granted - before) / (198 * 20) == pytest.approx(0.75, abs=0.02)
    fleet.truth._lent_until["p0"] -= ABANDONED
    before = fleet.granted
    _saturate(fleet, 20 * SECOND, only=1)
    assert (fleet.granted - before) / (198 * 20) == pytest.approx(1.0, abs=0.02)


@settings(max_examples=15)
@given(burst=st.integers(1, 30), processes=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_shares_lent_and_taken_back_at_any_time_stay_within_the_limit(burst: int, processes: int, seed: int) -> None:
    dice = random.Random(seed)
    fleet = Fleet({"a": shape(burst + 450, 10, burst, processes)}, processes, dice, ALL_FAULTS)
    for _ in range(8):
        fleet.cut_off = {index for index in range(processes) if dice.random() < 0.4}
        fleet.truth_down = dice.random() < 0.2
        if dice.random() < 0.3:
            fleet.crash(dice.randrange(processes))
        _saturate(fleet, dice.randrange(1, 15) * SECOND)
    _check(fleet)


@pytest.mark.parametrize(("seconds", "memory"), [(10, 4), (240, 4), (600, 10), (3600, 60), (86400, 60)])
def test_demand_is_remembered_for_a_sixtieth_of_the_window(seconds: int, memory: int) -> None:
    assert shape(10000, seconds, 100, 2).memory == memory * SECOND


@pytest.mark.parametrize(("seconds", "idle"), [(240, 2), (3600, 30)])
def test_an_idle_key_hands_its_permits_back(seconds: int, idle: int) -> None:
    fleet = Fleet({"a": shape(100_000, seconds, 1000, 2)}, 2, random.Random(9), Faults())
    for _ in range(60):
        fleet.send(0, {"a": 1})
        fleet.advance(SECOND // 20)
    book = fleet.members[0].book
    assert book.keys["a"].holding
    fleet.advance((idle - 1) * SECOND)
    assert book.keys["a"].holding
    fleet.advance(2 * SECOND)
    # Whoever holds permits is in use, and a key in use is not put away.
    assert "a" not in book.keys
    assert len(book.idle) == 1
