"""What the person on call is told: why mail waits, and what is wrong with a host; on the real fleet."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from tests.lab.support import INVENTORY, AppliedFleet, smtpctl

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def why(wanted: str) -> list[str]:
    text = smtpctl("why", wanted, "-i", str(INVENTORY), "--json").stdout
    return [finding["sentence"] for finding in json.loads(text)["findings"]]


def test_why_names_the_reason_of_each_case(applied: AppliedFleet) -> None:
    mark = uuid.uuid4().hex[:10]
    full, unknown = f"full+{mark}@gmail.test", f"nobody+{mark}@gmail.test"
    waiting = applied.send(full)
    applied.journey(waiting, "deferred")
    applied.refused(applied.send(unknown))
    assert (
        why(full)[0]
        == "1 message to google waits since the last attempt failed: full. The queue tries again by itself."
    )
    assert why(f"<{waiting}>")[0] == why(full)[0]
    assert "failed for good" in why(unknown)[0]
    assert "invalid mailbox (hard)" in why(unknown)[0]
    assert why(f"never+{mark}@gmail.test")[0].startswith("Nothing is known of")
    smtpctl("pause", "provider", "google", "--why", "they throttle us", "--for", "5m", "-i", str(INVENTORY))
    try:
        said = why("google")[0]
    finally:
        smtpctl("resume", "provider", "google", "-i", str(INVENTORY))
    assert "paused provider google" in said
    assert "they throttle us; new mail of it waits" in said


@pytest.fixture
def sick(applied: AppliedFleet) -> Iterator[str]:
    """A relay without a resolver, with a failed unit, a broken message and a restart that is due; well afterwards."""
    corrupt = "/var/spool/postfix-marketing/corrupt/4jX1"
    applied.lab.run("relay1", ["systemctl", "stop", "unbound"])
    applied.lab.run("relay1", ["systemd-run", "--unit=broken", "--wait", "false"], check=False)
    applied.lab.run("relay1", ["touch", corrupt, "/run/reboot-required"])
    yield "relay1"
    applied.lab.run("relay1", ["rm", corrupt, "/run/reboot-required"])
    applied.lab.run("relay1", ["systemctl", "reset-failed", "broken"])
    applied.lab.run("relay1", ["systemctl", "start", "unbound"])


def test_doctor_names_what_is_wrong_with_a_host(sick: str) -> None:
    result = smtpctl("doctor", sick, "relay2", "-i", str(INVENTORY), "--json", check=False)
    found = json.loads(result.stdout)["hosts"]
    assert result.returncode == 1
    checks = {symptom["check"] for symptom in found[sick]}
    assert {"dns", "reverse dns", "unit", "kernel", "mail"} <= checks
    # how busy the machine of the lab is, and what Debian has newer today, is its own affair
    assert {symptom["check"] for symptom in found["relay2"]} <= {"load", "memory", "upgrades"}
