"""A submission host that cannot sign in, limit, check or sign takes no mail: balancers leave it, and mail waits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.lab.support import AppliedFleet, server_states, until

pytestmark = [pytest.mark.lab, pytest.mark.slow]

#: What a submission host needs for mail, each a program of its own.
NEEDED = (
    "dovecot@submission",
    "smtpctl-policy",
    "smtpctl-from-guard",
    "opendkim@rsa",
    "opendkim@ed25519",
    "postfix@submission",
)

#: Submits on this host past its own balancer, as HAProxy does, and prints the first reply that is not a success.
SUBMIT = """
import json, smtplib, socket, ssl, sys
place = json.load(sys.stdin)
class Session(smtplib.SMTP):
    def _get_socket(self, host, port, timeout):
        plain = socket.create_connection((host, port), timeout)
        plain.sendall(b"PROXY TCP4 192.0.2.1 %s 4711 587\\r\\n" % host.encode())
        return plain
session = Session(place["address"], 10587, timeout=30)
context = ssl.create_default_context(cafile="/etc/smtpctl/ca.pem")
session._host = place["name"]
try:
    session.starttls(context=context)
    session.login("shop", place["password"])
    session.sendmail("orders@shop.test", ["ada@gmail.test"], b"From: orders@shop.test\\r\\n\\r\\ntext\\r\\n")
    print("250 accepted")
except smtplib.SMTPRecipientsRefused as refusal:
    print(*next(iter(refusal.recipients.values())))
except smtplib.SMTPResponseException as refusal:
    print(refusal.smtp_code, refusal.smtp_error)
"""


def wait_for_state(applied: AppliedFleet, host: str, up: bool, patience: float = 60.0) -> None:
    deadline = time.monotonic() + patience
    while server_states(applied, "edge2")[host].startswith("UP") is not up:
        assert time.monotonic() < deadline, f"{host} is not {'up' if up else 'down'} after {patience} s"
        time.sleep(0.2)


@pytest.fixture
def edge1(applied: AppliedFleet) -> Iterator[AppliedFleet]:
    """The fleet; what a test stops on edge1 runs again after it, and both edges are ready."""
    wait_for_state(applied, "edge1", up=True)
    yield applied
    applied.lab.run("edge1", ["systemctl", "start", *NEEDED])
    # OpenDKIM is started before it listens, and a balancer may not have seen that it was away.
    until(lambda: submitted_at(applied, "edge1").startswith("250"), "edge1 takes no mail")
    wait_for_state(applied, "edge1", up=True)


@pytest.mark.parametrize("unit", NEEDED)
def test_balancers_leave_a_host_that_lacks(edge1: AppliedFleet, unit: str) -> None:
    edge1.lab.run("edge1", ["systemctl", "stop", unit])
    wait_for_state(edge1, "edge1", up=False)
    assert server_states(edge1, "edge2")["edge2"].startswith("UP")


def submitted_at(applied: AppliedFleet, host: str) -> str:
    place = applied.place()
    where = {"address": applied.fleet.hosts[host].address, "name": place.name, "password": place.password}
    command = ["python3", "-c", SUBMIT]
    return applied.lab.run(host, command, input=json.dumps(where), timeout=60).stdout


@pytest.mark.parametrize("unit", ["smtpctl-policy", "smtpctl-from-guard", "opendkim@rsa", "opendkim@ed25519"])
def test_without_limits_check_or_signature_mail_is_put_off_and_never_accepted(edge1: AppliedFleet, unit: str) -> None:
    assert submitted_at(edge1, "edge1").startswith("250")
    edge1.lab.run("edge1", ["systemctl", "stop", unit])
    # 451, or 454 already at STARTTLS where a milter cannot be reached when the session begins
    assert submitted_at(edge1, "edge1")[:3] in ("451", "454")
