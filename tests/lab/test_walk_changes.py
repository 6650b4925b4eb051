"""docs/changes.md, walked as it stands there: its edits, its commands, and what it promises of them."""

from __future__ import annotations

import shutil
import smtplib
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from smtpctl.inventory import load_fleet
from smtpctl.keys import read_secrets
from smtpctl.lab.application import connect, submit
from smtpctl.lab.internet.mailboxes import source
from smtpctl.lab.internet.nameserver import fleet_records
from tests.lab.runbook import Walk
from tests.lab.support import INVENTORY, REPOSITORY, AppliedFleet, smtpctl, until

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PAGE = REPOSITORY / "docs" / "changes.md"

#: What the page calls differently than the lab.
WORDS = {
    "198.51.100.": "10.78.2.",
    "192.0.2.": "10.78.0.",
    "mail.example.com": "lab.test",
    "shop.example.com": "shop.test",
}


class Desk:
    """A folder with an inventory and its secrets, at which the page is walked section by section."""

    def __init__(self, applied: AppliedFleet, folder: Path) -> None:
        for suffix in (".yml", ".secrets.age", ".recipients"):
            shutil.copy(INVENTORY.with_suffix(suffix), folder)
        self.inventory = folder / INVENTORY.name
        self.before = self.inventory.read_text()
        self.lab = applied.lab
        self.mark = uuid.uuid4().hex[:12]
        #: A mailbox that is full: mail to it waits.
        self.waits = f"full+{self.mark}@gmail.test"

    def walk(self, section: str) -> Walk:
        return Walk(PAGE, self.inventory, WORDS, section)

    def serve(self) -> None:
        """Publish the records of the inventory as it is now."""
        self.lab.serve(*fleet_records(self.inventory))

    def without(self, host: str) -> None:
        """Take a host out of the inventory."""
        inventory = yaml.safe_load(self.before)
        del inventory["hosts"][host]
        self.inventory.write_text(yaml.safe_dump(inventory, sort_keys=False))

    @property
    def fleet(self) -> AppliedFleet:
        return AppliedFleet(self.lab, load_fleet(self.inventory), read_secrets(self.inventory), self.inventory)

    def sent_from(self, credential: str) -> str:
        """The address that a message of a credential comes to its provider from."""
        fleet, address = self.fleet, f"ada+{self.mark}.{uuid.uuid4().hex[:6]}@gmail.test"
        message = fleet.message("orders@shop.test", address)
        submit(fleet.place(credential), message, sender="orders@shop.test", recipients=[address])
        (arrived,) = self.lab.mail("gmail.test", to=address, wait=150)
        return source(arrived)


