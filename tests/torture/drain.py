"""200,000 messages that wait on two relays in four pools: every queue command timed, one relay drained and switched off
while mail flows; then every message is counted at the provider exactly once, and those that were deleted not at all.

TORTURE_MESSAGES says how many wait, TORTURE_DELETED how many of them are deleted. The providers' checks of SPF and DKIM
and their TLS are switched off meanwhile: they take longer than everything that is looked at here. A sample on the lab's
own two pools is tests/lab/test_fleet_drain.py.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from smtpctl.inventory import load_fleet
from smtpctl.keys import read_secrets
from smtpctl.lab import Lab
from smtpctl.lab.internet.nameserver import fleet_records
from tests.lab.full_queues import BOUNCED, DELETED, PROVIDER, RELAYS, REQUEUED, RETRIED, FullQueues, Pool
from tests.lab.support import INVENTORY, AppliedFleet, smtpctl

MESSAGES = int(os.environ.get("TORTURE_MESSAGES", "200000"))
PARTS = {
    DELETED: int(os.environ.get("TORTURE_DELETED", MESSAGES // 10)),
    REQUEUED: MESSAGES // 50,
    RETRIED: MESSAGES // 25,
    BOUNCED: MESSAGES // 500,
}

#: Settings of the providers' Postfix while this runs.
HASTY = {"smtpd_milters": "", "smtpd_tls_security_level": "none"}

POOLS = (
    Pool("transactional", "shop", "shop.test"),
    Pool("marketing", "newsletter", "news.test"),
    Pool("receipts", "receipts", "shop.test"),
    Pool("alerts", "alerts", "shop.test"),
)

_STREAMS = """
  receipts: {pool: receipts}
  alerts: {pool: alerts}

pools:
  receipts: {port: 10027}
  alerts: {port: 10028}"""
_CREDENTIALS = """credentials:
  receipts: {senders: [shop.test], stream: receipts}
  alerts: {senders: [shop.test], stream: alerts}"""


def torture(seed: int) -> None:
    """One round. Raise AssertionError with what was lost, came twice, or came though it was deleted."""
    with _four_pools() as applied, applied.lab.entered():
        FullQueues(applied, POOLS, MESSAGES, PARTS, seed, _tell).run()


def _tell(line: str) -> None:
    print(f"  {line}", flush=True)


@contextmanager
def _four_pools() -> Iterator[AppliedFleet]:
    """The lab's fleet with two pools more. It gets its own back afterwards, unless the lab was booted for this."""
    lab = Lab()
    booted = lab.up() if lab.status() is None else False
    try:
        smtpctl("secrets", "init", str(INVENTORY))
        with tempfile.TemporaryDirectory(prefix="smtpctl-drain-") as name:
            inventory = inventory_with_four_pools(Path(name))
            lab.serve(*fleet_records(inventory))
            smtpctl("apply", str(inventory), "--yes")
            applied = AppliedFleet(lab, load_fleet(inventory), read_secrets(inventory), inventory)
            with lab.entered():
                applied.wait_until_ready()
            try:
                with _hasty_provider(lab):
                    yield applied
            finally:
                # the lab's own inventory has no place for what a failed round left in the two pools
                if not booted:
                    _empty(lab, inventory)
    finally:
        if booted:
            lab.down()
        else:
            lab.serve()
            smtpctl("apply", str(INVENTORY), "--yes")


def _empty(lab: Lab, inventory: Path) -> None:
    """Both relays on, taking mail, and without any."""
    for host in RELAYS:
        lab.start_host(host)
        smtpctl("queue", "drain", host, "--undo", "-i", str(inventory))
        smtpctl("queue", "delete", "--host", host, "--yes", "-i", str(inventory))
    smtpctl("resume", "provider", PROVIDER, "-i", str(inventory), check=False)


def inventory_with_four_pools(folder: Path) -> Path:
    """The lab's inventory with pools ``receipts`` and ``alerts`` on both relays, and its secrets."""
    inventory = folder / INVENTORY.name
    for suffix in (".secrets.age", ".recipients"):
        shutil.copy(INVENTORY.with_suffix(suffix), folder)
    text = INVENTORY.read_text().replace("\n\npools:", _STREAMS, 1).replace("credentials:", _CREDENTIALS, 1)
    for number, beside in enumerate(("bulk1.lab.test", "bulk2.lab.test"), start=1):
        line = next(line for line in text.splitlines() if beside in line)
        more = [
            f"      - {{address: 10.78.2.{place + number}, helo: {pool}{number}.lab.test, pool: {pool}}}"
            for place, pool in ((20, "receipts"), (30, "alerts"))
        ]
        text = text.replace(line, "\n".join([line, *more]))
    inventory.write_text(text)
    smtpctl("secrets", "init", str(inventory))
    return inventory


@contextmanager
def _hasty_provider(lab: Lab) -> Iterator[None]:
    """The mailbox providers judge nothing while the block runs, and offer no TLS."""
    usual = {name: lab.run("inet", ["postconf", "-h", name]).stdout.strip() for name in HASTY}
    _set(lab, HASTY)
    try:
        yield
    finally:
        _set(lab, usual)


def _set(lab: Lab, parameters: Mapping[str, str]) -> None:
    lab.run("inet", ["postconf", "-e", *(f"{name}={value}" for name, value in parameters.items())])
    lab.run("inet", ["postfix", "reload"])
