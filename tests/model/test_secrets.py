"""Secrets as values: silent about themselves, and recognised wherever text carries them."""

from __future__ import annotations

import difflib
import json

import pytest

from smtpctl.errors import SecretsError
from smtpctl.model.secrets import Secrets

KEY = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIOcanaryCANARYone
secondLineOfCanary0123456789
-----END PRIVATE KEY-----
"""
SECRETS = Secrets(
    {
        "dkim/shop.test/e1/private": KEY,
        "dkim/shop.test/e1/public": "publicpublicpublic",
        "credentials/shop/password": "smtpctl_canary",
        "extra/short": "abc",
    }
)


def test_a_mask_covers_whole_values() -> None:
    assert SECRETS.mask("login smtpctl_canary now") == "login <secret credentials/shop/password> now"


def test_a_mask_covers_values_that_a_diff_took_apart() -> None:
    diff = "\n".join(difflib.unified_diff([], KEY.splitlines(), lineterm=""))
    assert "anary" not in SECRETS.mask(diff)
    assert "+-----BEGIN PRIVATE KEY-----" in SECRETS.mask(diff)


def test_a_mask_covers_values_inside_json() -> None:
    assert "anary" not in SECRETS.mask(json.dumps({"key": KEY, "password": "smtpctl_canary"}))


def test_public_and_short_values_stay() -> None:
    assert SECRETS.mask("publicpublicpublic abc") == "publicpublicpublic abc"


def test_neither_repr_nor_str_nor_format_shows_a_value() -> None:
    for text in (repr(SECRETS), str(SECRETS), f"{SECRETS}", f"{SECRETS!r}"):
        assert text == "<Secrets: 4 values>"


def test_a_missing_secret_names_itself_and_the_remedy() -> None:
    with pytest.raises(SecretsError, match="secret 'tls/ca/key' is missing") as caught:
        SECRETS["tls/ca/key"]
    assert "secrets init" in caught.value.hint
