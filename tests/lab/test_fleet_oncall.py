"""What the person on call is told of why mail waits, on the real fleet."""

from __future__ import annotations

import json
import uuid

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
    applied.journey(applied.send(unknown), "bounced")
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
