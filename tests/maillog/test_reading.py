"""Whole lines: heads of every syslog, instances by any name, programs beside Postfix, and lines that are broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smtpctl.maillog.recorder import Said

ReadLines = Callable[[str], list[Said]]
RFC3339 = "2026-11-21T22:08:53.240556+00:00 mx1 "

TAGS = {
    "postfix/smtpd[524]": ("postfix", "smtpd", "smtpd"),
    "postfix/submission/smtpd[524]": ("postfix", "submission", "smtpd"),
    "postfix-transactional/google-1/smtp[524]": ("postfix-transactional", "google-1", "smtp"),
    "postfix-submission/qmgr[524]": ("postfix-submission", "qmgr", "qmgr"),
    "mx-outer/weird.name_1/smtpd[541]": ("mx-outer", "weird.name_1", "smtpd"),
    "postfix-170.55.103.23/smtp[524]": ("postfix-170.55.103.23", "smtp", "smtp"),
    "out/smtp[524]": ("out", "smtp", "smtp"),
    "postfix/smtpd": ("postfix", "smtpd", "smtpd"),
}


@pytest.mark.parametrize(("tag", "expected"), TAGS.items())
def test_instance_service_and_daemon_come_from_the_tag(
    read_lines: ReadLines, tag: str, expected: tuple[str, str, str]
) -> None:
    (said,) = read_lines(f"{RFC3339}{tag}: ABCDEF1: removed\n")
    origin = said.origin
    assert (said.event, origin.host) == ("removed", b"mx1")
    assert (origin.instance.decode(), origin.service.decode(), origin.daemon.decode()) == expected


@pytest.mark.parametrize(
    "head",
    [
        RFC3339,
        "2026-11-21T22:08:53Z mx1 ",
        "Nov 21 22:08:53 mx1 ",
        "Nov  1 22:08:53 mx1 ",
        "<22>Nov 21 22:08:53 mx1 ",
        "2026 Nov 21 22:08:53 mx1 ",
    ],
)
def test_every_form_of_head_leads_to_the_same_event(read_lines: ReadLines, head: str) -> None:
    lines = read_lines(f"{head}postfix/qmgr[1]: ABCDEF1: removed\n" * 3)
    assert [(said.event, said.queue_id, said.origin.host) for said in lines] == [("removed", b"ABCDEF1", b"mx1")] * 3


def test_rfc_5424_is_read(read_lines: ReadLines) -> None:
    (said,) = read_lines("<22>1 2026-11-21T22:08:53Z mx1 postfix/qmgr 77 - - ABCDEF1: removed\n")
    assert (said.event, said.origin.pid) == ("removed", b"77")


def test_moments_follow_each_line_also_across_seconds_and_processes(read_lines: ReadLines) -> None:
    lines = "".join(
        f"2026-11-21T22:08:{second:02}.{micro:06}+0{zone}:00 mx1 postfix/qmgr[{pid}]: ABCDEF1: removed\n"
        for second, micro, zone, pid in [(1, 1, 0, 1), (1, 2, 0, 1), (2, 0, 0, 2), (2, 999999, 1, 2), (3, 5, 1, 1)]
    )
    first, *rest = [said.at for said in read_lines(lines)]
    assert [at - first for at in rest] == [1, 999_999, 999_999 + 999_999 - 3_600_000_000, 2_000_004 - 3_600_000_000]


def test_a_repeated_line_counts_as_often_as_it_says(read_lines: ReadLines) -> None:
    lines = read_lines(
        f"{RFC3339}postfix/smtpd[1]: connect from h[192.0.2.1]\n"
        f"{RFC3339}postfix/smtpd[1]: message repeated 3 times: [ lost connection after AUTH from h[192.0.2.1]]\n"
    )
    assert [said.event for said in lines] == ["connect", "lost", "lost", "lost"]


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("opendkim-rsa[577]: AD2A633C18D: DKIM-Signature field added (s=r1, d=shop.test)", "signed"),
        ("opendkim[577]: AD2A633C18D: no signing table match for 'a@b'", "opendkim"),
        ('smtpctl-policy[9]: decision rule=credential queue_id="" action="450 4.7.1 slow down"', "policy"),
        ("smtpctl-policy[9]: serving program=serve listen=unix:x", "policy"),
        ("smtpctl-policy[9]: incident kind=sender severity=warning credential=shop", "incident"),
        ("smtpctl-policy[9]: warning: incident kind=sender severity=warning credential=shop", "incident"),
        ('smtpctl-from-guard[9]: notice: decision rule=header-from credential=shop text="no From"', "policy"),
        ("smtpctl-policy[9]: incidental kind=sender", "policy"),
        ("dovecot: lmtp(postmaster@x)<1><abc>: msgid=<m@x>: saved mail to INBOX", "mailbox"),
        ("haproxy[219]: 192.0.2.1:57622 [21/Nov/2026:23:27:52.694] submission sub587/h2 1/0/13 2350 --", "balanced"),
        ("haproxy[219]: Server submission/h2 is DOWN, reason: Layer4 timeout, check duration: 1000ms.", "balancer"),
        ("haproxy[219]: backend submission has no server available!", "balancer"),
        ("haproxy[219]: Proxy stats started.", "balancer"),
        ("dovecot: auth: passwd-file(app,192.0.2.1): Password mismatch", "password"),
        ("dovecot: imap-login: Login: user=<a>, method=PLAIN, rip=192.0.2.1", "dovecot"),
        ("systemd-journald[12]: Suppressed 1234 messages from postfix@-.service", "lines-lost"),
        ("systemd-journald[12]: Suppressed 1234 messages from gdm.service", "foreign"),
        ("systemd-journald[12]: Forwarding to syslog missed 5 messages.", "lines-lost"),
        ("rsyslogd: imjournal: 1200 messages lost due to rate-limiting (20000 allowed within 600 s)", "lines-lost"),
        ("rsyslogd: imuxsock[pid: 7, name: x] lost 44 messages from pid 7 due to rate-limiting", "lines-lost"),
        ("CRON[1]: (root) CMD (true)", "foreign"),
    ],
)
def test_programs_beside_postfix(read_lines: ReadLines, line: str, event: str) -> None:
    (said,) = read_lines(f"{RFC3339}{line}\n")
    assert said.event == event


def test_a_signature_names_message_selector_and_domain(read_lines: ReadLines) -> None:
    (said,) = read_lines(f"{RFC3339}opendkim-ed25519[5]: AD2A633C18D: DKIM-Signature field added (s=e1, d=shop.test)\n")
    assert (said.queue_id, said.fields) == (b"AD2A633C18D", {"selector": b"e1", "domain": b"shop.test"})


def test_a_decision_of_the_policy_service_is_read_with_its_pairs(read_lines: ReadLines) -> None:
    (said,) = read_lines(
        f"{RFC3339}smtpctl-policy[9]: decision rule=credential state=DATA credential=shop recipients=3 "
        'queue_id=ABCDEF1 action="450 4.7.1 limit of 10 recipients an hour"\n'
    )
    assert said.queue_id == b"ABCDEF1"
    assert said.fields["credential"] == b"shop"
    assert said.fields["action"] == b"450 4.7.1 limit of 10 recipients an hour"


def test_an_incident_is_read_with_its_kind_and_severity(read_lines: ReadLines) -> None:
    (said,) = read_lines(
        f"{RFC3339}smtpctl-policy[9]: incident kind=client severity=critical credential=shop client=192.0.2.9 "
        'sender=a@shop.test instance=1.2 text="REJECT 5.7.1 kind=sender not from here"\n'
    )
    assert said.fields == {
        "kind": b"client",
        "severity": b"critical",
        "credential": b"shop",
        "client": b"192.0.2.9",
        "sender": b"a@shop.test",
        "instance": b"1.2",
        "text": b"REJECT 5.7.1 kind=sender not from here",
    }


def test_an_incident_that_says_too_little_still_has_a_kind_and_a_severity(read_lines: ReadLines) -> None:
    (said,) = read_lines(f"{RFC3339}smtpctl-policy[9]: incident credential=shop\n")
    assert said.fields == {"kind": b"other", "severity": b"warning", "credential": b"shop"}


@pytest.mark.parametrize("line", ["", "garbage", "2026-11-21T22:08:53.240556+00:00", "\x16\x03\x01", "x" * 70_000])
def test_a_broken_line_is_unknown_and_stops_nothing(read_lines: ReadLines, line: str) -> None:
    broken, after = read_lines(f"{line}\n{RFC3339}postfix/qmgr[1]: ABCDEF1: removed\n")
    assert (broken.event, after.event) == ("unknown", "removed")


def test_two_lines_that_were_written_into_each_other_are_unknown(read_lines: ReadLines) -> None:
    torn, after = read_lines(
        f"{RFC3339}postfix/smtp[5]: ABCDEF1: to=<a@b.test>, rel{RFC3339}postfix/qmgr[1]: ABCDEF2: removed\n"
        f"{RFC3339}postfix/qmgr[1]: ABCDEF1: removed\n"
    )
    assert torn.event != "removed"
    assert (after.event, after.queue_id) == ("removed", b"ABCDEF1")
