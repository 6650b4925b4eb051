"""Following a probe message through a mail log: found, handed on, refused, lost, and over a rotation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpctl.health.log import ProbeError, Tail, queue_id, wait_for

HEAD = "2026-11-22T04:20:46.964206+00:00 edge1 postfix-submission/"
TAKEN_IN = f"{HEAD}cleanup[7]: 4jXG8Z6n1Rz: message-id=<abc@smtpctl-probe.invalid>\n"
SIGNED = (
    "2026-11-22T04:20:46.966931+00:00 edge1 opendkim-rsa[1]: 4jXG8Z6n1Rz: DKIM-Signature field added (s=r1, d=a.test)\n"
)
SENT = f"{HEAD}t/smtp[8]: 4jXG8Z6n1Rz: to=<probe@x>, relay=a, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4jX)\n"
DEFERRED = f"{HEAD}t/smtp[8]: 4jXG8Z6n1Rz: to=<probe@x>, relay=none, dsn=4.4.1, status=deferred (Connection refused)\n"


@pytest.fixture
def tail(log: Path) -> Iterator[Tail]:
    with Tail(log) as tail:
        yield tail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "mail.log"
    path.write_text(TAKEN_IN.replace("4jXG8Z6n1Rz", "OLD"))
    return path


def write(log: Path, *lines: str) -> None:
    with log.open("a") as file:
        file.writelines(lines)


def soon() -> float:
    return time.monotonic() + 0.2


def test_only_lines_after_the_beginning_count(log: Path, tail: Tail) -> None:
    with pytest.raises(ProbeError, match="no cleanup"):
        queue_id(tail, "abc@smtpctl-probe.invalid", soon())
    write(log, TAKEN_IN)
    assert queue_id(tail, "abc@smtpctl-probe.invalid", soon()) == "4jXG8Z6n1Rz"


def test_a_message_is_followed_to_the_line_that_says_it_was_taken(log: Path, tail: Tail) -> None:
    write(log, TAKEN_IN, SIGNED, SENT)
    wait_for(tail, "4jXG8Z6n1Rz", ["(s=r1, d=a.test)", "status=sent"], soon())


@pytest.mark.parametrize(
    ("lines", "wanted", "words"),
    [
        ([DEFERRED], ["status=sent"], r"not handed on: status=deferred \(Connection refused\)"),
        ([SENT], ["(s=r1, d=a.test)", "status=sent"], r"does not say of the probe message: \(s=r1, d=a.test\)"),
        ([], ["status=sent"], r"status=sent \(last to speak of it: nothing\)"),
        ([SENT.replace("4jXG8Z6n1Rz", "ANOTHER")], ["status=sent"], "status=sent"),
    ],
)
def test_a_message_that_does_not_get_through_says_why_without_an_address(
    log: Path, tail: Tail, lines: list[str], wanted: list[str], words: str
) -> None:
    write(log, *lines)
    with pytest.raises(ProbeError, match=words) as caught:
        wait_for(tail, "4jXG8Z6n1Rz", wanted, soon())
    assert "probe@" not in str(caught.value)


def test_a_log_that_is_rotated_meanwhile_is_followed(log: Path, tail: Tail) -> None:
    write(log, TAKEN_IN, SENT[:40])
    assert queue_id(tail, "abc@smtpctl-probe.invalid", soon()) == "4jXG8Z6n1Rz"
    write(log, SENT[40:])
    log.rename(log.with_suffix(".log.1"))
    log.write_text(SIGNED)
    wait_for(tail, "4jXG8Z6n1Rz", ["(s=r1, d=a.test)", "status=sent"], soon())
