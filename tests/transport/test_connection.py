"""Signing in to a real sshd: only with known host keys, and with errors that say what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from smtpctl.errors import TransportError
from smtpctl.transport.connection import Connection, Target
from smtpctl.transport.host import Host
from tests.deploy.conftest import Bench

pytestmark = pytest.mark.lab


@pytest.fixture
def target(bench: Bench) -> Target:
    return bench.targets["relay1"]


def refused(target: Target) -> TransportError:
    with pytest.raises(TransportError) as caught:
        Connection(target)
    return caught.value


def test_a_known_host_lets_us_in(target: Target) -> None:
    with Host(target, "tester") as host:
        assert host.ask({"do": "ping"}).header["answer"] == "pong"


def test_a_host_without_a_known_key_is_refused(target: Target, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    empty.touch()
    error = refused(replace(target, known_hosts=empty))
    assert f"no host key of {target.address} is known in {empty}" in str(error)
    assert error.hint.endswith(f"ssh-keyscan -p 22 {target.address} >> {empty}")


def test_a_missing_file_of_known_keys_is_named(target: Target, tmp_path: Path) -> None:
    assert "no file of known host keys" in str(refused(replace(target, known_hosts=tmp_path / "nowhere")))


def test_a_changed_host_key_is_refused_with_its_fingerprint(target: Target, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    other = next(line for line in target.known_hosts.read_text().splitlines() if target.address not in line)
    known.write_text(f"{target.address} {other.split(maxsplit=1)[1]}\n")
    error = refused(replace(target, known_hosts=known))
    assert "HOST KEY CHANGED" in str(error)
    assert "SHA256:" in str(error)


def test_a_key_that_the_host_does_not_know_is_refused(target: Target, tmp_path: Path) -> None:
    key = tmp_path / "id_ecdsa"
    paramiko.ECDSAKey.generate().write_private_key_file(str(key))
    error = refused(replace(target, identity=key))
    assert "the host refuses root with ecdsa-sha2-nistp256" in str(error)
    assert "authorized_keys" in error.hint


def test_a_key_that_cannot_be_read_is_named(target: Target, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("no key\n")
    assert f"the key {key} cannot be read" in str(refused(replace(target, identity=key)))
    assert "cannot be read" in str(refused(replace(target, identity=tmp_path / "nowhere")))


def test_a_host_that_does_not_listen_is_named_with_address_and_port(target: Target) -> None:
    error = refused(replace(target, port=2222))
    assert f"relay1 ({target.address} port 2222): no connection: " in str(error)


def test_a_port_that_does_not_speak_ssh_is_an_error(bench: Bench, target: Target, tmp_path: Path) -> None:
    bench.run("relay1", "systemd-run -q --unit=not-ssh socat TCP-LISTEN:2223,fork SYSTEM:'echo hello; sleep 1'")
    try:
        known = tmp_path / "known_hosts"
        known.write_text(target.known_hosts.read_text().replace(f"{target.address} ", f"[{target.address}]:2223 "))
        bench.eventually(lambda: ":2223" in bench.run("relay1", "ss -ltn"))
        assert "relay1 (" in str(refused(replace(target, port=2223, known_hosts=known)))
    finally:
        bench.run("relay1", "systemctl stop not-ssh")


def test_a_host_without_python_says_what_to_install(bench: Bench, target: Target) -> None:
    bench.run("relay1", "mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        with (
            pytest.raises(TransportError, match=r"relay1: there is no /usr/bin/python3") as caught,
            Host(target, "tester") as host,
        ):
            host.ask({"do": "ping"})
        assert caught.value.hint == "on the host: apt-get install python3"
    finally:
        bench.run("relay1", "mv /usr/bin/python3.away /usr/bin/python3")


def test_a_log_in_user_without_sudo_is_told_so(bench: Bench, target: Target) -> None:
    bench.run("relay1", "useradd -m deploy && cp -r /root/.ssh /home/deploy/ && chown -R deploy: /home/deploy/.ssh")
    try:
        with (
            pytest.raises(TransportError, match=r"relay1: no sudo: .*a password is required") as caught,
            Host(replace(target, user="deploy"), "tester") as host,
        ):
            host.ask({"do": "ping"})
        assert "smtpctl bootstrap relay1" in caught.value.hint
    finally:
        bench.run("relay1", "userdel -r deploy", check=False)


def test_an_agent_that_dies_is_an_error_with_its_last_words(target: Target) -> None:
    with Host(target, "tester") as host, pytest.raises(TransportError, match=r"the connection ended: (.|\n)*KeyError"):
        host.ask({"do": "nonsense"})
