"""Setting, rotating and editing single secrets."""

from __future__ import annotations

from datetime import datetime

import pytest

from smtpctl.errors import SecretsError
from smtpctl.keys.change import assigned, editable, edited, rotated
from smtpctl.keys.dkim import new_key, public_part
from smtpctl.keys.needs import needed_names
from smtpctl.model.fleet import Fleet
from smtpctl.model.secrets import Secrets

PASSWORD = "a-new-password-of-ours"


@pytest.mark.parametrize(
    ("name", "derived", "form"),
    [
        ("credentials/shop/password", "credentials/shop/scram", "{SCRAM-SHA-256}4096,"),
        ("mailboxes/postmaster/password", "mailboxes/postmaster/scram", "{SCRAM-SHA-256}4096,"),
        ("database/writer_edge1/password", "database/writer_edge1/verifier", "SCRAM-SHA-256$4096:"),
    ],
)
def test_a_password_brings_its_verifier(fleet: Fleet, name: str, derived: str, form: str) -> None:
    made = assigned(fleet, name, PASSWORD)
    assert set(made) == {name, derived}
    assert made[name] == PASSWORD
    assert made[derived].startswith(form)


def test_a_signing_key_brings_its_public_half(fleet: Fleet) -> None:
    key = new_key("ed25519")
    assert assigned(fleet, "dkim/shop.test/e1/private", key) == {
        "dkim/shop.test/e1/private": key,
        "dkim/shop.test/e1/public": public_part(key),
    }


def test_overlay_templates_may_have_secrets_of_their_own(fleet: Fleet) -> None:
    assert assigned(fleet, "extra/webhook/token", "x") == {"extra/webhook/token": "x"}


@pytest.mark.parametrize(
    ("name", "complaint", "hint"),
    [
        (
            "credentials/shpo/password",
            "no secret 'credentials/shpo/password'",
            "did you mean credentials/shop/password?",
        ),
        ("credentials/shop/scram", "is derived", "set credentials/shop/password; it follows"),
        ("database/reader/verifier", "is derived", "set database/reader/password; it follows"),
        ("dkim/shop.test/r1/public", "is derived", "set dkim/shop.test/r1/private; it follows"),
        ("tls/edge1/key", "made by smtpctl itself", "rotate"),
        ("password", "is not the name of a secret", ""),
        ("../etc/passwd", "is not the name of a secret", ""),
        ("extra/UPPER", "is not the name of a secret", ""),
    ],
)
def test_a_name_that_cannot_be_set_is_refused(fleet: Fleet, name: str, complaint: str, hint: str) -> None:
    with pytest.raises(SecretsError, match=complaint) as caught:
        assigned(fleet, name, PASSWORD)
    assert hint in caught.value.hint
    assert PASSWORD not in str(caught.value) + caught.value.hint


def test_an_empty_value_is_refused(fleet: Fleet) -> None:
    with pytest.raises(SecretsError, match="the value is empty"):
        assigned(fleet, "extra/webhook/token", "")


@pytest.mark.parametrize("name", ["credentials/shop", "credentials/shop/password", "credentials/shop/scram"])
def test_rotating_makes_a_new_password_and_nothing_else(
    fleet: Fleet, lab_secrets: Secrets, now: datetime, name: str
) -> None:
    made = rotated(lab_secrets, fleet, name, now)
    assert set(made) == {"credentials/shop/password", "credentials/shop/scram"}
    assert all(made[key] != lab_secrets[key] for key in made)


def test_rotating_does_not_make_what_else_is_missing(fleet: Fleet, lab_secrets: Secrets, now: datetime) -> None:
    left = {name: value for name, value in lab_secrets.items() if not name.startswith("mailboxes/")}
    assert set(rotated(left, fleet, "database/reader", now)) == {"database/reader/password", "database/reader/verifier"}


def test_rotating_a_host_gives_it_a_new_key_under_the_same_authority(
    fleet: Fleet, lab_secrets: Secrets, now: datetime
) -> None:
    made = rotated(lab_secrets, fleet, "tls/edge1", now)
    assert set(made) == {"tls/edge1/certificate", "tls/edge1/key"}
    assert made["tls/edge1/certificate"].endswith(lab_secrets["tls/ca/certificate"])


def test_rotating_the_authority_replaces_every_certificate(fleet: Fleet, lab_secrets: Secrets, now: datetime) -> None:
    made = rotated(lab_secrets, fleet, "tls/ca", now)
    assert set(made) == {name for name in needed_names(fleet) if name.startswith("tls/")}
    assert all(made[f"tls/{host}/certificate"].endswith(made["tls/ca/certificate"]) for host in fleet.hosts)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("dkim/shop.test/r1", "a DKIM key cannot be replaced in place"),
        ("credentials/nobody", "no secret 'credentials/nobody'"),
        ("tls/nobody", "no secret 'tls/nobody'"),
        ("credentials", "no secret 'credentials'"),
        ("", "no secret ''"),
        ("extra/webhook", "no secret 'extra/webhook'"),
    ],
)
def test_what_cannot_be_rotated_is_refused(
    fleet: Fleet, lab_secrets: Secrets, now: datetime, name: str, complaint: str
) -> None:
    with pytest.raises(SecretsError, match=complaint):
        rotated(lab_secrets, fleet, name, now)


def test_an_editor_shows_sources_only(lab_secrets: Secrets) -> None:
    shown = editable({**lab_secrets, "extra/webhook/token": "x", "extra/odd/public": "y"})
    assert {name.rsplit("/", 1)[1] for name in shown} == {"password", "private", "keys", "token", "public"}
    assert not any(name.startswith("tls/") for name in shown)


def test_an_edit_is_carried_over_with_what_derives_from_it(fleet: Fleet, lab_secrets: Secrets) -> None:
    values = dict(lab_secrets)
    before = editable(values)
    after = {**before, "credentials/shop/password": PASSWORD, "extra/webhook/token": "x"}
    del after["mailboxes/postmaster/password"]
    changed = edited(values, fleet, before, after)
    assert changed == ["credentials/shop/password", "extra/webhook/token", "mailboxes/postmaster/password"]
    assert values["credentials/shop/password"] == PASSWORD
    assert values["credentials/shop/scram"] != lab_secrets["credentials/shop/scram"]
    assert set(lab_secrets) - set(values) == {"mailboxes/postmaster/password", "mailboxes/postmaster/scram"}


def test_an_edit_keeps_what_others_changed_meanwhile(fleet: Fleet, lab_secrets: Secrets) -> None:
    before = editable(lab_secrets)
    values = {**lab_secrets, **assigned(fleet, "credentials/newsletter/password", "changed-by-a-colleague")}
    edited(values, fleet, before, {**before, "credentials/shop/password": PASSWORD})
    assert values["credentials/newsletter/password"] == "changed-by-a-colleague"
    assert values["credentials/shop/password"] == PASSWORD


def test_an_edit_with_one_bad_value_changes_nothing(fleet: Fleet, lab_secrets: Secrets) -> None:
    values = dict(lab_secrets)
    before = editable(values)
    after = {**before, "credentials/shop/password": PASSWORD, "credentials/newsletter/password": "short"}
    with pytest.raises(SecretsError, match="credentials/newsletter/password: the password has 5 characters"):
        edited(values, fleet, before, after)
    assert values == dict(lab_secrets)
