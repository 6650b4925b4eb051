"""Decisions: the common form of reject, hold, filter and their kin, from whoever decides."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smtpctl.maillog.recorder import Said

Say = Callable[[str], Said]
ENVELOPE = "from=<a@b.test> to=<c@d.test> proto=ESMTP helo=<h.test>"
WHO = {"sender": b"a@b.test", "recipient": b"c@d.test", "helo": b"h.test"}

GOOD = {
    f"NOQUEUE: reject: RCPT from h.test[192.0.2.1]: 554 5.7.1 <c@d.test>: Relay access denied; {ENVELOPE}": {
        "action": b"reject",
        "stage": b"RCPT",
        "client": b"h.test[192.0.2.1]",
        "code": b"554",
        "status": b"5.7.1",
        "text": b"<c@d.test>: Relay access denied",
        **WHO,
    },
    "NOQUEUE: reject: RCPT from h.test[192.0.2.1]:4711: 450 4.7.1 <a@b.test>: Sender address rejected: slow down; "
    f"{ENVELOPE} sasl_method=PLAIN sasl_username=shop": {"sasl_username": b"shop", "client": b"h.test[192.0.2.1]:4711"},
    f"NOQUEUE: milter-reject: RCPT from h[192.0.2.1]: 550 5.7.1 <x>: refused; spam, virus=(E) status=bad; {ENVELOPE}": {
        "action": b"milter-reject",
        "text": b"<x>: refused; spam, virus=(E) status=bad",
        **WHO,
    },
    "NOQUEUE: reject: MAIL from h[192.0.2.1]: 550 5.7.1 no; from=<a@b.test> proto=ESMTP helo=<h.test>": {
        "sender": b"a@b.test",
        "stage": b"MAIL",
    },
    "NOQUEUE: reject: VRFY from u[2001:db8::1]: 454 4.7.1 <x>: Relay access denied; to=<x> proto=SMTP helo=<me>": {
        "recipient": b"x",
        "client": b"u[2001:db8::1]",
    },
    "NOQUEUE: reject: CONNECT from [5.6.7.8]:1337: all server ports busy": {
        "client": b"[5.6.7.8]:1337",
        "text": b"all server ports busy",
    },
    f"NOQUEUE: hold: RCPT from h[192.0.2.1]: <a@b.test>: Sender address suspicious; {ENVELOPE}": {"action": b"hold"},
    f"NOQUEUE: warn: RCPT from h[192.0.2.1]: watch this one; {ENVELOPE}": {"action": b"warn", **WHO},
    "warning: reject: ETRN x... from localhost[127.0.0.1]": {"action": b"reject", "stage": b"ETRN x..."},
}
WITH_QUEUE_ID = {
    f"filter: DATA from h[192.0.2.1]: <DATA>: Data command triggers FILTER bulk:[127.0.0.1]:10026; {ENVELOPE}": {
        "action": b"filter",
        "text": b"<DATA>: Data command triggers FILTER bulk:[127.0.0.1]:10026",
    },
    f"milter-reject: END-OF-MESSAGE from h[192.0.2.1]: 5.7.1 Spam message rejected; {ENVELOPE}": {
        "status": b"5.7.1",
        "stage": b"END-OF-MESSAGE",
    },
    f"reject: header Subject: viagra from h[192.0.2.1]; {ENVELOPE}: 5.7.1 no drugs please": {
        "stage": b"header Subject: viagra",
        "status": b"5.7.1",
        "text": b"no drugs please",
        **WHO,
    },
    f"info: header Received: from x[203.0.113.9] by y from h[192.0.2.1]; {ENVELOPE}": {
        "stage": b"header Received: from x[203.0.113.9] by y",
        "client": b"h[192.0.2.1]",
    },
    f"prepend: header Subject: p from local; {ENVELOPE}: X-Lab: yes": {"client": b"local", "text": b"X-Lab: yes"},
    f"redirect: header Subject: r from h[192.0.2.1]; {ENVELOPE}: hold@x.test": {"text": b"hold@x.test"},
    f"reject: header Subject: a; from=<evil@x> to=<y> from h[192.0.2.1]; {ENVELOPE}: no": {**WHO, "text": b"no"},
}


@pytest.mark.parametrize(("text", "expected"), GOOD.items())
def test_a_decision_before_the_queue_is_read(say: Say, text: str, expected: dict[str, bytes]) -> None:
    said = say(text)
    assert (said.event, said.queue_id) == ("decision", None)
    assert {name: said.fields.get(name) for name in expected} == expected


@pytest.mark.parametrize(("text", "expected"), WITH_QUEUE_ID.items())
def test_a_decision_about_a_message_names_it(say: Say, text: str, expected: dict[str, bytes]) -> None:
    said = say(f"4jX5vT1sY3zJk9D: {text}")
    assert (said.event, said.queue_id) == ("decision", b"4jX5vT1sY3zJk9D")
    assert {name: said.fields.get(name) for name in expected} == expected


@pytest.mark.parametrize("text", ["reject: no client and no envelope", "warning: something else", "filter:"])
def test_what_only_begins_like_a_decision_is_none(say: Say, text: str) -> None:
    assert say(f"4jX5vT1sY3zJk9D: {text}").event != "decision"
