"""Known host keys are looked up as OpenSSH does it: by address, by port, and under a hash."""

from __future__ import annotations

from pathlib import Path

import paramiko
import pytest

from smtpctl.transport.connection import Target
from smtpctl.transport.handshake import known_keys

KIND = "ecdsa-sha2-nistp256"


@pytest.mark.parametrize(
    ("address", "port", "known"),
    [
        ("192.0.2.1", 22, True),
        ("192.0.2.3", 22, True),
        ("192.0.2.1", 2222, True),
        ("192.0.2.1", 2223, False),
        ("192.0.2.2", 22, False),
        ("192.0.2.4", 22, False),
        ("92.0.2.1", 22, False),
    ],
)
def test_a_key_is_found_among_those_of_others(address: str, port: int, known: bool, tmp_path: Path) -> None:
    key = paramiko.ECDSAKey.generate().get_base64()
    file = tmp_path / "known_hosts"
    file.write_text(
        f"# a comment\n192.0.2.1,mail1 {KIND} {key}\n{paramiko.HostKeys.hash_host('192.0.2.3')} {KIND} {key}\n"
        f"[192.0.2.1]:2222 {KIND} {key}\n192.0.2.4 {KIND} not-a-key\n\n"
    )
    found = known_keys(Target("mail1", address, port, "root", file))
    assert (found is not None) == known
    assert found is None or found[KIND].get_base64() == key


def test_a_file_that_is_not_there_knows_nobody(tmp_path: Path) -> None:
    assert known_keys(Target("mail1", "192.0.2.1", 22, "root", tmp_path / "nothing")) is None
