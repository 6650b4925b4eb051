"""Every statement by which a Postfix daemon names a queue id is understood, in the spelling of each version."""

from __future__ import annotations

from pathlib import Path

import pytest

from smtpctl.maillog.reading import LogReader
from smtpctl.maillog.recorder import Recorder, Said
from smtpctl.model.deliveries import DAY

#: Lines of (daemon, first version, last version, event, text).
STATEMENTS = [
    tuple(line.split(maxsplit=4))
    for line in Path(__file__).with_name("statements.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
DAEMONS = (
    "bounce cleanup discard error lmtp local pickup pipe postscreen postsuper qmgr qmqpd smtp smtpd tlsproxy verify "
    "virtual"
)


def said(daemon: str, text: str) -> Said:
    recorder = Recorder()
    line = f"2026-11-21T21:36:51.340051+00:00 mx1 postfix/{daemon}[488]: {text}\n"
    LogReader(recorder, 10_000 * DAY).read(line.encode())
    (only,) = recorder.said
    return only


@pytest.mark.parametrize(("daemon", "first", "last", "event", "text"), STATEMENTS)
def test_a_statement_is_understood(daemon: str, first: str, last: str, event: str, text: str) -> None:
    made = said(daemon, text)
    assert made.event == event
    queue_id = text.removeprefix("warning: ").partition(": ")[0]
    if queue_id.isupper() and queue_id.isalnum() and queue_id != "NOQUEUE":
        assert made.queue_id == queue_id.encode()


def test_no_daemon_is_left_out() -> None:
    assert {statement[0] for statement in STATEMENTS} >= set(DAEMONS.split())


def test_a_delivery_agent_that_checks_headers_names_the_line() -> None:
    made = said("smtp", "AB12CD34EF56: replace: header Received: from a by b: Received: hidden")
    assert made.fields["action"] == b"replace"
    assert made.fields["stage"] == b"header Received: from a by b: Received: hidden"


def test_a_restriction_that_only_warns_is_a_decision_of_its_own() -> None:
    made = said("smtpd", "NOQUEUE: reject_warning: RCPT from unknown[192.0.2.3]: 450 4.7.1 <a@b>: no; from=<> to=<a@b>")
    assert made.fields["action"] == b"reject_warning"
    assert made.fields["code"] == b"450"
