"""The From check over the milter protocol, as Postfix speaks it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.from_guard import Guard
from policy_service.milter import CONTINUE, LARGEST_PACKET, TEMPFAIL, Headers, MilterError, Session, refusal

RULES = Path(__file__).parent / "dialogues" / "rules.json"

#: What Postfix 3.10 offers: version 6, all actions, all protocol steps.
OFFER = struct.pack("!III", 6, 0x1FF, 0x1FFFFF)


def packet(command: bytes, data: bytes = b"") -> bytes:
    return struct.pack("!I", len(data) + 1) + command + data


def macros(stage: bytes, **values: str) -> bytes:
    pairs = b"".join(f"{{{name}}}\0{value}\0".encode() for name, value in values.items())
    return packet(b"D", stage + pairs)


def message(credential: str, *headers: tuple[str, str]) -> bytes:
    lines = b"".join(packet(b"L", f"{name}\0{value}\0".encode()) for name, value in headers)
    signed_in = macros(b"M", auth_type="PLAIN", auth_authen=credential) if credential else macros(b"M", i="x")
    return signed_in + packet(b"M", b"<a@shop.test>\0") + lines + packet(b"E")


def answers(stream: bytes) -> list[bytes]:
    found = []
    while stream:
        (length,) = struct.unpack_from("!I", stream)
        found.append(stream[4 : 4 + length])
        stream = stream[4 + length :]
    return found


@pytest.fixture
def session() -> Session:
    session = Session(Guard(RULES).decide)
    session.feed(packet(b"O", OFFER))
    return session


def test_the_filter_asks_for_headers_only_and_changes_nothing_but_hold() -> None:
    (answer,) = answers(Session(Guard(RULES).decide).feed(packet(b"O", OFFER)))
    version, actions, steps = struct.unpack("!III", answer[1:])
    assert (answer[:1], version, actions) == (b"O", 6, 0x20)
    assert steps & 0x04 == 0, "mail stays: its macros say who signed in"
    assert steps & 0x20 == 0, "headers stay"
    assert steps & 0x10, "bodies are not sent"


def test_a_proper_message_passes_with_one_answer(session: Session) -> None:
    assert answers(session.feed(message("shop", ("Subject", "x"), ("From", "a@shop.test")))) == [CONTINUE]


def test_another_domain_in_the_header_is_refused(session: Session) -> None:
    (answer,) = answers(session.feed(message("shop", ("From", "Shop <a@evil.test>"))))
    assert answer == b"y550 5.7.1 Credential shop may not use a@evil.test in the From field\0"


def test_nobody_signed_in_is_refused(session: Session) -> None:
    (answer,) = answers(session.feed(message("", ("From", "a@shop.test"))))
    assert answer == b"y550 5.7.1 Submission needs authentication\0"


def test_an_unknown_credential_is_refused(session: Session) -> None:
    (answer,) = answers(session.feed(message("stranger", ("From", "a@shop.test"))))
    assert answer.startswith(b"y550 5.7.1 This credential is not")


def test_messages_of_one_connection_do_not_mix(session: Session) -> None:
    first = message("shop", ("From", "a@shop.test"))
    second = message("newsletter", ("From", "a@shop.test"))
    third = message("newsletter", ("From", "a@news.test"))
    aborted = (
        macros(b"M", auth_authen="shop") + packet(b"M", b"<>\0") + packet(b"L", b"From\0a@shop.test\0") + packet(b"A")
    )
    found = answers(session.feed(first + second + aborted + third + message("", ("From", "a@shop.test"))))
    assert [answer[:4] for answer in found] == [b"c", b"y550", b"c", b"y550"]


def test_the_sign_in_of_an_aborted_message_is_forgotten(session: Session) -> None:
    session.feed(macros(b"M", auth_authen="shop") + packet(b"M", b"<>\0") + packet(b"A"))
    (answer,) = answers(session.feed(packet(b"M", b"<>\0") + packet(b"L", b"From\0a@shop.test\0") + packet(b"E")))
    assert answer.startswith(b"y550 5.7.1 Submission needs")


def test_an_mta_that_grants_no_silence_is_answered_at_every_step() -> None:
    session = Session(Guard(RULES).decide)
    session.feed(packet(b"O", struct.pack("!III", 2, 0x1F, 0)))
    stream = packet(b"C", b"x") + packet(b"H", b"x\0") + message("shop", ("From", "a@shop.test"))
    found = answers(session.feed(stream))
    assert found == [CONTINUE] * 5


def test_a_packet_may_come_byte_by_byte(session: Session) -> None:
    stream = message("shop", ("From", "a@shop.test"))
    assert b"".join(session.feed(bytes([byte])) for byte in stream) == struct.pack("!I", 1) + CONTINUE


def test_quit_closes(session: Session) -> None:
    assert session.feed(packet(b"Q")) == b""
    assert session.closed


def test_a_bug_in_the_check_holds_the_mail(capsys: pytest.CaptureFixture[str]) -> None:
    guard = Guard(RULES)
    guard.ruleset = None  # type: ignore[assignment]
    assert guard.decide("shop", [(b"From", b"a@shop.test")]) == TEMPFAIL
    assert "error: failed program=from-guard" in capsys.readouterr().err


def test_shadow_mode_only_says_what_it_would_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(RULES.read_text(encoding="utf-8")) | {"rules": {"header-from": "shadow"}}
    (tmp_path / "rules.json").write_text(json.dumps(document), encoding="utf-8")
    guard = Guard(tmp_path / "rules.json")
    assert guard.decide("shop", [(b"From", b"a@evil.test")]) == CONTINUE
    assert "would-decide rule=header-from credential=shop" in capsys.readouterr().err


@pytest.mark.parametrize(
    "stream",
    [b"\0\0\0\0", struct.pack("!I", LARGEST_PACKET + 1), packet(b"O", b"short"), packet(b"Z"), packet(b"\0")],
)
def test_what_is_no_milter_protocol_is_refused(stream: bytes) -> None:
    with pytest.raises(MilterError):
        Session(lambda _name, _headers: CONTINUE).feed(stream)


@given(
    st.lists(st.sampled_from([b"C", b"H", b"M", b"L", b"D", b"A", b"T", b"N", b"B", b"K"]), max_size=30),
    st.binary(max_size=50),
)
def test_no_order_of_commands_lets_a_message_pass_unseen(commands: list[bytes], data: bytes) -> None:
    seen: list[tuple[str, Headers]] = []

    def decide(name: str, headers: Headers) -> bytes:
        seen.append((name, list(headers)))
        return TEMPFAIL

    session = Session(decide)
    session.feed(packet(b"O", OFFER))
    session.feed(b"".join(packet(command, data) for command in commands))
    assert answers(session.feed(message("shop", ("From", "x"))))[-1] == TEMPFAIL
    assert seen[-1] == ("shop", [(b"From", b"x")])


def test_a_refusal_is_one_printable_line() -> None:
    assert refusal("550 5.7.1 100% of\r\nü") == b"y550 5.7.1 100 of???\0"
