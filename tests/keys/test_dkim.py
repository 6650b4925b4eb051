"""DKIM keys: the public half belongs to the private one, as OpenSSL sees it."""

from __future__ import annotations

import base64
import subprocess

import pytest

from smtpctl.errors import SecretsError
from smtpctl.keys.dkim import Algorithm, imported_key, new_key, public_part

NAME = "dkim/shop.test/r1/private"


def openssl(*arguments: str, given: str = "") -> bytes:
    return subprocess.run(["openssl", *arguments], input=given.encode(), check=True, capture_output=True).stdout


@pytest.mark.parametrize(("algorithm", "cut"), [("rsa", 0), ("ed25519", -32)])
def test_the_public_half_is_what_openssl_derives(algorithm: Algorithm, cut: int) -> None:
    private = new_key(algorithm)
    derived = openssl("pkey", "-pubout", "-outform", "DER", given=private)
    assert base64.b64decode(public_part(private)) == derived[cut:]


def test_rsa_keys_have_2048_bits() -> None:
    assert b"2048 bit" in openssl("pkey", "-noout", "-text", given=new_key("rsa"))


def test_a_key_in_an_old_form_is_taken_over_as_pkcs8() -> None:
    old = openssl("genrsa", "-traditional", "2048").decode()
    assert "BEGIN RSA PRIVATE KEY" in old
    taken = imported_key(NAME, old, "rsa")
    assert taken.startswith("-----BEGIN PRIVATE KEY-----")
    assert openssl("pkey", "-pubout", given=taken) == openssl("pkey", "-pubout", given=old)


@pytest.mark.parametrize(
    ("pem", "algorithm", "complaint"),
    [
        ("not a key", "rsa", "not an unencrypted private key"),
        (openssl("genrsa", "1024").decode(), "rsa", "1024 bits, the least is 2048"),
        (openssl("genpkey", "-algorithm", "ed25519").decode(), "rsa", "not an rsa one"),
        (openssl("genrsa", "2048").decode(), "ed25519", "not an ed25519 one"),
        (openssl("genrsa", "-aes128", "-passout", "pass:x", "2048").decode(), "rsa", "not an unencrypted"),
        (openssl("ecparam", "-genkey", "-noout", "-name", "prime256v1").decode(), "rsa", "not an rsa one"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_unrepeated(pem: str, algorithm: Algorithm, complaint: str) -> None:
    with pytest.raises(SecretsError, match=complaint) as caught:
        imported_key(NAME, pem, algorithm)
    assert pem not in str(caught.value)
