"""Verifiers of passwords: against RFC 7677's own exchange, a client's arithmetic, and a real PostgreSQL."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpctl.errors import SecretsError
from smtpctl.keys.passwords import PREFIX, new_password
from smtpctl.keys.scram import Verifier, check_password, verifier

PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=80)


def client_proof(password: str, salt: bytes, iterations: int, message: bytes) -> bytes:
    """What a client sends (RFC 5802 §3), written without the code under test."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    signature = hmac.new(hashlib.sha256(client_key).digest(), message, hashlib.sha256).digest()
    return bytes(left ^ right for left, right in zip(client_key, signature, strict=True))


def server_accepts(made: Verifier, proof: bytes, message: bytes) -> bool:
    """A server's side: the proof uncovers the client's key, whose hash is the stored one."""
    signature = hmac.new(made.stored_key, message, hashlib.sha256).digest()
    client_key = bytes(left ^ right for left, right in zip(proof, signature, strict=True))
    return hashlib.sha256(client_key).digest() == made.stored_key


def test_the_exchange_of_rfc_7677_succeeds() -> None:
    made = verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    message = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    assert server_accepts(made, base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), message)
    signature = hmac.new(made.server_key, message, hashlib.sha256).digest()
    assert base64.b64encode(signature) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@settings(max_examples=25)
@given(password=PRINTABLE, other=PRINTABLE, salt=st.binary(min_size=8, max_size=32))
def test_only_the_right_password_passes(password: str, other: str, salt: bytes) -> None:
    made = verifier(password, salt, 64)
    assert server_accepts(made, client_proof(password, salt, 64, b"m"), b"m")
    assert server_accepts(made, client_proof(other, salt, 64, b"m"), b"m") == (other == password)


def test_both_forms_say_the_same() -> None:
    made = verifier("a-password-of-ours", b"0123456789abcdef")
    scheme, rest = made.for_dovecot().split("}")
    iterations, salt, stored, server = rest.split(",")
    assert scheme == "{SCRAM-SHA-256"
    assert made.for_postgresql() == f"SCRAM-SHA-256${iterations}:{salt}${stored}:{server}"
    assert base64.b64decode(salt) == b"0123456789abcdef"


def test_a_verifier_does_not_show_its_keys() -> None:
    made = verifier("a-password-of-ours", b"0123456789abcdef")
    assert repr(made.stored_key) not in repr(made)
    assert repr(made.server_key) not in repr(made)


@pytest.mark.postgres
def test_postgresql_signs_in_with_the_password(postgres: Any, tmp_path: Path) -> None:
    password = new_password()
    form = verifier(password, b"0123456789abcdef").for_postgresql()
    access = postgres.data / "pg_hba.conf"
    access.write_text("local all scram_probe scram-sha-256\n" + access.read_text())
    with psycopg.connect(postgres.conninfo(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE scram_probe LOGIN PASSWORD '{form}'".encode())
        connection.execute("SELECT pg_reload_conf()")
        stored = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_probe'").fetchone()
        assert stored == (form,)
    target = postgres.conninfo(user="scram_probe")
    with psycopg.connect(target, password=password) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("scram_probe",)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(target, password=password + "x")


def test_new_passwords_differ_and_pass_our_own_check() -> None:
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        assert password.startswith(PREFIX)
        assert password.removeprefix(PREFIX).isalnum()
        check_password("credentials/shop/password", password)


@pytest.mark.parametrize(
    ("password", "complaint"),
    [
        ("short", "has 5 characters, the least is 12"),
        ("grüße-aus-köln-2026", "other than printable ASCII"),
        ("with a space in it", "other than printable ASCII"),
        ("two-lines-in\none-value", "other than printable ASCII"),
        ("tab\tin-the-password", "other than printable ASCII"),
    ],
)
def test_a_password_that_cannot_serve_is_refused_unrepeated(password: str, complaint: str) -> None:
    with pytest.raises(SecretsError, match=complaint) as caught:
        check_password("credentials/shop/password", password)
    assert password not in str(caught.value) + caught.value.hint
