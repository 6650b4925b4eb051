"""Security on the real fleet: who guesses passwords is locked out, and what changes by hand is noticed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.support import INVENTORY, AppliedFleet, smtpctl, until

pytestmark = [pytest.mark.lab, pytest.mark.slow]

#: An address of the internet host that nobody else uses: locked out, it takes nothing else away.
GUESSER = "10.78.9.9"

#: Signs in with wrong passwords, several at once: Dovecot keeps each waiting for two seconds.
GUESS = """
import concurrent.futures, smtplib, ssl, sys
context = ssl._create_unverified_context()
def guess(number):
    try:
        with smtplib.SMTP("10.78.0.10", 587, timeout=30, source_address=(sys.argv[1], 0)) as session:
            session.starttls(context=context)
            for password in ("one", "two", "three"):
                try:
                    session.login("shop", password)
                except smtplib.SMTPAuthenticationError:
                    pass
    except (OSError, smtplib.SMTPException):
        pass
with concurrent.futures.ThreadPoolExecutor(10) as pool:
    list(pool.map(guess, range(10)))
"""
REACH = "import smtplib, sys; smtplib.SMTP('10.78.0.10', 587, timeout=3, source_address=(sys.argv[1], 0)).quit()"


def incidents(**wanted: str) -> list[dict[str, Any]]:
    """Open incidents with these members; the list exits with 1 while a critical one is open."""
    text = smtpctl("incidents", "list", "-i", str(INVENTORY), "--json", check=False).stdout
    found: list[dict[str, Any]] = json.loads(text)["incidents"]
    return [row for row in found if wanted.items() <= row.items()]


@pytest.fixture
def guesser(applied: AppliedFleet) -> Iterator[str]:
    """An address on the internet; let in again, and gone, at the end."""
    device = applied.lab.run(
        "inet", ["sh", "-c", "ip -o route get 10.78.0.10 | sed 's/.* dev //; s/ .*//'"]
    ).stdout.strip()
    applied.lab.run("inet", ["ip", "address", "add", f"{GUESSER}/16", "dev", device])
    yield GUESSER
    smtpctl("resume", "client", GUESSER, "-i", str(INVENTORY), check=False)
    applied.lab.run("inet", ["ip", "address", "del", f"{GUESSER}/16", "dev", device])


def test_who_guesses_passwords_is_locked_out_by_every_host_until_let_in_again(
    applied: AppliedFleet, guesser: str
) -> None:
    assert applied.lab.run("inet", ["python3", "-c", REACH, guesser], check=False).returncode == 0
    applied.lab.run("inet", ["python3", "-c", GUESS, guesser])
    for host in applied.fleet.hosts:
        until(lambda host=host: locked_out(applied, host, guesser))  # type: ignore[misc]
    assert applied.lab.run("inet", ["python3", "-c", REACH, guesser], check=False).returncode != 0
    assert f"client {guesser} (refused), by smtpctl-guard@" in smtpctl("pause", "-i", str(INVENTORY)).stdout
    until(lambda: incidents(kind="ban", subject=guesser) and incidents(kind="login", subject=guesser))
    smtpctl("resume", "client", guesser, "-i", str(INVENTORY))
    until(lambda: not any(locked_out(applied, host, guesser) for host in applied.fleet.hosts))
    assert applied.lab.run("inet", ["python3", "-c", REACH, guesser], check=False).returncode == 0


def locked_out(applied: AppliedFleet, host: str, address: str) -> bool:
    there = applied.lab.run(host, ["nft", "list", "set", "inet", "smtpctl", "locked_out4"]).stdout
    return address in there


def test_a_file_changed_by_hand_and_a_new_key_are_incidents_until_acknowledged(applied: AppliedFleet) -> None:
    path, keys = "/etc/postfix-transactional/main.cf", "/root/.ssh/authorized_keys"
    before = applied.lab.run("relay1", ["cat", keys]).stdout
    fake = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + uuid.uuid4().hex.replace("-", "")[:28] + "AAAAAAAAAAAAAA= mallory"
    try:
        applied.lab.run("relay1", ["sh", "-c", f"echo '# by hand' >>{path}; echo '{fake}' >>{keys}"])
        until(lambda: incidents(kind="changed-by-hand", subject=path) and incidents(kind="ssh-key", subject="root"))
    finally:
        applied.lab.run("relay1", ["sed", "-i", "$d", path])
        applied.lab.run("relay1", ["systemctl", "reload", "postfix@transactional"])
        applied.lab.run("relay1", ["sh", "-c", f"printf %s '{before}' >{keys}"])
    (key,) = incidents(kind="ssh-key", subject="root")
    assert (key["severity"], "mallory" in key["text"]) == ("critical", True)
    (edited,) = incidents(kind="changed-by-hand", subject=path)
    smtpctl("incidents", "ack", key["id"], edited["id"], "--why", "a test", "-i", str(INVENTORY))
    assert incidents(kind="ssh-key", subject="root") == []
    assert "acknowledged" in smtpctl("incidents", "show", key["id"], "-i", str(INVENTORY)).stdout
