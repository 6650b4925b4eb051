"""A role's pattern means a path, or many by fnmatch."""

from __future__ import annotations

import pytest

from smtpctl.plan.patterns import matches


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/etc/haproxy/haproxy.cfg", "/etc/haproxy/haproxy.cfg"),
        ("/etc/postfix-relay/tables/transport", "/etc/postfix-*"),
        ("/etc/rsyslog.d/10-mail.conf", "/etc/rsyslog.d/[0-9]?-mail.conf"),
    ],
)
def test_a_pattern_means_a_path(path: str, pattern: str) -> None:
    assert matches(path, pattern)


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/etc/haproxy/haproxy.cfg", "/etc/haproxy"),
        ("/etc/haproxy/haproxy.cfg", "/etc/haproxy/haproxyxcfg"),
        ("/etc/postfix/main.cf", "/etc/postfix-*"),
        ("/etc/Haproxy/haproxy.cfg", "/etc/haproxy/*"),
        ("/etc/rsyslog.d/[0-9].conf", "/etc/rsyslog.d/[0-9].conf"),
    ],
)
def test_a_pattern_means_no_other_path(path: str, pattern: str) -> None:
    assert not matches(path, pattern)
