"""``smtpctl lab demo``: the main job from a bare lab to mail in the ledger, by the commands that a user would type.

Each part checks what it shows, and the first that is not so ends the demo with the reason. Mail is sent from inside
the lab by ``smtpctl.lab.application``; everything else runs as ``smtpctl …`` processes.
"""

from __future__ import annotations

import json
import os
import smtplib
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from smtpctl.cli.output import progress, styled
from smtpctl.errors import LabError

if TYPE_CHECKING:
    from smtpctl.lab import Lab
    from smtpctl.lab.application import Submission
    from smtpctl.model.fleet import Fleet
    from smtpctl.model.secrets import Secrets

#: Longest that a step of a message's journey may take until the ledger shows it, in seconds.
PATIENCE = 30.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stage:
    """What every part of the demo works with."""

    lab: Lab
    inventory: Path
    fleet: Fleet
    secrets: Secrets

    def place(self, credential: str, *, edge: str | None = None) -> Submission:
        """Where ``credential`` submits: the virtual address, or one balancer's own."""
        from smtpctl.lab.application import Submission

        virtual = self.fleet.balancing.virtual_address or ""
        return Submission(
            address=self.fleet.hosts[edge].address if edge else virtual.partition("/")[0],
            name=self.fleet.balancing.name,
            authority=self.secrets["tls/ca/certificate"],
            credential=credential,
            password=self.secrets[f"credentials/{credential}/password"],
        )

    def send(self, credential: str, sender: str, recipient: str, subject: str, *, edge: str | None = None) -> str:
        """Submit one message; its Message-ID. Raise smtplib's errors when it is refused."""
        from smtpctl.lab import application

        identity = f"{uuid.uuid4().hex[:12]}@{sender.partition('@')[2]}"
        message = application.compose(sender, [recipient], subject, identity=identity)
        with self.lab.entered():
            application.submit(self.place(credential, edge=edge), message, sender=sender, recipients=[recipient])
        progress(f"  {credential}: {sender} → {recipient}, accepted at {edge or self.fleet.balancing.name}")
        return identity

    def greets(self) -> bool | None:
        """True when a balancer holds the virtual address and a submission host answers behind it; None before that."""
        place = self.place("shop")
        try:
            with self.lab.entered(), socket.create_connection((place.address, place.port), 2) as connection:
                return connection.recv(3) == b"220" or None
        except OSError:
            return None

    def smtpctl(self, *arguments: str) -> str:
        """Run a command as the user would type it, showing it; what it printed. Raise LabError when it fails."""
        return _smtpctl(arguments, show=True)

    def journey(self, identity: str, wanted: str) -> dict[str, Any]:
        """The journey of a message from the ledger, as soon as its outcome is ``wanted``, and submission host and relay
        have told of it: the logs of hosts come in any order."""

        def look() -> dict[str, Any] | None:
            command = ("ledger", "show", identity, "-i", str(self.inventory), "--json")
            answer = _smtpctl(command, show=False, codes=(0, 1))
            for found in json.loads(answer)["journeys"] if answer else []:
                submitted = any(message["role"] == "submission" for message in found["messages"])
                if submitted and found["outcome"] == wanted and _ends(found):
                    return dict(found)
            return None

        return _wait(look, f"the ledger does not show {identity} as {wanted}")


@click.command()
@click.option("--inventory", type=click.Path(path_type=Path, exists=True), default="inventory/lab.yml", hidden=True)
@click.option("--keep", is_flag=True, envvar="KEEP", help="Leave the lab running (also KEEP=1).")
def demo(inventory: Path, keep: bool) -> None:
    """Boot the lab, bring the fleet up, send real mail through it, and show what the ledger says.

    \b
    Examples:
      smtpctl lab demo
      KEEP=1 smtpctl lab demo
    """
    began = time.monotonic()
    with _lab(inventory, keep=keep) as stage:
        _heading("The fleet, from bare Debian hosts")
        stage.smtpctl("apply", str(inventory), "--yes")
        _wait(stage.greets, "no balancer passes mail on at the virtual address")
        for part in (_transactional, _limit, _bounce, _marketing, _postmaster, _again):
            part(stage)
        if keep:
            progress("\nThe lab stays up. Look around with `smtpctl lab status`, end it with `smtpctl lab down`.")
    progress(f"\n{styled('Done', 'green')} in {time.monotonic() - began:.0f} s.")


