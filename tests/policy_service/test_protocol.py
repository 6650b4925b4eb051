"""The parser of the delegation protocol: any cut of the stream gives the same requests; what is too much is refused."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.protocol import LARGEST_REQUEST, ProtocolError, Request, RequestParser, number, reply, usual

CAPTURED = b"""request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=192.0.2.7
client_name=unknown
client_port=40312
reverse_client_name=unknown
server_address=192.0.2.1
server_port=587
helo_name=shop
sender=a@shop.test
recipient=x@gmail.test
recipient_count=0
queue_id=
instance=1f2.65a.b3.0
size=2048
etrn_domain=
stress=
sasl_method=PLAIN
sasl_username=shop
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=TLSv1.3
encryption_cipher=TLS_AES_256_GCM_SHA384
encryption_keysize=256
policy_context=

"""


def blocks(requests: list[Request]) -> list[bytes]:
    return [request.attributes for request in requests]


def test_the_attributes_of_a_captured_request_are_found() -> None:
    (request,) = RequestParser().feed(CAPTURED)
    assert request.get(b"request") == b"smtpd_access_policy"
    assert request.text(b"sasl_username") == "shop"
    assert number(request.size) == 2048
    assert request.get(b"queue_id") == b""
    assert request.get(b"policy_context") == b""
    assert request.get(b"no_such_attribute") == b""


@pytest.mark.parametrize(
    ("block", "name", "value"),
    [
        (b"sender=a=b=c", b"sender", b"a=b=c"),
        (b"helo_name=sender=evil\nsender=good", b"sender", b"good"),
        (b"sender=first\nsender=second", b"sender", b"first"),
        (b"xsender=evil\nsender=good", b"sender", b"good"),
        (b"sender", b"sender", b""),
        (b"=x", b"sender", b""),
        (b"sender=\xff\xfe", b"sender", b"\xff\xfe"),
        (b"", b"sender", b""),
    ],
)
def test_an_attribute_is_found_whatever_stands_around_it(block: bytes, name: bytes, value: bytes) -> None:
    assert Request.of(block).get(name) == value


@pytest.mark.parametrize(
    ("value", "meant"), [(b"0", 0), (b"12", 12), (b"", 0), (b"-1", 0), (b"1e3", 0), (b"9" * 40, 0), (b"\xb2", 0)]
)
def test_a_number_that_is_none_counts_as_zero(value: bytes, meant: int) -> None:
    assert number(Request.of(b"recipient_count=" + value).recipients) == meant


def test_requests_in_one_piece_come_out_one_by_one() -> None:
    assert len(RequestParser().feed(CAPTURED * 50)) == 50


@given(
    st.lists(st.binary(max_size=40).map(lambda raw: b"a=" + raw.replace(b"\n", b"")), max_size=8),
    st.lists(st.integers(0, 400), max_size=10),
)
def test_any_cut_of_the_stream_gives_the_same_requests(contents: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(content + b"\n\n" for content in contents)
    parser = RequestParser()
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    found = [request for start, end in itertools.pairwise(edges) for request in parser.feed(stream[start:end])]
    assert blocks(found) == blocks([Request.of(content) for content in contents])
    assert parser.pending == b""


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_bytes_leave_a_bounded_rest(pieces: list[bytes]) -> None:
    whole, parts = RequestParser(), RequestParser()
    found = [request for piece in pieces for request in parts.feed(piece)]
    assert blocks(found) == blocks(whole.feed(b"".join(pieces)))
    assert parts.pending == whole.pending


def test_an_empty_line_alone_is_a_request_without_attributes() -> None:
    assert blocks(RequestParser().feed(b"\n")) == blocks([Request.of(b"")])


def test_a_request_without_end_is_refused_and_its_memory_freed() -> None:
    parser = RequestParser()
    with pytest.raises(ProtocolError, match=str(LARGEST_REQUEST)):
        for _ in range(LARGEST_REQUEST):
            parser.feed(b"a=bbbbbbb\n")
    assert parser.pending == b""


def test_a_whole_request_in_one_piece_is_bounded_too() -> None:
    with pytest.raises(ProtocolError):
        RequestParser().feed(b"a=" + b"b" * LARGEST_REQUEST + b"\n\n")
    assert usual(CAPTURED.replace(b"unknown", b"b" * LARGEST_REQUEST)) is None


#: What Postfix 3.8 and later send after the attributes of 3.2.
NEWER = b"compatibility_level=3.10\nmail_version=3.10.5\n\n"


@pytest.mark.parametrize("data", [CAPTURED, CAPTURED[:-1] + NEWER], ids=["3.7", "3.10"])
def test_a_request_of_postfix_is_read_by_one_match(data: bytes) -> None:
    values = usual(data)
    assert values
    request = Request._make(values)
    assert (request.state, request.user, request.size) == (b"RCPT", b"shop", b"2048")


@pytest.mark.parametrize(
    "data",
    [
        CAPTURED[:-1],
        CAPTURED + b"\n",
        CAPTURED * 2,
        CAPTURED.replace(b"smtpd_access_policy", b"junk_policy"),
        CAPTURED.replace(b"sender=a@shop.test\n", b""),
        CAPTURED.replace(b"sender=", b"sender"),
        b"sender=first@shop.test\n" + CAPTURED,
    ],
)
def test_what_looks_otherwise_is_searched(data: bytes) -> None:
    assert usual(data) is None


@given(st.lists(st.sampled_from(CAPTURED.splitlines()) | st.binary(max_size=8), max_size=25))
def test_both_ways_of_reading_agree(extra: list[bytes]) -> None:
    data = CAPTURED[:-1] + b"".join(line.replace(b"\n", b"") + b"\n" for line in extra) + b"\n"
    (searched, *_), values = RequestParser().feed(data), usual(data)
    if values is not None:
        matched = Request._make(values)
        for name in Request._fields[1:]:
            assert getattr(matched, name) == getattr(searched, name), name
        assert matched.get(b"helo_name") == searched.get(b"helo_name") == b"shop"


@pytest.mark.parametrize("block", [b"protocol_state=DATA", b"request=junk\nprotocol_state=DATA"])
def test_what_is_no_request_of_postfix_has_no_stage(block: bytes) -> None:
    assert Request.of(block).state == b""


def test_a_byte_at_a_time_costs_no_more_than_its_bytes() -> None:
    parser = RequestParser()
    found = [request for byte in CAPTURED * 5 for request in parser.feed(bytes([byte]))]
    assert len(found) == 5


@pytest.mark.parametrize(
    ("action", "line"),
    [
        ("DUNNO", b"action=DUNNO\n\n"),
        ("REJECT a\nb", b"action=REJECT a?b\n\n"),
        ("REJECT \u2713 \x00", b"action=REJECT ? ?\n\n"),
    ],
)
def test_a_reply_is_one_line(action: str, line: bytes) -> None:
    assert reply(action) == line
