"""Batches on their way while the next ones are read: in order, and no failure goes unseen."""

from __future__ import annotations

import pytest

from smtpctl.intake.shipper.storing import Storing


def test_batches_are_stored_in_their_order_one_at_a_time() -> None:
    storing = Storing()
    stored: list[int] = []
    for number in range(100):
        storing.begin(lambda number=number: stored.append(number))  # type: ignore[misc]
        assert len(stored) >= number  # the one before is done when the next begins
    storing.finish()
    assert stored == list(range(100))
    storing.close()


@pytest.mark.parametrize("next_step", ["begin", "finish"])
def test_a_failure_is_told_to_whoever_comes_next_and_nothing_after_it_is_stored(next_step: str) -> None:
    storing = Storing()
    stored: list[str] = []

    def fail() -> None:
        raise ValueError("refused")

    storing.begin(fail)
    with pytest.raises(ValueError, match="refused"):
        if next_step == "begin":
            storing.begin(lambda: stored.append("later"))
        else:
            storing.finish()
    storing.close()
    assert stored == []


def test_after_a_failure_nothing_that_was_asked_is_done() -> None:
    storing = Storing()
    done: list[str] = []

    def fail() -> None:
        raise ValueError("refused")

    before = storing.ask(lambda: done.append("before"))
    storing.begin(fail)
    after = storing.ask(lambda: done.append("after"))
    before.result()
    with pytest.raises(ValueError, match="refused"):
        after.result()
    storing.close()
    assert done == ["before"]
