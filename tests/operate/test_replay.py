"""Yesterday's log against other rules: what is asked, and whom the service itself would have limited."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from smtpctl.maillog.reading import LogReader
from smtpctl.operate.replay import Submissions, requests

RULES = {
    "version": 1,
    "streams": {"s": {"filter": "s:[127.0.0.1]:10025"}},
    "credentials": {
        "shop": {
            "senders": ["shop.test"],
            "stream": "s",
            "recipients_per_message": 10,
            "limits": [{"key": "credential", "counted": "recipients", "count": 5, "per": 3600, "burst": 5}],
        }
    },
}


def lines(number: int, minute: int, recipients: int, credential: str = "shop") -> str:
    """The lines of one message at a minute past noon."""
    stamp, queue_id = f"2026-11-21T12:{minute:02d}:00.000000+00:00 edge1 postfix-submission", f"4dQ{number:05d}zz"
    text = f"{stamp}/submission/smtpd[7]: {queue_id}: client=app.test[192.0.2.7], sasl_method=PLAIN, "
    text += f"sasl_username={credential}\n"
    text += f"{stamp}/qmgr[8]: {queue_id}: from=<a@shop.test>, size=900, nrcpt={recipients} (queue active)\n"
    for one in range(recipients):
        text += f"{stamp}/smtp[9]: {queue_id}: to=<r{one}@example.test>, relay=mx[192.0.2.9]:25, delay=1, "
        text += "delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)\n"
    return text + f"{stamp}/qmgr[8]: {queue_id}: removed\n"


def test_a_message_is_asked_about_as_postfix_asks() -> None:
    submissions = Submissions()
    LogReader(submissions, 2_000_000_000_000_000).read(lines(1, 5, 2).encode())
    (message,) = submissions.messages
    asked = [request.decode() for request in requests(message, 0)]
    assert [request.split("\n")[1] for request in asked] == [
        "protocol_state=RCPT",
        "protocol_state=RCPT",
        "protocol_state=DATA",
        "protocol_state=END-OF-MESSAGE",
    ]
    assert "recipient=r1@example.test\n" in asked[1]
    assert "recipient_count=2\n" in asked[2]
    assert "sasl_username=shop\n" in asked[2]
    assert "log_time=1795262700.000000\n" in asked[2]


def test_a_limit_is_counted_on_the_clock_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text(json.dumps(RULES))
    # Of two logs: three recipients, three more that do not fit, and three an hour later.
    (tmp_path / "edge1").write_text(lines(1, 0, 3) + lines(2, 1, 3))
    later = lines(3, 0, 3).replace("T12:", "T13:")
    (tmp_path / "edge2").write_text(later + lines(4, 2, 1, "unknown"))
    command = [sys.executable, "-m", "smtpctl", "policy", "replay", "--rules", str(tmp_path / "rules.json")]
    command += [str(tmp_path / "edge2"), str(tmp_path / "edge1")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "shop: 3 messages to 9 recipients, 1 limited (3 recipients), first at 2026-11-21T12:01:00+00:00" in shown
    assert "1 x 450 4.7.1 Limit of 5 recipients an hour for credential shop reached" in shown
    assert "unknown: 1 messages to 1 recipients, 1 limited" in shown
    found = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert found["credentials"]["shop"]["refused_messages"] == 1
    assert "example.test" not in shown


def test_rules_that_are_not_usable_are_said(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text("{}")
    (tmp_path / "log").write_text(lines(1, 0, 1))
    command = [sys.executable, "-m", "smtpctl", "policy", "replay", "--rules", str(tmp_path / "rules.json")]
    ended = subprocess.run([*command, str(tmp_path / "log")], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "the policy service ended" in ended.stderr
    assert "rules-refused" in ended.stderr
