"""All six roles on one host: the same inventory shape, a host that submits, signs, relays, receives and remembers."""

from __future__ import annotations

import shutil
import smtplib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpctl.inventory import load_fleet
from smtpctl.keys import read_secrets
from smtpctl.lab import Lab, StateFolder
from smtpctl.lab.application import read_mailbox, submit
from smtpctl.lab.image import images_folder
from smtpctl.lab.internet.mailboxes import source, verdicts
from tests.lab.support import AppliedFleet, smtpctl

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def single(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppliedFleet]:
    """A lab of its own, beside the other, with one host that has every role."""
    inventory = tmp_path_factory.mktemp("single") / "single.yml"
    shutil.copy(Path(__file__).parent / "single" / "inventory.yml", inventory)
    folder = lab.state.root.with_name(f"{lab.state.root.name}-single")
    own = Lab(StateFolder(folder))
    environment = {"SMTPCTL_LAB_DIR": str(folder), "SMTPCTL_LAB_IMAGES": str(images_folder(lab.state))}
    smtpctl("secrets", "init", str(inventory))
    smtpctl("lab", "up", "--inventory", str(inventory), environment=environment)
    try:
        smtpctl("lab", "dns", environment=environment)
        smtpctl("apply", str(inventory), "--yes", environment=environment)
        yield AppliedFleet(own, load_fleet(inventory), read_secrets(inventory), inventory, environment)
    finally:
        smtpctl("lab", "down", "--wipe", environment=environment)


def test_one_host_with_every_role_carries_a_message_and_shows_its_journey(single: AppliedFleet) -> None:
    address = single.fleet.hosts["mail1"].address
    recipient = f"ada+{uuid.uuid4().hex}@gmail.test"
    message = single.message("orders@shop.test", recipient)
    with single.lab.entered():
        submit(single.place("shop", address=address), message, sender="orders@shop.test", recipients=[recipient])
        (arrived,) = single.lab.mail("gmail.test", to=recipient, wait=150)
        found = verdicts(arrived)
        assert (found["spf"], found["dkim"], found["dmarc"]) == ("pass", "pass", "pass")
        assert source(arrived) == "10.78.2.1"
        journey = single.journey(str(message["Message-ID"]).strip("<>"), "delivered", hosts=2)
    assert [stop["role"] for stop in journey["messages"]] == ["submission", "relay"]


def test_its_mx_takes_mail_for_postmaster_and_imap_shows_it(single: AppliedFleet) -> None:
    host = single.fleet.hosts["mail1"]
    message = single.message("ada@gmail.test", "postmaster@shop.test")
    with single.lab.entered():
        with smtplib.SMTP(host.address, 25, timeout=20) as session:
            session.send_message(message, "ada@gmail.test", ["postmaster@shop.test"])
        found = []
        for _ in range(100):
            found = read_mailbox(
                host.address,
                "mail1.one.test",
                single.secrets["tls/ca/certificate"],
                "postmaster",
                single.secrets["mailboxes/postmaster/password"],
            )
            if found:
                break
    assert [item["Message-ID"] for item in found] == [message["Message-ID"]]


def test_a_second_apply_changes_nothing(single: AppliedFleet) -> None:
    answer = smtpctl("apply", str(single.inventory), "--yes", environment=single.environment)
    assert answer.stdout.startswith("no changes"), answer.stdout