@contextmanager
def _lab(inventory: Path, *, keep: bool) -> Iterator[Stage]:
    from smtpctl.cli.loading import load
    from smtpctl.lab import Lab

    _heading("Secrets, six hosts and an internet")
    _smtpctl(("secrets", "init", str(inventory)), show=True)
    _smtpctl(("lab", "up", "--inventory", str(inventory)), show=True)
    _smtpctl(("lab", "dns"), show=True)
    lab = Lab()
    try:
        yield Stage(lab, inventory, *load(inventory))
    finally:
        if not keep:
            _smtpctl(("lab", "down"), show=True)


def _transactional(stage: Stage) -> None:
    _heading("(a) A receipt, signed, delivered and accounted for")
    recipient = f"ada+{uuid.uuid4().hex[:8]}@gmail.test"
    identity = stage.send("shop", "orders@shop.test", recipient, "Your receipt")
    stage.journey(identity, "delivered")
    _authenticated(stage, recipient)
    stage.smtpctl("ledger", "show", identity, "-i", str(stage.inventory))


def _limit(stage: Stage) -> None:
    from smtpctl.model.fleet import Role

    _heading("(b) A sender held at its limit, on whichever edge it comes through")
    edges = list(stage.fleet.hosts_with(Role.SUBMISSION))
    (limit,) = stage.fleet.limits_of("trickle")
    accepted = 0
    for number in range(limit.count + 4):
        try:
            stage.send("trickle", "info@shop.test", "grace@yahoo.test", f"{number}", edge=edges[number % len(edges)])
            accepted += 1
        except smtplib.SMTPRecipientsRefused as refusal:
            code, text = next(iter(refusal.recipients.values()))
            _show_refusal(edges[number % len(edges)], code, text)
        except smtplib.SMTPResponseException as refusal:
            _show_refusal(edges[number % len(edges)], refusal.smtp_code, refusal.smtp_error)
    _require(accepted <= limit.count, f"{accepted} were accepted over a limit of {limit.count}")
    progress(f"  accepted: {accepted} of {limit.count + 4}; the limit is {limit.count} an hour over both edges")


def _ends(journey: dict[str, Any]) -> list[dict[str, Any]]:
    """A relay's attempts that ended a message, one way or the other."""
    relayed = [message for message in journey["messages"] if message["role"] == "relay"]
    return [attempt for message in relayed for attempt in message["deliveries"] if attempt["status"] != "deferred"]


def _bounce(stage: Stage) -> None:
    _heading("(c) An unknown user, recorded as a hard bounce")
    identity = stage.send("shop", "orders@shop.test", "nobody@outlook.test", "Your receipt")
    bounced = _ends(stage.journey(identity, "bounced"))[0]
    _require(bounced["hardness"] == "hard", f"the ledger calls it {bounced['hardness']!r}, not hard")
    progress(f"  {bounced['provider']}: bounced, hard, {bounced['category']}: {bounced['reply']}")


def _marketing(stage: Stage) -> None:
    from smtpctl.lab.internet.mailboxes import source

    _heading("(d) A newsletter, leaving from the marketing pool's own address")
    recipient = f"ada+{uuid.uuid4().hex[:8]}@gmail.test"
    identity = stage.send("newsletter", "hello@news.test", recipient, "Our autumn")
    stage.journey(identity, "delivered")
    _authenticated(stage, recipient)
    address = source(_delivered(stage, recipient))
    own = {source.address for _, source in stage.fleet.sources_of("marketing")}
    _require(address in own, f"it came from {address}, not from {', '.join(sorted(own))}")
    progress(f"  from {address}; the marketing pool's addresses are {', '.join(sorted(own))}")


