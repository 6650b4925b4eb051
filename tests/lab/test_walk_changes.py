"""docs/changes.md, walked as it stands there: its edits, its commands, and what it promises of them."""

from __future__ import annotations

import shutil
import smtplib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

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

    def walk(self, section: str) -> Walk:
        return Walk(PAGE, self.inventory, WORDS, section)

    def serve(self) -> None:
        """Publish the records of the inventory as it is now."""
        self.lab.serve(*fleet_records(self.inventory))

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
    applied.lab.trust_hosts()
    applied.lab.load_dns()
    smtpctl("apply", str(INVENTORY), "--yes", "--take-over")
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
    waits = f"full+{desk.mark}@gmail.test"
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
