"""The stop button: what is paused waits, nothing else notices, and no host forgets."""

from __future__ import annotations

import json
import signal
import smtplib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpctl.lab.application import submit
from tests.lab.support import INVENTORY, REPOSITORY, AppliedFleet, smtpctl, until

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def pressed(*arguments: str, check: bool = True) -> str:
    return smtpctl(*arguments, "-i", str(INVENTORY), check=check).stdout


def arrivals(applied: AppliedFleet, recipient: str) -> int:
    return len(applied.lab.mail(recipient.partition("@")[2], to=recipient))


def waiting(*options: str, hosts: tuple[str, ...] = ("relay1", "relay2")) -> list[str]:
    """Queues in which messages wait that the options choose; a host may be off."""
    where = [word for host in hosts for word in ("--host", host)]
    text = pressed("queue", "list", "--json", *where, *options, check=False)
    return [json.loads(line)["queue_name"] for line in text.splitlines()]


@pytest.fixture
def fleet(applied: AppliedFleet) -> Iterator[AppliedFleet]:
    """The fleet with nothing paused, before and after."""
    nothing_paused()
    yield applied
    for host in ("relay1", "relay2", "control1"):
        applied.lab.start_host(host)
    nothing_paused()


def nothing_paused() -> None:
    for record in json.loads(pressed("pause", "--json"))["pauses"]:
        what = ["--all-outbound"] if record["kind"] == "all-outbound" else [record["kind"], record["value"]]
        pressed("resume", *what)


def recipient(domain: str) -> str:
    return f"ada+{uuid.uuid4().hex}@{domain}"


def test_mail_to_a_paused_provider_waits_and_the_others_notice_nothing(fleet: AppliedFleet) -> None:
    google, yahoo = recipient("gmail.test"), recipient("yahoo.test")
    pressed("pause", "provider", "google", "--why", "they throttle us")
    assert "PAUSED: provider google (waits)" in pressed("pause")
    fleet.send(google)
    fleet.send(yahoo)
    until(lambda: arrivals(fleet, yahoo) == 1)
    until(lambda: waiting("--address", google, "--reply", "deferred transport") == ["deferred"])
    assert arrivals(fleet, google) == 0
    # even a flush of everything sends nothing that is paused
    pressed("queue", "retry", "--address", google, "--yes")
    until(lambda: waiting("--address", google, "--reply", "paused by the operator") == ["deferred"])
    pressed("resume", "provider", "google")
    # at once: its own next turn is minutes away
    until(lambda: arrivals(fleet, google) == 1, patience=60)
    assert waiting("--address", google) == []


def test_a_pause_is_seen_wherever_somebody_looks_until_it_is_resumed(fleet: AppliedFleet, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "smtpctl", "status", "relay1", "--watch", "1", "-i", str(INVENTORY)]
    screen, line = tmp_path / "screen", "PAUSED: source 10.78.2.5 (waits), by "
    with (
        screen.open("w") as out,
        subprocess.Popen(command, cwd=REPOSITORY, stdout=out, stderr=subprocess.STDOUT) as watch,
    ):
        try:
            until(lambda: "ledger" in screen.read_text(), "status shows nothing")
            pressed("pause", "source", "10.78.2.5", "--why", "listed", "--for", "1h")
            until(lambda: line in screen.read_text(), "status does not show the pause")
        finally:
            watch.send_signal(signal.SIGINT)
        assert watch.wait(60) == 1
    assert ": listed\n" in screen.read_text()
    assert line in planned()
    for host in fleet.fleet.hosts:
        until(lambda host=host: 'smtpctl_paused{kind="source"} 1' in metric(fleet, host))  # type: ignore[misc]
    pressed("resume", "source", "10.78.2.5")
    assert "PAUSED" not in planned()
    until(lambda: 'smtpctl_paused{kind="source"} 0' in metric(fleet, "relay1"))


def planned() -> str:
    """What a plan says besides its steps."""
    return smtpctl("plan", str(INVENTORY), "--host", "relay2").stderr


def metric(fleet: AppliedFleet, host: str) -> str:
    """What the node exporter of a host says of pauses."""
    return fleet.lab.run(host, ["cat", "/var/lib/prometheus/node-exporter/smtpctl-pauses.prom"], check=False).stdout


