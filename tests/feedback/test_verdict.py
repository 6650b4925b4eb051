"""Replies and what they mean. Most are quoted from providers' own pages; each false "hard" would cost somebody mail."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpctl.feedback.categories import HARD, Category
from smtpctl.feedback.verdict import judge


def replies() -> list[list[str]]:
    lines = (Path(__file__).parent / "replies.txt").read_text(encoding="utf-8").splitlines()
    return [[cell.strip().removeprefix("-") for cell in line.split("|", 3)] for line in lines if line[:1] != "#"]


@pytest.mark.parametrize(("category", "hardness", "status", "text"), replies())
def test_a_reply_has_its_category(category: str, hardness: str, status: str, text: str) -> None:
    verdict = judge(status, text)
    assert (str(verdict.category), verdict.hard) == (category, hardness == "hard")


def test_a_block_list_that_mentions_users_costs_no_address() -> None:
    assert not judge("5.7.1", "550 5.7.1 blocked using bl.example.org: too many unknown users from 192.0.2.1").hard


def test_words_in_an_address_are_no_words_of_the_server() -> None:
    assert judge("5.1.1", "550 5.1.1 <spam.quota@blocked.example>: User unknown").category is Category.INVALID_MAILBOX


@given(status=st.sampled_from(["", "4.1.1", "5.1.1", "5.0.0"]), text=st.text(max_size=200))
def test_only_two_categories_are_ever_hard_and_no_4xx_is(status: str, text: str) -> None:
    verdict = judge(status, text)
    assert not verdict.hard or verdict.category in HARD
    assert not judge(status, "450 " + text).hard


@pytest.mark.parametrize("piece", ["user ", "message ", "host ", "not ", "(", "size exceed ", "a@", "5.1.", "sender "])
def test_a_hostile_reply_is_judged_in_bounded_time(piece: str) -> None:
    started = time.process_time()
    judge("", piece * (4_096 // len(piece)))
    assert time.process_time() - started < 0.5
