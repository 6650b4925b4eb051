"""A fleet whose hosts know the controller as their deploy user, with the one right that bootstrap gives: every command
that runs programs on hosts works for it as it does for root."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from smtpctl.transport.connection import operator
from tests.lab.support import INVENTORY, AppliedFleet, smtpctl

pytestmark = [pytest.mark.lab, pytest.mark.slow]

REMOVE = """
sed -i /^deploy:/d /etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/subuid /etc/subgid
rm -rf /home/deploy /usr/local/sbin/smtpctl-agent /etc/sudoers.d/smtpctl
"""


@pytest.fixture(scope="module")
def deployed(applied: AppliedFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppliedFleet]:
    """The applied fleet by an inventory that signs in as ``deploy``, whom every host was taught."""
    inventory = tmp_path_factory.mktemp("deploy") / INVENTORY.name
    inventory.write_text(INVENTORY.read_text().replace("ssh: {user: root, via: lab}", "ssh: {user: deploy, via: lab}"))
    for suffix in (".secrets.age", ".recipients"):
        inventory.with_suffix(suffix).write_bytes(INVENTORY.with_suffix(suffix).read_bytes())
    with applied.lab.entered():
        for host in applied.fleet.hosts:
            smtpctl("bootstrap", host, "-i", str(inventory))
        yield replace(applied, inventory=inventory)
        for host in applied.fleet.hosts:
            applied.lab.run(host, ["sh", "-c", REMOVE])


def test_limits_are_asked_for_and_given_back(deployed: AppliedFleet) -> None:
    applied, where = deployed, str(deployed.inventory)
    recipient = "ada+deploy@gmail.test"
    applied.send(recipient)
    asked = ("--credential", "shop", "--sender", "orders@shop.test", "--recipient", recipient)
    assert "answer: FILTER transactional" in smtpctl("policy", "explain", where, *asked).stdout
    counted = json.loads(smtpctl("policy", "quota", "show", where, "--json").stdout)["quotas"]
    assert counted
    smtpctl("policy", "quota", "grant", where, "--key", counted[0]["key"], "--units", "1")
    assert "as it should" in smtpctl("policy", "doctor", where).stdout
    smtpctl("status", "-i", where)
    unknown = smtpctl("policy", "quota", "reset", where, "--key", "no such key", check=False)
    assert (unknown.returncode, "is not a key of a limit" in unknown.stderr) == (2, True)


def test_the_ledger_is_opened_backed_up_and_restored(deployed: AppliedFleet, tmp_path: Path) -> None:
    applied, where = deployed, str(deployed.inventory)
    recipient = "bob+deploy@gmail.test"
    identity = applied.send(recipient)
    applied.journey(identity, "delivered")
    assert recipient in smtpctl("ledger", "show", identity, "-i", where).stdout
    assert smtpctl("why", identity, "-i", where).stdout
    assert identity in smtpctl("gdpr", "export", recipient, "-i", where).stdout
    taken = json.loads(smtpctl("backup", str(tmp_path), "-i", where, "--json").stdout)
    smtpctl("restore", taken["folder"], "-i", where, "--yes")
    assert recipient in smtpctl("ledger", "show", identity, "-i", where).stdout
    applied.journey(applied.send(recipient), "delivered")


def test_a_host_says_which_program_was_run_for_whom(deployed: AppliedFleet) -> None:
    smtpctl("policy", "quota", "show", str(deployed.inventory), "--key", "a key of a person")
    log = deployed.lab.run("edge1", ["journalctl", "-t", "smtpctl", "--no-pager"]).stdout
    assert f"runs /usr/local/lib/smtpctl/policy.pyz as root for {operator()}" in log
    assert "a key of a person" not in log
