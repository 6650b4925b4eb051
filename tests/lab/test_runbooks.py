"""docs/runbooks: each incident is brought about in the lab, and the page's own commands are run until it is over.

The losses of control host and mailboxes are in test_fleet_backup.py, the stolen credential is in test_fleet_stolen.py.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smtpctl.keys.certificates import Pair, issue
from smtpctl.keys.identity import identity_path, load_identity
from smtpctl.keys.store import changing
from smtpctl.lab.internet.mailboxes import recipient, source, verdicts
from smtpctl.lab.internet.nameserver import fleet_records
from tests.lab.runbook import RUNBOOKS, Walk
from tests.lab.support import INVENTORY, AppliedFleet, smtpctl, until

pytestmark = [pytest.mark.lab, pytest.mark.slow]

#: The source address that comes onto a block list.
LISTED = "10.78.2.1"

#: What pages pause.
PAUSED = (("provider", "google"), ("source", LISTED))

ELSEWHERE = {"control-dead.md", "stolen-credential.md", "README.md"}


@pytest.fixture(scope="module")
def copy(applied: AppliedFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The lab's inventory with its secrets, to be changed; afterwards the hosts are as the lab's own says."""
    folder = tmp_path_factory.mktemp("runbooks")
    for suffix in (".yml", ".secrets.age", ".recipients"):
        shutil.copy(INVENTORY.with_suffix(suffix), folder)
    yield folder / INVENTORY.name
    smtpctl("apply", str(INVENTORY), "--yes")


@pytest.fixture
def mark() -> str:
    """What tells this test's mail from any other."""
    return uuid.uuid4().hex[:12]


@pytest.fixture
def walk(request: pytest.FixtureRequest, copy: Path, mark: str) -> Iterator[Walk]:
    """The page that the test is named for. Of a walk that is not finished, nothing stays for the next one: no pause, no
    mail, and no host as the copy has it."""
    name = request.node.name.removeprefix("test_").replace("_", "-")
    walk = Walk(RUNBOOKS / f"{name}.md", copy, {"ada@example.net": f"ada+{mark}@gmail.test", "198.51.100.1": LISTED})
    yield walk
    if walk.left:
        for kind, value in PAUSED:
            smtpctl("resume", kind, value, "-i", str(INVENTORY), check=False)
        smtpctl("apply", str(INVENTORY), "--yes", check=False)
        for identity in (line.split()[3] for line in waiting(mark)):
            smtpctl("queue", "delete", identity, "--yes", "-i", str(INVENTORY), check=False)


@contextmanager
def edited(inventory: Path, before: str, after: str) -> Iterator[None]:
    """The inventory says something else while the block runs."""
    text = inventory.read_text()
    assert before in text
    inventory.write_text(text.replace(before, after))
    try:
        yield
    finally:
        inventory.write_text(text)


def waiting(mark: str, *chosen: str) -> list[str]:
    """What waits of a test's mail, a line a message."""
    listed = smtpctl("queue", "list", *chosen, "-i", str(INVENTORY)).stdout
    return [line for line in listed.splitlines() if mark in line]


def arrived(applied: AppliedFleet, to: str) -> int:
    return len(applied.lab.mail(to.partition("@")[2], to=to))


def all_arrived(applied: AppliedFleet, sent: list[str]) -> bool:
    """Whether the provider has one copy of each message, and one only."""
    found = Counter(recipient(mail) for mail in applied.lab.mail("gmail.test"))
    return [found[to] for to in sent] == [1] * len(sent)


def test_every_page_is_walked() -> None:
    here = re.findall(r"^def test_(\w+)\(.*walk", Path(__file__).read_text(encoding="utf-8"), re.M)
    walked = {f"{name.replace('_', '-')}.md" for name in here}
    assert walked | ELSEWHERE == {page.name for page in RUNBOOKS.glob("*.md")}


