"""Greylisting of the lab's mailbox providers: the decision, and the requests it is made for."""

from __future__ import annotations

from smtpctl.lab.internet.greylist import Greylist, triple_of

TRIPLE = ("10.78.2.1", "bounce+ada@bounce.shop.test", "grey@gmail.test")
REFUSED = "450 4.2.0 Greylisted, please come back later"


def test_a_first_attempt_is_refused_and_a_retry_after_the_delay_is_let_in() -> None:
    greylist = Greylist(delay=5.0)
    assert greylist.decide(TRIPLE, 100.0) == REFUSED
    assert greylist.decide(TRIPLE, 105.0) == "DUNNO"


def test_a_retry_before_the_delay_is_refused_and_does_not_start_the_delay_anew() -> None:
    greylist = Greylist(delay=5.0)
    greylist.decide(TRIPLE, 100.0)
    assert greylist.decide(TRIPLE, 104.9) == REFUSED
    assert greylist.decide(TRIPLE, 105.0) == "DUNNO"


def test_another_client_starts_its_own_delay() -> None:
    greylist = Greylist(delay=5.0)
    greylist.decide(TRIPLE, 100.0)
    assert greylist.decide(("10.78.2.4", *TRIPLE[1:]), 105.0) == REFUSED


def test_a_triple_that_was_let_in_stays_so() -> None:
    greylist = Greylist(delay=5.0)
    greylist.decide(TRIPLE, 100.0)
    assert greylist.decide(TRIPLE, 10_000.0) == "DUNNO"


def test_a_request_of_postfix_is_read_by_name_and_addresses_without_regard_to_case() -> None:
    request = b"client_address=10.78.2.1\nsender=Ada=x@Bounce.test\nrecipient=Grey@gmail.test\n\n"
    assert triple_of(request) == ("10.78.2.1", "ada=x@bounce.test", "grey@gmail.test")


def test_a_null_sender_is_an_empty_one() -> None:
    assert triple_of(b"client_address=10.78.2.1\nsender=\nrecipient=grey@gmail.test\n\n")[1] == ""
