"""The probe message of an apply: signed, limited and handed on like mail, and seen by nobody outside the fleet."""

from __future__ import annotations

import dataclasses
import smtplib

import pytest

from smtpctl.lab.application import connect
from tests.lab.support import AppliedFleet, until

pytestmark = pytest.mark.lab

PROBE = ["python3", "-I", "/usr/local/lib/smtpctl/health.pyz"]


def test_the_probe_message_passes_and_ends_at_a_relay(applied: AppliedFleet) -> None:
    applied.lab.run("edge1", [*PROBE, "submit", "/etc/smtpctl/secrets/probe"])
    log = applied.lab.run("edge1", ["grep", "smtpctl-probe", "/var/log/mail.log"]).stdout
    assert "sasl_username=smtpctl-probe" in log
    identity = log.rpartition("message-id=<")[2].partition(">")[0]
    journey = applied.journey(identity, "discarded", hosts=2)
    assert [message["role"] for message in journey["messages"]] == ["submission", "relay"]
    relays = [applied.lab.run(host, ["cat", "/var/log/mail.log"]).stdout for host in ("relay1", "relay2")]
    assert "discard[" in "".join(relays)
    assert "status=bounced" not in "".join(line for line in "".join(relays).splitlines() if "smtpctl-probe" in line)


def test_a_queue_is_probed_on_its_own(applied: AppliedFleet) -> None:
    for host, instance in (("relay1", "transactional"), ("relay2", "marketing"), ("feedback1", "feedback")):
        applied.lab.run(host, [*PROBE, "queue", f"/etc/postfix-{instance}"])


def test_the_probes_credential_is_good_for_nobody_who_comes_through_a_balancer(applied: AppliedFleet) -> None:
    stolen = dataclasses.replace(
        applied.place(), credential="smtpctl-probe", password=applied.secrets["probe/password"]
    )
    with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
        connect(stolen)
    assert caught.value.smtp_code == 535


def test_a_probe_says_what_does_not_get_through_and_why(applied: AppliedFleet) -> None:
    applied.lab.run("edge2", ["systemctl", "stop", "opendkim@rsa"])
    try:
        failed = applied.lab.run("edge2", [*PROBE, "submit", "/etc/smtpctl/secrets/probe"], check=False)
    finally:
        applied.lab.run("edge2", ["systemctl", "start", "opendkim@rsa"])
        submit = [*PROBE, "submit", "/etc/smtpctl/secrets/probe"]
        until(lambda: applied.lab.run("edge2", submit, check=False).returncode == 0, "OpenDKIM has not come back")
    assert failed.returncode == 1
    assert failed.stderr.startswith(("STARTTLS: 454 ", "authentication: 451 ", "submission: 451 "))
    assert applied.secrets["probe/password"] not in failed.stderr
