"""What a client says never becomes a name that the database could not take."""

from __future__ import annotations

import json

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