def test_relay_must_go(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    assert "relay1 is empty and takes nothing" in walk.run("queue drain", "--yes").stdout
    applied.lab.stop_host("relay1")
    try:
        applied.journey(applied.send(f"ada+{mark}@gmail.test"), "delivered")
        status = walk.run("status", check=False)
        assert (status.returncode, "relay1 does not answer" in status.stdout) == (1, True)
    finally:
        applied.lab.start_host("relay1")
        walk.run("queue drain")
    walk.done()


def test_edge_dead(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    applied.lab.stop_host("edge1")
    try:
        assert "edge1 does not answer" in walk.run("status", check=False).stdout
        until(lambda: applied.greets())
        applied.journey(applied.send(f"ada+{mark}@gmail.test"), "delivered")
        walk.run("status edge2", check=False)
    finally:
        applied.lab.start_host("edge1")
    applied.wait_until_ready()
    walk.run("queue list")
    walk.run("drift")
    walk.done()


def test_database_away(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    applied.lab.run("control1", ["systemctl", "stop", "postgresql@17-main.service"])
    try:
        assert "the ledger does not answer" in walk.run("status", check=False).stdout
        identity = applied.send(f"ada+{mark}@gmail.test")
        assert applied.lab.mail("gmail.test", to=f"ada+{mark}@gmail.test", wait=150)
    finally:
        (command,) = re.findall(r"^ {4}(systemctl .+)$", walk.page.read_text(), re.M)
        applied.lab.run("control1", command.split())
    applied.journey(identity, "delivered")
    assert "the ledger does not answer" not in walk.run("status", check=False).stdout
    audit = walk.run("ledger audit", "--json", check=False).stdout
    assert json.loads(audit)["unanswered"] == []
    walk.done()


def test_provider_throttles(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    throttled, later, other = f"throttle+{mark}@gmail.test", f"ada+{mark}@gmail.test", f"ada+{mark}@yahoo.test"
    applied.send(throttled)
    until(lambda: waiting(mark, "--reply", "421 4.7.0"))
    assert re.search(r"\d+  google$", walk.run("queue top --by provider").stdout, re.M)
    assert "421 4.7.0" in walk.run("queue top --by reply").stdout
    assert "Fewer connections" in walk.run("ledger classify").stdout
    walk.run("pause provider google")
    applied.send(later)
    applied.journey(applied.send(other), "delivered")
    until(lambda: waiting(mark, "--address", later, "--queue", "deferred"))
    with edited(walk.inventory, "mx: [gmail.test], connections: 10", "mx: [gmail.test], connections: 5"):
        assert "google connections 10 → 5" in walk.run("plan").stdout
        assert walk.run("apply", "--yes").stdout.count(" applied ") == 2
    assert arrived(applied, later) == 0
    walk.run("resume")
    until(lambda: arrived(applied, later) == 1)
    assert re.search(r"^transactional +google +\d", walk.run("status google", check=False).stdout, re.M)
    smtpctl("queue", "delete", "--address", throttled, "--yes", "-i", str(INVENTORY))
    walk.done()


def test_queue_fills(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    for number in range(3):
        applied.send(f"full+{mark}.{number}@gmail.test")
    until(lambda: len(waiting(mark, "--queue", "deferred", "--credential", "shop")) == 3)
    assert re.search(r"\d+  bounce\+orders@bounce.shop.test$", walk.run("queue top --by sender").stdout, re.M)
    assert "452 4.2.2" in walk.run("queue top --by reply").stdout
    assert mark in walk.run("queue list").stdout
    walk.run("queue hold", "--yes")
    assert len(waiting(mark, "--queue", "hold")) == 3
    applied.journey(applied.send(f"ada+{mark}@gmail.test"), "delivered")
    walk.run("queue release", "--yes")
    assert waiting(mark, "--queue", "hold") == []
    walk.run("queue delete", "--yes")
    assert waiting(mark) == []
    walk.done()


def test_certificate_ends(applied: AppliedFleet, walk: Walk) -> None:
    with changing(walk.inventory, load_identity(identity_path())) as values:
        authority = Pair(values["tls/ca/certificate"], values["tls/ca/key"])
        names = (applied.fleet.host_name("relay2"), applied.fleet.hosts["relay2"].address)
        old = issue(authority, names, datetime.now(UTC) - timedelta(days=820))
        values |= {"tls/relay2/certificate": old.certificate, "tls/relay2/key": old.key}
    smtpctl("apply", str(walk.inventory), "--host", "relay2", "--yes")
    assert re.search(r"WRONG: relay2: certificate .* ends in [45] days", walk.run("status", check=False).stdout)
    assert "tls/relay2/certificate" in walk.run("secrets init").stdout
    walk.run("apply", "--yes")
    assert "ends in" not in smtpctl("status", "relay2", "-i", str(INVENTORY), check=False).stdout
    walk.run("secrets rotate")
    walk.run("apply", "--yes")
    assert re.search(r"^relay2 .*certificates for 8\d\d days", walk.run("status", check=False).stdout, re.M)
    walk.done()


def test_dkim_key_leaked(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    to = f"ada+{mark}@gmail.test"
    with edited(
        walk.inventory, "{bounce: bounce.shop.test}", "{bounce: bounce.shop.test, dkim: {rsa: r2, ed25519: e2}}"
    ):
        walk.run("secrets init")
        assert "r2._domainkey.shop.test" in walk.run("dns records").stdout
        try:
            applied.lab.serve(*fleet_records(walk.inventory))
            walk.run("dns check")
            walk.run("apply", "--yes")
            applied.send(to)
            (message,) = applied.lab.mail("gmail.test", to=to, wait=150)
        finally:
            applied.lab.serve()
        assert re.findall(r"\bs=(\w+)", str(message.get_all("DKIM-Signature"))) == ["e2", "r2"]
        assert verdicts(message)["dkim"] == "pass"
        walk.run("drift")
    walk.done()


@contextmanager
def on_block_list(applied: AppliedFleet, address: str) -> Iterator[None]:
    """The largest provider refuses whatever comes from an address of ours while the block runs."""
    service, table = "10.78.1.1:25/inet/smtpd_client_restrictions", "/etc/lab/listed.cidr"
    refuse = f"echo '{address} REJECT {address} is listed' >{table}"
    refuse += f"; postconf -P {service}=check_client_access,cidr:{table}; postfix reload"
    applied.lab.run("inet", ["sh", "-euc", refuse])
    try:
        yield
    finally:
        applied.lab.run("inet", ["sh", "-euc", f"postconf -PX {service}; postfix reload"])


def sending(applied: AppliedFleet, mark: str, enough: Callable[[], object], otherwise: str) -> list[str]:
    """Send until ``enough``, which relay and source address a message gets being HAProxy's and the routing's to choose;
    whom to."""
    sent: list[str] = []

    def one_more() -> object:
        sent.append(f"ada+{mark}.{uuid.uuid4().hex[:6]}@gmail.test")
        applied.send(sent[-1])
        return enough()

    until(one_more, otherwise)
    return sent


def test_blocklisted_address(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    line = f"      - {{address: {LISTED}, helo: out1.lab.test, pool: transactional, weight: 2}}\n"

    def refused() -> str:
        search = ("ledger", "search", "--status", "bounced", "--text", "is listed", "-i", str(INVENTORY))
        return smtpctl(*search).stdout

    with on_block_list(applied, LISTED):
        sending(applied, mark, lambda: mark in refused(), "nothing was refused")
        assert "is listed" in walk.run("ledger top replies").stdout
        assert f"{LISTED} is listed" in walk.run("ledger search --text").stdout
        walk.run("pause source")
        assert mark in walk.run("ledger search --status").stdout
        later = f"{mark}.later"
        sent = sending(applied, later, lambda: waiting(later, "--reply", "deferred transport"), "nothing waits")
        with edited(walk.inventory, line, ""):
            assert "out1.lab.test" in walk.run("plan").stdout
            walk.run("apply", "--yes")
            walk.run("resume")
            until(lambda: all_arrived(applied, sent))
        came = [mail for mail in applied.lab.mail("gmail.test") if recipient(mail) in sent]
        assert LISTED not in {source(mail) for mail in came}
        assert later not in refused()
    walk.done()


def test_bad_change(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    to = f"ada+{mark}@gmail.test"
    worse = 'transactional: {port: 10025, parameters: {smtp_tcp_port: "26"}}'
    with edited(walk.inventory, "transactional: {port: 10025}", worse):
        smtpctl("apply", str(walk.inventory), "--role", "relay", "--yes")
        applied.send(to)
        until(lambda: waiting(mark, "--queue", "deferred"))
        assert "connect to mx.gmail.test[10.78.1.1]:26: " in walk.run("why").stdout
        assert re.search(r"apply, \d files?, kept$", walk.run("history").stdout.strip())
        assert walk.run("rollback", "--yes").stdout.count(" applied ") == 2
        walk.run("queue retry", "--yes")
        until(lambda: arrived(applied, to) == 1)
        assert "smtp_tcp_port" in walk.run("plan").stdout, "the next apply would not go forward again"
        assert "rollback" in walk.run("history").stdout.splitlines()[-1]
    walk.done()


#: Little room under /var/spool, and most of that taken. Mail that waits there stays in what it hides.
FILL = """
systemctl stop {units}
mkdir -p /srv/small && mount -t tmpfs -o size=200m tmpfs /srv/small && cp -a /var/spool/. /srv/small/
for queue in maildrop incoming active deferred defer hold; do find /srv/small/postfix-*/$queue -type f -delete; done
mount --bind /srv/small /var/spool
systemctl start {units}
fallocate -l $(($(df --output=avail -B1 /var/spool | tail -1) - 4000000)) /var/spool/filled
"""
EMPTY = "systemctl stop {units}; umount -l /var/spool; umount -l /srv/small; systemctl start {units}"
UNITS = "postfix@transactional.service postfix@marketing.service"


@contextmanager
def full(applied: AppliedFleet, host: str) -> Iterator[None]:
    """The disk of a relay is full; afterwards it is as before, and takes mail."""
    try:
        applied.lab.run(host, ["sh", "-euc", FILL.format(units=UNITS)])
        yield
    finally:
        applied.lab.run(host, ["sh", "-c", EMPTY.format(units=UNITS)])
        smtpctl("queue", "drain", host, "--undo", "-i", str(INVENTORY))


def test_disk_full(applied: AppliedFleet, walk: Walk, mark: str) -> None:
    full_up = ("--reply", "452 4.3.1", "--host", "edge1", "--host", "edge2")
    with full(applied, "relay2"):
        sent = sending(applied, mark, lambda: waiting(mark, *full_up), "relay2 takes it all")
        assert re.search(r"WRONG: relay2: disk \d% free under /var/spool", walk.run("status", check=False).stdout)
        assert "relay2 is empty" in walk.run("queue drain relay2", "--yes").stdout
        walk.run("queue retry", "--yes")
        until(lambda: all_arrived(applied, sent))
        applied.lab.run("relay2", ["rm", "/var/spool/filled"])
        walk.run("queue drain relay2 --undo")
        assert "WRONG: relay2: disk" not in walk.run("status", check=False).stdout
        # what came since is in a spool that goes
        smtpctl("queue", "drain", "relay2", "--yes", "-i", str(INVENTORY))
    assert all_arrived(applied, sent)
    walk.done()
