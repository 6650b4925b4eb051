"""Replies and what they mean. Most are quoted from providers' own pages; each false "hard" would cost somebody mail."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpctl.errors import LedgerError
from smtpctl.feedback import rules
from smtpctl.feedback.categories import HARD, Action, Category
from smtpctl.feedback.verdict import judge


def replies(name: str = "replies.txt") -> list[list[str]]:
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    return [[cell.strip().removeprefix("-") for cell in line.split("|", 3)] for line in lines if line[:1] != "#"]


@pytest.mark.parametrize(("category", "hardness", "status", "text"), replies())
def test_a_reply_has_its_category(category: str, hardness: str, status: str, text: str) -> None:
    verdict = judge(status, text)
    assert (str(verdict.category), verdict.hard) == (category, hardness == "hard")


@pytest.mark.parametrize(("provider", "category", "status", "text"), replies("provider_replies.txt"))
def test_what_a_provider_documents_is_known_by_its_name_and_by_its_words(
    provider: str, category: str, status: str, text: str
) -> None:
    for name in (provider, ""):
        verdict = judge(status, text, name)
        assert str(verdict.category) == category
        assert verdict.source
        assert verdict.date.startswith("202")
        assert verdict.action in rules.advice()


def test_every_category_has_an_action_and_every_action_a_sentence() -> None:
    assert rules.actions().keys() == set(Category)
    assert rules.advice().keys() == set(Action)
    assert judge("5.7.1", "421 4.7.0 [TS03] permanently deferred").action is Action.PAUSE
    assert judge("", "550 something happened").hardness == "undetermined"


def test_only_an_address_that_is_bad_is_to_be_removed() -> None:
    assert judge("5.1.1", "550 5.1.1 user unknown").action is Action.REMOVE
    assert judge("4.1.1", "450 4.1.1 user unknown").action is Action.RETRY


def test_a_provider_does_not_speak_for_another() -> None:
    assert judge("5.7.606", "550 5.7.606 no", "google").category is Category.POLICY
    assert judge("5.7.606", "550 5.7.606 no", "microsoft").category is Category.REPUTATION


@pytest.mark.parametrize("text", ["7", "a.b", "7.606-8.1", "7.1/6"])
def test_a_rule_with_a_wrong_code_is_an_error(text: str) -> None:
    with pytest.raises(LedgerError, match=r"no enhanced status code"):
        rules.Codes.read(text)


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
