"""The settings file: what renders is what is read, and what is wrong says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from smtpctl.errors import SmtpctlError
from smtpctl.intake.feedback.config import Endpoint, read_config

SETTINGS: dict[str, Any] = {
    "host": "feedback1",
    "listen": "127.0.0.1:10024",
    "metrics": "[2001:db8::15]:9172",
    "database": {"host": "control1.lab.test", "user": "feedback_feedback1", "ca_file": "/etc/smtpctl/ca.pem"},
}


def written(folder: Path, settings: object) -> Path:
    path = folder / "feedback.json"
    path.write_text(json.dumps(settings))
    return path


def test_settings_are_read(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    settings = {**SETTINGS, "database": {**SETTINGS["database"], "password_file": str(secret)}}
    config = read_config(written(tmp_path, settings))
    assert config.listen == Endpoint("127.0.0.1", 10024)
    assert config.metrics == Endpoint("2001:db8::15", 9172)
    assert config.connection_keywords() == {
        "host": "control1.lab.test",
        "user": "feedback_feedback1",
        "sslmode": "verify-full",
        "sslrootcert": "/etc/smtpctl/ca.pem",
        "password": "hunter2",
    }


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({key: value for key, value in SETTINGS.items() if key != "database"}, "'database' is missing"),
        ({**SETTINGS, "listen": "127.0.0.1"}, "'127.0.0.1' is not ADDRESS:PORT"),
        ({**SETTINGS, "listen": 10024}, "cannot be used"),
        ([], "cannot be used"),
    ],
)
def test_settings_that_lack_something_are_refused_with_the_reason(
    tmp_path: Path, settings: object, reason: str
) -> None:
    with pytest.raises(SmtpctlError, match=reason):
        read_config(written(tmp_path, settings))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SmtpctlError, match="nothing\\.json"):
        read_config(tmp_path / "nothing.json")