def test_mail_of_a_paused_credential_is_accepted_and_waits(fleet: AppliedFleet) -> None:
    shop, news = recipient("gmail.test"), recipient("gmail.test")
    pressed("pause", "credential", "shop")
    fleet.send(shop)
    fleet.send(news, credential="newsletter", sender="hello@news.test")
    until(lambda: arrivals(fleet, news) == 1)
    assert waiting("--address", shop, hosts=("edge1", "edge2")) == ["hold"]
    pressed("resume", "credential", "shop")
    until(lambda: arrivals(fleet, shop) == 1)


def test_mail_of_a_credential_can_be_refused(fleet: AppliedFleet) -> None:
    pressed("pause", "credential", "shop", "--refuse")
    to = recipient("gmail.test")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        submit(fleet.place(), fleet.message("orders@shop.test", to), sender="orders@shop.test", recipients=[to])
    code, text = refused.value.recipients[to]
    assert (code, b"Paused by the operator: mail of credential shop" in text) == (554, True)
    fleet.send(to, credential="newsletter", sender="hello@news.test")
    pressed("resume", "credential", "shop")
    fleet.send(to)


def test_a_campaign_waits_and_goes_on_by_itself_in_the_end(fleet: AppliedFleet) -> None:
    mark, to, other = uuid.uuid4().hex, recipient("gmail.test"), recipient("gmail.test")
    pressed("pause", "campaign", f"X-Campaign: {mark}", "--for", "15s")
    message = fleet.message("hello@news.test", to)
    message["X-Campaign"] = mark
    submit(fleet.place("newsletter"), message, sender="hello@news.test", recipients=[to])
    fleet.send(other, credential="newsletter", sender="hello@news.test")
    until(lambda: arrivals(fleet, other) == 1)
    until(lambda: arrivals(fleet, to) == 1)
    # it was on hold before, whoever looked in time or not
    held = [
        "grep",
        "-c",
        f"milter-hold: .*paused by the operator: mail of campaign X-Campaign: {mark}",
        "/var/log/mail.log",
    ]
    assert sum(int(fleet.lab.run(host, held, check=False).stdout) for host in ("edge1", "edge2")) == 1
    assert pressed("pause") == "nothing is paused\n"


def test_everything_stops_and_goes_on_with_the_control_host_off_and_on_a_host_that_was_off(fleet: AppliedFleet) -> None:
    before, to = recipient("gmail.test"), recipient("gmail.test")
    for _ in range(4):
        fleet.send(recipient("yahoo.test"))  # now both edges have a reserve
    fleet.lab.stop_host("control1")
    fleet.lab.stop_host("relay2")
    result = smtpctl("pause", "--all-outbound", "--why", "wrong prices", "-i", str(INVENTORY), check=False)
    assert result.returncode == 1
    assert "not reached: relay2, control1" in result.stderr
    fleet.send(to)
    fleet.lab.start_host("relay2")
    routed = ["postmap", "-q", to, "socketmap:inet:127.0.0.1:10050:route-transactional"]
    until(lambda: fleet.lab.run("relay2", routed, check=False).stdout.strip() == "paused:")
    known = fleet.lab.run("relay2", ["cat", "/var/lib/smtpctl-operate/pauses.json"]).stdout
    assert "wrong prices" in known
    fleet.send(before)
    until(
        lambda: len(waiting("--address", to)) + len(waiting("--address", before)) == 2,
        lambda: pressed("pause", check=False) + pressed("queue", "list", check=False),
    )
    assert arrivals(fleet, to) == arrivals(fleet, before) == 0
    # the button again, while control is still away and the other relay is off, which has some of what waits
    fleet.lab.stop_host("relay1")
    result = smtpctl("resume", "--all-outbound", "-i", str(INVENTORY), check=False)
    assert (result.returncode, "not reached: relay1, control1" in result.stderr) == (1, True)
    fleet.lab.start_host("relay1")
    until(lambda: arrivals(fleet, to) == arrivals(fleet, before) == 1)
    fleet.lab.start_host("control1")
    until(lambda: pressed("pause", check=False) == "nothing is paused\n")