def _postmaster(stage: Stage) -> None:
    _heading("(e) postmaster@, from the world to the mailbox, read by IMAP")
    from smtpctl.lab import application
    from smtpctl.model.fleet import Role

    host = next(iter(stage.fleet.hosts_with(Role.MAILBOX)))
    mx = next(iter(stage.fleet.hosts_with(Role.FEEDBACK).values()))
    subject = f"A question {uuid.uuid4().hex[:8]}"
    message = application.compose(
        "ada@gmail.test", ["postmaster@shop.test"], subject, identity=f"{uuid.uuid4()}@gmail.test"
    )
    with stage.lab.entered():
        with smtplib.SMTP(mx.address, 25, timeout=30) as session:
            session.send_message(message, "ada@gmail.test", ["postmaster@shop.test"])

        def look() -> str | None:
            messages = application.read_mailbox(
                stage.fleet.hosts[host].address,
                stage.fleet.host_name(host),
                stage.secrets["tls/ca/certificate"],
                "postmaster",
                stage.secrets["mailboxes/postmaster/password"],
            )
            return next((str(found["Subject"]) for found in messages if found["Subject"] == subject), None)

        read = _wait(look, "the message to postmaster@shop.test is not in the mailbox")
    progress(f"  read by IMAP at {stage.fleet.host_name(host)}: {read}")


def _again(stage: Stage) -> None:
    _heading("The same inventory again")
    answer = stage.smtpctl("apply", str(stage.inventory), "--yes")
    _require(answer.startswith("no changes"), f"apply says: {answer.strip()}")


def _authenticated(stage: Stage, recipient: str) -> None:
    """The provider's own verdict on the message: SPF, DKIM and DMARC pass."""
    from smtpctl.lab.internet.mailboxes import verdicts

    found = verdicts(_delivered(stage, recipient))
    words = " ".join(f"{method}={verdict}" for method, verdict in found.items())
    _require(all(found.get(method) == "pass" for method in ("dkim", "spf", "dmarc")), f"the provider says: {words}")
    progress(f"  {recipient.partition('@')[2]} says: {words}")


def _delivered(stage: Stage, recipient: str) -> EmailMessage:
    found = stage.lab.mail(recipient.partition("@")[2], to=recipient, wait=PATIENCE)
    _require(len(found) == 1, f"the provider delivered {len(found)} messages to {recipient}, not one")
    return found[0]


def _show_refusal(edge: str, code: int, text: bytes | str) -> None:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    progress(f"  trickle: refused at {edge}: {code} {words}")


def _smtpctl(arguments: Sequence[str], *, show: bool, codes: Sequence[int] = (0,)) -> str:
    if show:
        progress(f"{styled('$', 'cyan')} smtpctl {' '.join(arguments)}")
    result = subprocess.run(
        [sys.executable, "-m", "smtpctl", *arguments],
        stdout=subprocess.PIPE,
        stderr=None if show else subprocess.PIPE,
        text=True,
        env={**os.environ},
        check=False,
    )
    if result.returncode not in codes:
        raise LabError(f"`smtpctl {' '.join(arguments)}` ended with exit code {result.returncode}", hint="see above")
    if show:
        click.echo(result.stdout, nl=False)
    return result.stdout


def _wait(look: Callable[[], T | None], complaint: str) -> T:
    deadline = time.monotonic() + PATIENCE
    while (found := look()) is None:
        _require(time.monotonic() < deadline, f"{complaint} after {PATIENCE:.0f} s")
        time.sleep(0.2)
    return found


def _require(so: bool, complaint: str) -> None:
    if not so:
        raise LabError(f"the demo failed: {complaint}")


def _heading(text: str) -> None:
    progress(f"\n{styled(text, 'yellow')}")