@pytest.fixture
def desk(applied: AppliedFleet, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(applied, tmp_path)
    yield desk
    applied.lab.start_host("relay2")
    applied.lab.trust_hosts()
    applied.lab.load_dns()
    smtpctl("queue", "drain", "relay2", "--undo", "-i", str(INVENTORY), check=False)
    smtpctl("apply", str(INVENTORY), "--yes", "--take-over")
    smtpctl("queue", "delete", "-i", str(INVENTORY), "--address", desk.waits, "--yes")
    applied.wait_until_ready()


def signs_in(fleet: AppliedFleet, credential: str) -> bool:
    try:
        with connect(fleet.place(credential)):
            return True
    except smtplib.SMTPAuthenticationError:
        return False


def test_a_stream_with_its_pool_and_credential_comes_is_changed_and_goes(desk: Desk) -> None:
    walk = desk.walk("Adding a stream, its pool and a credential")
    walk.edit()
    walk.run("secrets init")
    assert "receipts2.lab.test" in walk.run("dns records").stdout
    desk.serve()
    walk.run("dns check")
    walk.run("apply", "--yes")
    old = desk.fleet
    assert walk.run("secrets show").stdout.strip() == old.secrets["credentials/till/password"]
    walk.done()
    assert desk.sent_from("till") in ("10.78.2.9", "10.78.2.10")

    walk = desk.walk("Replacing a password")
    walk.run("secrets rotate")
    walk.run("apply", "--yes")
    assert walk.run("secrets show").stdout.strip() == desk.fleet.secrets["credentials/till/password"]
    walk.done()
    assert (signs_in(old, "till"), signs_in(desk.fleet, "till")) == (False, True)

    walk = desk.walk("Moving a stream to another pool")
    walk.edit()
    walk.run("dns records")
    desk.serve()
    walk.run("dns check")
    walk.run("apply", "--yes")
    assert desk.sent_from("till") in ("10.78.2.11", "10.78.2.12")
    assert walk.run("queue list").stdout == ""
    walk.done()

    last = desk.fleet
    waits = desk.waits
    submit(last.place("till"), last.message("a@shop.test", waits), sender="a@shop.test", recipients=[waits])
    walk = desk.walk("Removing a credential, a stream and a pool")
    walk.run("pause credential till")
    until(lambda: waits in smtpctl("queue", "list", "-i", str(desk.inventory), "--pool", "tills").stdout)
    whole = desk.inventory.read_text()
    desk.inventory.write_text(desk.before)
    refused = smtpctl("apply", str(desk.inventory), "--yes", check=False)
    assert refused.returncode == 1
    assert "mail would be left behind: 1 message in the queue of postfix@tills, which it stops" in refused.stderr
    desk.inventory.write_text(whole)
    smtpctl("queue", "delete", "-i", str(desk.inventory), "--pool", "tills", "--yes")
    assert walk.run("queue list").stdout == ""
    desk.inventory.write_text(desk.before)
    walk.run("apply", "--yes")
    walk.run("resume")
    assert "removed credentials/till/password" in walk.run("secrets prune", "--yes").stdout
    walk.done()
    assert (signs_in(last, "till"), signs_in(last, "shop")) == (False, True)


def test_a_host_goes_another_comes_and_one_is_replaced(applied: AppliedFleet, desk: Desk) -> None:
    walk = desk.walk("Removing a host")
    waits = desk.waits
    until(lambda: waits_on("relay2", applied, waits))
    messages = waiting(waits)
    desk.without("relay2")
    refused = smtpctl("apply", str(desk.inventory), "--yes", check=False)
    assert refused.returncode == 1
    assert "relay2 is no longer in the inventory, and mail waits there" in refused.stderr
    desk.inventory.write_text(desk.before)
    walk.run("queue drain", "--yes")
    desk.without("relay2")
    walk.run("validate")
    done = walk.run("apply", "--yes")
    assert "relay2       leaves its queues are empty" in done.stderr
    assert "relay2.lab.test leaves the fleet" in done.stderr
    assert "removed tls/relay2/key" in walk.run("secrets prune", "--yes").stdout
    applied.lab.stop_host("relay2")
    assert "relay2" not in walk.run("status", check=False).stdout
    walk.done()
    assert waiting(waits, "--host", "relay1") == messages
    assert desk.sent_from("shop") in ("10.78.2.1", "10.78.2.2")

    applied.lab.reinstall_host("relay2", another_machine=True)
    forget("relay2", desk)
    walk = desk.walk("Adding a host")
    desk.inventory.write_text(desk.before)
    fingerprint = shown(applied, "relay2")
    assert f"host key {fingerprint}" in walk.run("bootstrap", "--fingerprint", fingerprint).stdout
    walk.run("secrets init")
    walk.run("dns records")
    desk.serve()
    walk.run("dns check")
    assert "relay2" in walk.run("plan").stdout
    walk.run("apply", "--yes")
    walk.done()
    until(lambda: desk.sent_from("shop") == "10.78.2.4")

    walk = desk.walk("Replacing a host")
    assert walk.run("queue list").stdout == ""
    applied.lab.reinstall_host("edge2", another_machine=True)
    assert desk.sent_from("shop")
    refused = smtpctl("plan", str(desk.inventory), "--host", "edge2", check=False)
    assert "HOST KEY CHANGED" in refused.stderr
    (command,) = walk.other_commands("ssh-keygen")
    subprocess.run([*command, "-f", str(applied.lab.state.known_hosts)], check=True, capture_output=True)
    walk.run("bootstrap", "--fingerprint", shown(applied, "edge2"))
    walk.run("apply", "--yes")
    applied.wait_until_ready()
    assert "edge2 does not answer" not in walk.run("status", check=False).stdout
    walk.done()


def waits_on(host: str, applied: AppliedFleet, address: str) -> bool:
    """Whether mail to a full mailbox waits on a host; one more is sent where it does not."""
    applied.journey(applied.send(address), "deferred")
    return waiting(address, "--host", host) > 0


def waiting(address: str, *more: str) -> int:
    """How many messages to an address wait."""
    listed = smtpctl("queue", "list", "-i", str(INVENTORY), "--address", address, "--json", *more).stdout
    return len(listed.splitlines())


def shown(applied: AppliedFleet, host: str) -> str:
    """The fingerprint that the console of a host shows."""
    return applied.lab.run(host, ["ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub"]).stdout.split()[1]


def forget(host: str, desk: Desk) -> None:
    """Have known hosts as for a machine that was never seen."""
    known = desk.lab.state.known_hosts
    subprocess.run(["ssh-keygen", "-R", desk.lab.addresses[host], "-f", str(known)], check=True, capture_output=True)
