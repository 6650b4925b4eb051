"""Facts are read as they are, and only read."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from smtpctl.transport.agent import facts, processes, staging

STATUS = """\
Package: haproxy
Status: install ok installed
Version: 3.0.11-1
Description: about
 Package: postfix

Package: postfix
Status: deinstall ok config-files
Version: 3.10.1-1

Package: dovecot-core
Status: install ok half-configured
Version: 2.4.1-4
"""


def test_an_address_is_here_when_an_interface_has_it() -> None:
    assert facts.holds_address("127.0.0.1")
    assert not facts.holds_address("127.0.0.0")  # a route to this host, and no address of it
    assert not facts.holds_address("198.51.100.7")  # RFC 5737: nobody's
    assert not facts.holds_address("2001:db8::7")  # RFC 3849: nobody's
    shown = subprocess.run(["ip", "-o", "address", "show", "up"], capture_output=True, check=True, text=True).stdout
    for line in shown.splitlines():
        assert facts.holds_address(line.split()[3].partition("/")[0]), line


def test_a_file_has_hash_mode_and_owner(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"content")
    path.chmod(0o640)
    fact = facts.file_fact(str(path))
    assert fact["kind"] == "file"
    assert fact["sha256"] == hashlib.sha256(b"content").hexdigest()
    assert fact["mode"] == 0o640


def test_what_is_not_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("../nowhere")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert facts.file_fact(str(tmp_path / "link")) == {"kind": "link", "target": "../nowhere"}
    assert facts.file_fact(str(tmp_path / "folder"))["kind"] == "directory"
    assert facts.file_fact(str(tmp_path / "nothing")) == {"kind": "absent"}
    assert facts.file_fact(str(tmp_path / "file" / "below")) == {"kind": "absent"}
    assert facts.file_fact("/dev/null")["kind"] == "other"


def test_only_wholly_installed_packages_count(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(STATUS)
    wanted = ["haproxy", "postfix", "dovecot-core", "nothing"]
    assert facts.installed_packages(wanted, str(status)) == {"haproxy": "3.0.11-1"}


@pytest.mark.parametrize(
    ("timestamp", "microseconds"),
    [
        ("", 0),
        ("Sat 2026-11-21 23:59:59.250000 UTC", 1795305599250000),
        ("Thu 1970-01-01 00:00:01.000001 UTC", 1000001),
    ],
)
def test_moments_of_systemd_are_microseconds(timestamp: str, microseconds: int) -> None:
    assert facts._microseconds(timestamp) == microseconds


def test_a_program_that_hangs_is_ended_with_its_children() -> None:
    result = processes.run(["sh", "-c", "echo begun; sleep 60 & wait"], timeout=0.3)
    assert result.code == 124
    assert result.output.startswith("begun\n")
    assert result.output.endswith("sh: no end after 0.3 s, killed")


def test_a_program_that_is_missing_is_named() -> None:
    assert processes.run(["no-such-program"], timeout=1).code == 127
    assert "no-such-program: No such file" in processes.run(["no-such-program"], timeout=1).output


def test_the_staged_tree_is_seen_over_all_of_etc_and_as_low_as_can_be_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / "var" / "lib"
    deep.mkdir(parents=True)
    paths = ["/etc/haproxy/haproxy.cfg", "/etc/a", str(deep / "new" / "x"), str(deep / "y")]
    assert staging.mount_points(paths) == sorted(["/etc", str(deep)])
