"""The header From: a table of what passes, and its twin of what is refused, with the reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.header_from import UnclearError, addresses, objection


def domains(value: bytes) -> list[str]:
    return [address.rpartition("@")[2] for address in addresses(value)]


GOOD = [
    ("a@shop.test", ["shop.test"]),
    ("a@SHOP.Test", ["shop.test"]),
    ("  a@shop.test  ", ["shop.test"]),
    ("<a@shop.test>", ["shop.test"]),
    ("Shop <a@shop.test>", ["shop.test"]),
    ("The Shop <first.last+tag@shop.test>", ["shop.test"]),
    ('"Shop, Inc." <a@shop.test>', ["shop.test"]),
    ('"a \\" quote" <a@shop.test>', ["shop.test"]),
    ("J. R. Smith <a@shop.test>", ["shop.test"]),
    ("Müller & Söhne <a@shop.test>", ["shop.test"]),
    ("=?utf-8?q?M=C3=BCller?= <a@shop.test>", ["shop.test"]),
    ("=?utf-8?B?TcO8bGxlcg==?= =?utf-8?q?_und_S=C3=B6hne?= <a@shop.test>", ["shop.test"]),
    ("=?iso-8859-1?Q?M=FCller?= <a@shop.test>", ["shop.test"]),
    ('"=?utf-8?q?M=C3=BCller?=" <a@shop.test>', ["shop.test"]),
    ("a@shop.test (The Shop)", ["shop.test"]),
    ("(one (in another)) a@shop.test", ["shop.test"]),
    ("Shop (info \\) really) <a@shop.test>", ["shop.test"]),
    ("Shop\r\n <a@shop.test>", ["shop.test"]),
    ("Shop\n\t<a@shop.test>", ["shop.test"]),
    ("a@shop.test, b@news.test", ["shop.test", "news.test"]),
    ('A <a@shop.test>, "B, C" <b@x.news.test> , c@shop.test', ["shop.test", "x.news.test", "shop.test"]),
    ("a@xn--mnchen-3ya.test", ["xn--mnchen-3ya.test"]),
    ("日本語 <a@shop.test>", ["shop.test"]),
]

BAD = [
    ("", "no address"),
    ("   ", "no address"),
    ("Shop", "no address"),
    ("a", "no address"),
    ("a@", "unquoted"),
    ("@shop.test", "unquoted"),
    ("a@shop", "unquoted"),
    ("a@shop.test b@evil.test", "unquoted"),
    ("a@shop.test <b@evil.test>", "unquoted"),
    ("a@evil.test@shop.test", "unquoted"),
    ("a@shop.test;b@evil.test", "unquoted"),
    ("a@shop.test,", "no address"),
    (",a@shop.test", "unquoted"),
    ("a@shop.test,,b@shop.test", "unquoted"),
    ("a@shop.test>", "unquoted"),
    ("<a@shop.test", "between"),
    ("<a@shop.test> <b@evil.test>", "ended"),
    ("<a@shop.test> b@evil.test", "ended"),
    ("Shop <a@shop.test> trailing", "ended"),
    ("<<a@shop.test>>", "between"),
    ("<a@shop.test,b@evil.test>", "between"),
    ("< a@shop.test >", "between"),
    ("<>", "between"),
    ("<@evil.test:a@shop.test>", "between"),
    ("a @shop.test", "unquoted"),
    ("a@ shop.test", "unquoted"),
    ("a@shop .test", "unquoted"),
    ("a(comment)@shop.test", "unquoted"),
    ('"a b"@shop.test', "unquoted"),
    ('"a@evil.test"@shop.test', "unquoted"),
    ("a@[192.0.2.1]", "unquoted"),
    ("Shop <a@[192.0.2.1]>", "between"),
    ("a..b@shop.test", "unquoted"),
    (".a@shop.test", "unquoted"),
    ("a@shop.test.", "unquoted"),
    ("a@-shop.test", "proper domain"),
    ("a@shop-.test", "proper domain"),
    ("a@shöp.test", "unquoted"),
    ("ä@shop.test", "unquoted"),
    ("Group: a@shop.test;", "unquoted"),
    ("undisclosed-recipients:;", "unquoted"),
    ('"open <a@shop.test>', "not closed"),
    ("(open a@shop.test", "not closed"),
    ("a@shop.test (open", "not closed"),
    ("(" * 40 + ")" * 40 + "a@shop.test", "too deeply"),
    ("=?utf-8?q?a=40evil.test?= a@shop.test", "unquoted"),
    ("=?utf-8?q?a=40evil?=@shop.test", "encoded word"),
    ("=?utf-8?q?=3Cb=40evil.test=3E?= <a@shop.test>", "hides"),
    ("=?utf-8?b?PGJAZXZpbC50ZXN0Pg==?= <a@shop.test>", "hides"),
    ('"=?utf-8?q?=3Cb=40evil.test=3E?=" <a@shop.test>', "hides"),
    ("a@shop.test (=?utf-8?q?=3Cb=40evil.test=3E?=)", "hides"),
    ("=?utf-8?q?a=00b?= <a@shop.test>", "hides"),
    ("=?utf-8?q?a=0Ab?= <a@shop.test>", "hides"),
    ("=?utf-8?q?=E2=80=AEtset=2Epohs?= <a@shop.test>", "hides"),
    ("=?utf-8?q?=FF?= <a@shop.test>", "decoded"),
    ("=?no-such?q?x?= <a@shop.test>", "decoded"),
    ("=?utf-8?b?%%%?= <a@shop.test>", "decoded"),
    ("=?utf-8?q?open <a@shop.test>", "malformed"),
    ("=?utf-8?x?y?= <a@shop.test>", "malformed"),
    ("a@shop.test\x00", "control"),
    ("a@shop.test\x00@evil.test", "control"),
    ("a@shop.test\nBcc: b@evil.test", "control"),
    ("a@shop.test\rb", "control"),
    ("\x1b[2J <a@shop.test>", "control"),
    ("\u202etset.pohs <a@shop.test>", "control"),
    ("x" * 20000 + " <a@shop.test>", "longer"),
    ("x" * 320 + "@shop.test", "proper domain"),
]


@pytest.mark.parametrize(("value", "expected"), GOOD)
def test_a_plain_field_gives_the_domain_of_each_address(value: str, expected: list[str]) -> None:
    assert domains(value.encode()) == expected


@pytest.mark.parametrize(("value", "reason"), BAD)
def test_a_field_that_readers_could_differ_about_is_refused(value: str, reason: str) -> None:
    with pytest.raises(UnclearError, match=reason):
        domains(value.encode())


def test_bytes_that_are_no_utf8_are_refused() -> None:
    with pytest.raises(UnclearError, match="UTF-8"):
        domains("Müller <a@shop.test>".encode("latin-1"))


def shop(address: str) -> bool:
    domain = address.rpartition("@")[2]
    return domain == "shop.test" or domain.endswith(".shop.test")


HEADERS_GOOD: list[list[tuple[bytes, bytes]]] = [
    [(b"From", b"a@shop.test")],
    [(b"FROM", b" a@shop.test"), (b"To", b"b@evil.test"), (b"Reply-To", b"c@evil.test")],
    [(b"From", b"a@shop.test, b@shop.test"), (b"Sender", b"a@x.shop.test")],
    [(b"From", b"a@shop.test"), (b"Resent-From", b"b@shop.test"), (b"Resent-From", b"c@shop.test")],
    [(b"From", b"a@shop.test"), (b"X-From", b"b@evil.test")],
]

HEADERS_BAD: list[tuple[list[tuple[bytes, bytes]], str]] = [
    ([], "0 From fields"),
    ([(b"To", b"a@shop.test")], "0 From fields"),
    ([(b"From", b"a@shop.test"), (b"From", b"a@shop.test")], "2 From fields"),
    ([(b"From", b"a@shop.test"), (b"from ", b"b@evil.test")], "2 From fields"),
    ([(b"From", b"a@shop.test"), (b"F\0rom", b"b@evil.test")], "2 From fields"),
    ([(b"From\t", b"b@evil.test")], "may not use b@evil.test in the From"),
    ([(b"From", b"b@evil.test")], "Credential shop may not use b@evil.test in the From field"),
    ([(b"From", b"b@evilshop.test")], "may not use b@evilshop.test"),
    ([(b"From", b"a@shop.test, b@evil.test")], "may not use b@evil.test"),
    ([(b"From", b"shop.test <b@evil.test>")], "may not use b@evil.test"),
    ([(b"From", b'"a@shop.test" <b@evil.test>')], "may not use b@evil.test"),
    ([(b"From", b"b@evil.test (a@shop.test)")], "may not use b@evil.test"),
    ([(b"From", b"a@shop.test"), (b"Sender", b"b@evil.test")], "evil.test in the Sender"),
    ([(b"From", b"a@shop.test"), (b"Sender", b"")], "Sender field is not a plain address"),
    ([(b"From", b"a@shop.test"), (b"Sender", b"a@shop.test, b@shop.test")], "Sender field has 2 addresses"),
    ([(b"From", b"a@shop.test"), (b"Sender", b"a@shop.test"), (b"Sender", b"a@shop.test")], "2 Sender fields"),
    ([(b"From", b"a@shop.test"), (b"Resent-From", b"b@evil.test")], "evil.test in the Resent-From"),
    ([(b"From", b"a@shop.test"), (b"Resent-Sender", b"b@evil.test")], "evil.test in the Resent-Sender"),
]


@pytest.mark.parametrize("headers", HEADERS_GOOD)
def test_a_message_from_the_credentials_domains_passes(headers: list[tuple[bytes, bytes]]) -> None:
    assert objection(headers, shop, "shop") is None


@pytest.mark.parametrize(("headers", "reason"), HEADERS_BAD)
def test_a_message_that_claims_another_domain_is_refused(headers: list[tuple[bytes, bytes]], reason: str) -> None:
    text = objection(headers, shop, "shop")
    assert text
    assert reason in text


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    try:
        found = domains(value)
    except UnclearError:
        return
    assert found


PIECES = [
    "a@shop.test",
    "b@evil.test",
    "<",
    ">",
    '"',
    "(",
    ")",
    ",",
    " ",
    "\\",
    ":",
    ";",
    "=?utf-8?q?",
    "?=",
    "@",
    "\r\n ",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_whatever_python_finds_as_another_domains_address_is_not_passed(value: str) -> None:
    # The standard library stands for a reader of another mind: what it shows as the address must be one we saw.
    from email import policy
    from email.parser import Parser

    try:
        found = domains(value.encode())
    except UnclearError:
        return
    message = Parser(policy=policy.default).parsestr(f"From: {value.strip()}\n\n")
    seen = {address.domain.lower() for address in message["From"].addresses if address.domain}
    assert seen <= set(found)
