"""A bare host, where only root can sign in, made ready; and what its deploy user can do then, and cannot."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpctl.errors import HostError
from smtpctl.model.records import Outcome
from smtpctl.transport import bundle
from smtpctl.transport.agent import MARKER, frames
from smtpctl.transport.host import Host
from smtpctl.transport.program import run_on
from tests.deploy.conftest import INVENTORY, Bench, desired, file, greets, haproxy
from tests.packing import offer, withdraw

pytestmark = pytest.mark.lab

HOST = "relay2"

RESET = """
sed -i /^deploy:/d /etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/subuid /etc/subgid
rm -rf /home/deploy /usr/local/sbin/smtpctl-agent /etc/sudoers.d/smtpctl /etc/sudoers.d/other /var/lib/smtpctl
true
"""


class Desk:
    """An operator's folder: an inventory that signs in as ``deploy``, and a file of known host keys of its own."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.known_hosts = folder / "known_hosts"
        self.inventory = folder / "fleet.yml"
        identity = folder / "id_ed25519"
        identity.write_bytes(bench.lab.state.identity.read_bytes())
        identity.chmod(0o600)
        ssh = "ssh: {user: deploy, identity: id_ed25519, known_hosts: known_hosts}"
        self.inventory.write_text(INVENTORY.read_text().replace("ssh: {user: root, via: lab}", ssh))

    @property
    def fingerprint(self) -> str:
        public = (self.bench.lab.state.keys / "hosts" / f"{HOST}.pub").read_text().split()[1]
        digest = hashlib.sha256(base64.b64decode(public)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def bootstrap(self, *options: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "smtpctl", "bootstrap", HOST, "-i", str(self.inventory), *options]
        return subprocess.run(command, input=answer, capture_output=True, text=True, check=False)

    def as_deploy(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the deploy user, as sshd would."""
        return self.bench.lab.run(HOST, ["runuser", "-u", "deploy", "--", "sh", "-c", command], check=False)


@pytest.fixture
def desk(bench: Bench, tmp_path: Path) -> Iterator[Desk]:
    yield Desk(bench, tmp_path)
    bench.run(HOST, RESET)


@pytest.fixture
def bare(desk: Desk) -> Iterator[Desk]:
    """A host without sudo, which its repository has."""
    desk.bench.lab.run(HOST, offer("sudo"))
    desk.bench.run(HOST, "SUDO_FORCE_REMOVE=yes dpkg --purge sudo")
    yield desk
    desk.bench.run(HOST, "apt-get -qq install -y sudo")
    desk.bench.lab.run(HOST, withdraw())


@pytest.fixture
def ready(desk: Desk) -> Desk:
    done = desk.bootstrap("--fingerprint", desk.fingerprint)
    assert done.returncode == 0, done.stderr
    return desk


def test_a_bare_host_becomes_ready_and_is_left_alone_by_the_second_run(bare: Desk) -> None:
    first = bare.bootstrap("--fingerprint", bare.fingerprint, "--json")
    assert first.returncode == 0, first.stderr
    answer = json.loads(first.stdout)
    assert (answer["version"], answer["user"], answer["fingerprint"]) == (1, "deploy", bare.fingerprint)
    assert answer["changed"] == [
        str(bare.known_hosts),
        "package sudo",
        "user deploy",
        "/home/deploy/.ssh/authorized_keys",
        "/usr/local/sbin/smtpctl-agent",
        "/etc/sudoers.d/smtpctl",
    ]
    again = bare.bootstrap("--json")
    assert (again.returncode, json.loads(again.stdout)["changed"]) == (0, [])
    assert len(bare.known_hosts.read_text().splitlines()) == 1


def test_the_deploy_user_has_one_right_to_a_command_of_roots_own(ready: Desk) -> None:
    rights = ready.bench.run(HOST, "sudo -l -U deploy").partition("may run the following commands")[2]
    assert rights.splitlines()[1:] == ["    (root) NOPASSWD: /usr/local/sbin/smtpctl-agent"]
    assert ready.bench.run(HOST, "stat -c '%a %U:%G' /usr/local/sbin/smtpctl-agent /etc/sudoers.d/smtpctl") == (
        "755 root:root\n440 root:root\n"
    )
    assert ready.bench.run(HOST, "visudo -c", check=False).count("parsed OK") >= 2
    assert "a password is required" in ready.as_deploy("sudo -n /bin/cat /etc/shadow").stderr
    assert "a password is required" in ready.as_deploy("sudo -n /usr/bin/python3 -c 'print()'").stderr


def test_everything_works_for_the_deploy_user(ready: Desk) -> None:
    bench = Bench(ready.bench.lab, touched=ready.bench.touched, user="deploy")
    one = desired(HOST, haproxy(), probes=[greets()])
    two = desired(HOST, haproxy(8081), file("/etc/sysctl.d/trial.conf", "# a\n"), probes=[greets(8081)])
    assert bench.apply(one)[HOST].outcome is Outcome.APPLIED
    assert [change.path for change in bench.plan(two).files] == ["/etc/haproxy/haproxy.cfg", "/etc/sysctl.d/trial.conf"]
    assert bench.apply(two)[HOST].outcome is Outcome.APPLIED
    assert "over a new connection" in [event.detail for event in bench.events]
    assert bench.rollback(HOST).outcome is Outcome.APPLIED
    assert bench.plan(one).empty
    for user in ("root", "nobody"):
        assert run_on(bench.targets[HOST], user, "sh", "-c", "cat; id -un", told=b"told\n") == (
            0,
            b"told\n%s\n" % user.encode(),
            "",
        )
    assert run_on(bench.targets[HOST], "root", "/no/program") == (127, b"", "/no/program: No such file or directory")
    with Host(bench.targets[HOST], "ann@desk") as host:
        host.ask({"do": "settle"})
        with Host(bench.targets[HOST], "bob@desk") as other, pytest.raises(HostError, match="changed by ann@desk, for"):
            other.ask({"do": "settle"})


@pytest.mark.parametrize(
    ("arguments", "sent", "words"),
    [
        ("holder ../../../tmp/agent", b"", "is not the hash of an agent"),
        (f"holder {'0' * 64}", b"another agent", "the agent that came is another one"),
    ],
)
def test_the_command_runs_no_other_agent_than_its_arguments_name(
    ready: Desk, arguments: str, sent: bytes, words: str
) -> None:
    stream = frames.pack({"do": "ping"}) + len(sent).to_bytes(4, "big") + sent
    feed = f"printf %s {base64.b64encode(stream).decode()} | base64 -d"
    answer = ready.as_deploy(f"{feed} | sudo -n {bundle.FIXED_COMMAND} {MARKER} {arguments}")
    assert answer.returncode == 1
    assert words in answer.stderr


def test_another_fingerprint_is_refused_and_nothing_is_changed(desk: Desk) -> None:
    refused = desk.bootstrap("--fingerprint", "SHA256:" + "A" * 43)
    assert refused.returncode == 1
    assert f"shows ssh-ed25519 {desk.fingerprint}, not SHA256:AAAA" in refused.stderr
    assert not desk.known_hosts.exists()
    assert "no such user" in desk.bench.run(HOST, "id deploy 2>&1", check=False)


def test_an_unknown_key_is_shown_and_asked_for(desk: Desk) -> None:
    refused = desk.bootstrap(answer="n\n")
    assert refused.returncode == 1
    assert f"shows the ssh-ed25519 key {desk.fingerprint}" in refused.stderr
    assert not desk.known_hosts.exists()
    assert "--json cannot ask" in desk.bootstrap("--json").stderr
    trusted = desk.bootstrap(answer="y\n")
    assert (trusted.returncode, trusted.stdout.splitlines()[-1]) == (
        0,
        f"{HOST}: ready for deploy, host key {desk.fingerprint}",
    )


def test_a_host_that_is_known_by_another_key_is_refused(desk: Desk) -> None:
    other = (desk.bench.lab.state.keys / "hosts" / "relay1.pub").read_text().split()[1]
    desk.known_hosts.write_text(f"{desk.bench.lab.addresses[HOST]} ssh-ed25519 {other}\n")
    for options in ((), ("--fingerprint", desk.fingerprint)):
        refused = desk.bootstrap(*options)
        assert refused.returncode == 1
        assert "HOST KEY CHANGED" in refused.stderr
    assert len(desk.known_hosts.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (
            "useradd -m deploy; umask 337; echo 'deploy ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/other",
            "deploy may do more than run",
        ),
        ("useradd --non-unique --uid 0 deploy", "deploy is root by another name"),
        ("chmod g+w /usr/local/sbin", "somebody else than root may write to /usr/local/sbin"),
        ("echo nonsense > /etc/sudoers.d/other", "syntax error"),
        ("sed -i 's/trixie/bookworm/; s/13/12/' /usr/lib/os-release", "Debian GNU/Linux 12 (bookworm), not Debian 13"),
    ],
)
def test_a_host_that_cannot_be_made_safe_is_refused_with_the_reason(desk: Desk, before: str, words: str) -> None:
    desk.bench.run(HOST, "cp -a /usr/lib/os-release /run/os-release; " + before)
    try:
        refused = desk.bootstrap("--fingerprint", desk.fingerprint)
    finally:
        desk.bench.run(HOST, "chmod g-w /usr/local/sbin; cp -a /run/os-release /usr/lib/os-release")
    assert refused.returncode == 1
    assert words in refused.stderr
    if "nonsense" in before:
        assert desk.bench.run(HOST, "ls /etc/sudoers.d") == "README\nother\n"
