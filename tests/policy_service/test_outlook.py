"""What a client says never becomes a name that the database could not take."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policy_service.engine import Engine
from policy_service.leases import Book
from policy_service.protocol import Request
from policy_service.rules_file import parse
from policy_service.standing import Standing
from tests.policy_service.test_dialogues import Asker, Notes

RULES = {
    "version": 1,
    "streams": {"t": {"filter": "x:y"}},
    "credentials": {
        "shop": {
            "senders": ["shop.test"],
            "stream": "t",
            "limits": [{"key": ["sender", "domain", "client"], "counted": "messages", "count": 10, "per": 60}],
        }
    },
    "rules": {"sender": "off"},
}
Change = dict[str, Any]


@pytest.mark.parametrize("spoilt", [b"a\xff@shop.test", b"a\0@shop.test", b"\xc3@\xed\xa0\x80", "ü@shop.test".encode()])
def test_any_sender_makes_a_name_that_is_text(spoilt: bytes) -> None:
    book = Book()
    book.connected = True
    engine = Engine(parse(json.dumps(RULES)), book, Notes(), Standing(), 0.0)
    lines = [b"request=smtpd_access_policy", b"protocol_state=DATA", b"sasl_username=shop", b"instance=1", b"size=1"]
    lines += [b"recipient_count=1", b"sender=" + spoilt, b"client_address=192.0.2.7"]
    engine.decide(Request.of(b"\n".join(lines)), Asker(), 1)
    (name,) = book.keys
    assert name.isprintable()
    name.encode()
    assert book.waiting == 1


def data(engine: Engine, number: int) -> bytes:
    """The answer to a message with somebody else's sender, from anywhere."""
    lines = [b"request=smtpd_access_policy", b"protocol_state=DATA", b"sasl_username=shop", b"recipient_count=1"]
    lines += [b"instance=%d" % number, b"sender=a@other.test", b"client_address=192.0.2.7"]
    return engine.decide(Request.of(b"\n".join(lines)), Asker(), 1) or b"waits"


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({}, b"waits"),
        ({"rules": {}}, b"action=REJECT 5.7.1 Credential shop may not send as other.test\n\n"),
        ({"streams": {"t": {"filter": "y:z"}}, "rules": {"sender": "off", "quota": "off"}}, b"action=FILTER y:z\n\n"),
        ({"credentials": {}}, b"action=REJECT 5.7.1 This credential is not one of the fleet's\n\n"),
    ],
)
def test_what_a_reload_changes_holds_for_the_next_message(change: Change, answer: bytes) -> None:
    book = Book()
    book.connected = True
    engine = Engine(parse(json.dumps(RULES)), book, Notes(), Standing(), 0.0)
    assert data(engine, 1) == b"waits"
    for text in (json.dumps(RULES), json.dumps({**RULES, **change})):
        engine.load(parse(text, before=engine.ruleset.credentials), 0.0)
    assert data(engine, 2) == answer


def test_a_credential_that_says_the_same_is_the_same_object() -> None:
    shop = parse(json.dumps(RULES)).credentials["shop"]
    again = parse(json.dumps(RULES), before={"shop": shop}).credentials["shop"]
    assert again is shop
    other = json.dumps(RULES).replace('"count": 10', '"count": 11')
    assert parse(other, before={"shop": shop}).credentials["shop"].limits[0].shape.count == 11
