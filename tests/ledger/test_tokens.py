"""What of a text is an address, and what only looks like one."""

from __future__ import annotations

import pytest

from smtpctl.ledger.tokens import Hider, LookupKey, canonical, hashes_in, revealed

KEY = LookupKey(1, b"k" * 32)
HIDER = Hider(KEY, [b"gmail.test"])
ADA = KEY.hash(b"ada@gmail.test").hex().encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"550 5.1.1 <ada@gmail.test>: no such user", b"550 5.1.1 <{1:ADA@gmail.test}>: no such user"),
        (b"Recipient ada@GMAIL.test.", b"Recipient {1:ADA@gmail.test}."),
        (b"rejected (Ada@gmail.test), sorry", b"rejected ({1:ADA@gmail.test}), sorry"),
        (b"'ada@gmail.test' and ada@gmail.test;", b"'{1:ADA@gmail.test}' and {1:ADA@gmail.test};"),
        (b"https://help.test/?to=x at 12:30", b"https://help.test/?to=x at 12:30"),
        (b"250 2.0.0 Ok: queued as 4jXBRg3bTbzCvh9", b"250 2.0.0 Ok: queued as 4jXBRg3bTbzCvh9"),
        (b"user @ home, a@ b", b"user @ home, a@ b"),
    ],
)
def test_addresses_in_replies_become_tokens(text: bytes, expected: bytes) -> None:
    assert HIDER.text(text) == expected.replace(b"ADA", ADA)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (b"bounce+ada=gmail.test@shop.test", b"bounce+{1:ADA=gmail.test}@shop.test"),
        (b"news-ada=gmail.test@shop.test", b"news-{1:ADA=gmail.test}@shop.test"),
        (b"SRS0=HHH=TT=gmail.test=ada@shop.test", b"SRS0=HHH=TT={1:ADA=gmail.test}@shop.test"),
        (b"prvs=1234abcd=bounce+ada=gmail.test@shop.test", b"prvs=1234abcd=bounce+{1:ADA=gmail.test}@shop.test"),
        (b"a=b@shop.test", b"a=b@shop.test"),
        (b"ada@gmail.test", b"ada@gmail.test"),
    ],
)
def test_addresses_packed_into_others_become_tokens(address: bytes, expected: bytes) -> None:
    assert HIDER.address(address) == expected.replace(b"ADA", ADA)


def test_where_nobody_knows_where_a_packed_address_begins_more_is_hidden() -> None:
    assert HIDER.address(b"news-42-ada=gmail.test@shop.test").startswith(b"news-{1:")


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        (b"20261121.4711@shop.test", b"20261121.4711@shop.test"),
        (b"CAF3x+y=1@mail.gmail.test", b"CAF3x+y=1@mail.gmail.test"),
        (b"ada@gmail.test", b"{1:ADA@gmail.test}"),
        (b"17.ada=gmail.test@shop.test", None),
        (b"ada@gmail.test@shop.test", b"{1:ADA@gmail.test}@shop.test"),
    ],
)
def test_a_message_id_keeps_its_form_unless_it_names_somebody(identity: bytes, expected: bytes | None) -> None:
    hidden = HIDER.message_id(identity)
    assert b"ada" not in hidden
    assert expected is None or hidden == expected.replace(b"ADA", ADA)


def test_no_odd_address_stays_in_clear() -> None:
    for local in (b'"ada lovelace"', b"ada'o", b"ada/x", "ädä".encode(), b"ada" * 60):
        hidden = HIDER.text(b"<" + local + b"@gmail.test> refused")
        assert local not in hidden
        assert hidden.endswith(b"@gmail.test}> refused") or b"'" in local


def test_what_was_hidden_is_found_again_by_its_hash() -> None:
    text = HIDER.text(b"<ada@gmail.test> and <b+ada=gmail.test@shop.test>").decode()
    packed = canonical(HIDER.address(b"b+ada=gmail.test@shop.test"))
    assert KEY.hash(canonical(b"ada@gmail.test")) in hashes_in(text)
    known = {KEY.hash(b"ada@gmail.test"): "ada@gmail.test", KEY.hash(packed): packed.decode()}
    assert revealed(text, known).startswith("<ada@gmail.test> and <")
    assert revealed(f"b+{{1:{ADA.decode()}=gmail.test}}@shop.test", known) == "b+ada=gmail.test@shop.test"
