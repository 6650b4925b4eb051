"""What failing replies mean: the same whether judged one by one or from memory."""

from __future__ import annotations

import pytest

from smtpctl.feedback.verdict import judge
from smtpctl.intake.shipper.verdicts import classify

REPLIES = [
    ("5.1.1", "host mx[192.0.2.1] said: 550 5.1.1 <ada{n}@d.test>: Recipient address rejected: User unknown"),
    ("4.7.28", "host mx[192.0.2.1] said: 421-4.7.28 rate limited a1-20020a05600c{n}si1234567wmq.45 - gsmtp"),
    ("5.7.1", "host mx[192.0.2.1] said: 550 5.7.1 [4jX5vT1sY3zJk{n}] Our system has detected that this is spam"),
    ("4.2.2", "host mx[192.0.2.1] said: 452 4.2.2 mailbox full, established long ago {n}"),
    ("4.4.1", "connect to mx[192.0.2.1]:25: Connection refused"),
]


@pytest.mark.parametrize(("dsn", "reply"), REPLIES)
def test_a_reply_is_judged_as_itself_whatever_was_judged_before(dsn: str, reply: str) -> None:
    for number in range(1000, 1003):
        said = reply.format(n=number)
        alone = judge(dsn, said, "")
        verdict = classify(dsn.encode(), said.encode(), None)
        assert (str(verdict.hardness), verdict.category) == (str(alone.hardness), str(alone.category))


def test_replies_that_differ_in_a_code_are_judged_apart() -> None:
    full = classify(b"5.0.0", b"host mx said: 552 5.2.2 over quota", None)
    unknown = classify(b"5.0.0", b"host mx said: 550 5.1.1 no such user", None)
    assert full.category != unknown.category
