"""Mails taken apart: the tree of an honest one, and the bounds that a hostile one meets."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpctl.feedback import mime
from smtpctl.feedback.mime import read_headers, read_message

TWO_PARTS = (
    b'Content-Type: multipart/mixed; boundary="a b"\n\npreamble\n--a b\nContent-Type: text/plain\n\none\n'
    b"--a b  \n\ntwo\n--a b--\nepilogue\n--a b\nnever\n"
)


def test_parts_are_what_stands_between_delimiters() -> None:
    mail = read_message(TWO_PARTS)
    assert [part.body for part in mail.parts] == [b"one", b"two"]
    assert [part.content_type for part in mail.walk()] == ["multipart/mixed", "text/plain", "text/plain"]


@pytest.mark.parametrize("newline", [b"\r\n", b"\r"])
def test_every_kind_of_newline_gives_the_same_tree(newline: bytes) -> None:
    mail = read_message(TWO_PARTS.replace(b"\n", newline))
    assert [part.body for part in mail.parts] == [b"one", b"two"]


def test_a_missing_end_delimiter_ends_the_last_part_with_the_mail() -> None:
    mail = read_message(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo")
    assert [part.body for part in mail.parts] == [b"one", b"two"]


def test_a_delimiter_is_a_whole_line() -> None:
    mail = read_message(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--bc\n x --b\n--b--")
    assert [part.body for part in mail.parts] == [b"--bc\n x --b"]


def test_an_embedded_message_stays_closed() -> None:
    inner = b"Content-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--i--\n"
    mail = read_message(b"Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: message/rfc822\n\n" + inner)
    assert [part.content_type for part in mail.walk()] == ["multipart/mixed", "message/rfc822"]


@pytest.mark.parametrize(
    ("encoding", "body", "content"),
    [
        (b"base64", b"U3RhdHVzOiA1LjEuMQ==", b"Status: 5.1.1"),
        (b"quoted-printable", b"a=3Db=\nc", b"a=bc"),
        (b"7bit", b"a=3Db", b"a=3Db"),
        (b"base64", b"!!! not base64", None),
        (b"\xff", b"x", b"x"),
    ],
)
def test_content_is_without_its_transfer_encoding(encoding: bytes, body: bytes, content: bytes | None) -> None:
    part = read_headers(b"Content-Transfer-Encoding: " + encoding + b"\n\n" + body)
    if content is None:
        assert isinstance(part.content(), bytes)
    else:
        assert part.content() == content


def test_headers_are_on_one_line() -> None:
    assert read_headers(b"Subject: a\n b\n\n").header("subject") == "a b"
    assert read_headers(b"Subject: caf\xe9\n\n").header("subject") == "caf\ufffd"
    assert read_headers(b"\nSubject: none\n").header("from") == ""


def nested(depth: int) -> bytes:
    return b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (level, level) for level in range(depth))


HOSTILE = {
    "deep multiparts": nested(20_000),
    "many parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 200_000,
    "many headers": b"A: b\n" * 200_000,
    "one long header": b"Content-Type: multipart/mixed; boundary=" + b";" * 1_000_000,
    "quotes in parameters": b'Content-Type: multipart/mixed; a="' + b';"' * 500_000,
    "continued parameters": b"Content-Type: multipart/mixed" + b"".join(b"; boundary*%d=x" % n for n in range(50_000)),
    "only newlines": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"\n" * 1_000_000,
    "delimiters with blanks": b"Content-Type: multipart/mixed; boundary=b\n\n" + (b"--b" + b" " * 9 + b"x\n") * 80_000,
    "base64 bomb": b"Content-Transfer-Encoding: base64\n\n" + b"A" * 1_000_000,
    "folded blanks": b"Subject:" + b"\n " * 400_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_mail_is_read_in_bounded_time(name: str) -> None:
    started = time.process_time()
    parts = list(read_message(HOSTILE[name]).walk())
    for part in parts:
        part.text()
    assert time.process_time() - started < 2
    assert len(parts) <= mime.MAX_PARTS**mime.MAX_DEPTH


@given(st.binary(max_size=2_000))
def test_any_bytes_are_read(raw: bytes) -> None:
    for part in read_message(raw).walk():
        part.text()
        part.header("Subject")


PIECES = (
    *(b"Content-Type: multipart/mixed; boundary=", b"Content-Type: ", b"Content-Transfer-Encoding: base64"),
    *(b"message/rfc822", b"*0=", b"boundary*=utf-8''b", b"b", b"--b", b"--b--"),
    *(b"\n", b"\r", b";", b'"', b"\xff", b"\x00", b" "),
)


@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_any_pieces_of_mime_are_read(pieces: list[bytes]) -> None:
    for part in read_message(b"".join(pieces)).walk():
        part.text()
        part.parameter("boundary")
