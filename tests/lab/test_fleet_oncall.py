"""What the person on call is told: why mail waits, and what is wrong with a host; on the real fleet."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator

import pytest

from tests.lab.support import INVENTORY, AppliedFleet, smtpctl

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def why(wanted: str) -> list[str]:
    text = smtpctl("why", wanted, "-i", str(INVENTORY), "--json").stdout
    return [finding["sentence"] for finding in json.loads(text)["findings"]]


def test_why_names_the_reason_of_each_case(applied: AppliedFleet) -> None:
    mark = uuid.uuid4().hex[:10]
    full, unknown = f"full+{mark}@gmail.test", f"nobody+{mark}@gmail.test"
    waiting = applied.send(full)
    applied.journey(waiting, "deferred")
    applied.refused(applied.send(unknown))
    assert (
        why(full)[0]
        == "1 message to google waits since the last attempt failed: full. The queue tries again by itself."
    )
    assert why(f"<{waiting}>")[0] == why(full)[0]
    assert "failed for good" in why(unknown)[0]
    assert "invalid mailbox (hard)" in why(unknown)[0]
    assert why(f"never+{mark}@gmail.test")[0].startswith("Nothing is known of")
    smtpctl("pause", "provider", "google", "--why", "they throttle us", "--for", "5m", "-i", str(INVENTORY))
    try:
        said = why("google")[0]
    finally:
        smtpctl("resume", "provider", "google", "-i", str(INVENTORY))
    assert "paused provider google" in said
    assert "they throttle us; new mail of it waits" in said


#: What makes a relay sick: no resolver, a failed unit, a broken message, a restart that is due, a full boot partition,
#: old package lists with something newer in them. And what makes it well again.
SICK = """
systemctl stop unbound
systemd-run --quiet --unit=broken --wait false || true
touch /var/spool/postfix-marketing/corrupt/4jX1 /run/reboot-required
mount -t tmpfs -o size=1m tmpfs /boot
fallocate -l 990K /boot/initrd
mkdir -p /srv/newer
cat >/srv/newer/Packages <<end
Package: hostname
Version: 99
Architecture: amd64
Filename: hostname.deb
Size: 1
end
echo 'deb [trusted=yes] file:/srv/newer ./' >/etc/apt/sources.list.d/newer.list
apt-get -q update -o Dir::Etc::SourceList=sources.list.d/newer.list -o Dir::Etc::SourceParts=-
touch --date='9 days ago' /var/lib/apt/lists
"""
WELL = """
systemctl start unbound
systemctl reset-failed broken
rm -f /var/spool/postfix-marketing/corrupt/4jX1 /run/reboot-required
umount /boot
rm -rf /srv/newer /etc/apt/sources.list.d/newer.list /var/lib/apt/lists/*newer*
touch /var/lib/apt/lists
"""


@pytest.fixture
def sick(applied: AppliedFleet) -> Iterator[str]:
    """A relay with much that is wrong; well afterwards."""
    try:
        applied.lab.run("relay1", ["sh", "-euc", SICK])
        yield "relay1"
    finally:
        applied.lab.run("relay1", ["sh", "-c", WELL])


def test_doctor_names_what_is_wrong_with_a_host(sick: str) -> None:
    result = smtpctl("doctor", sick, "relay2", "-i", str(INVENTORY), "--json", check=False)
    found = json.loads(result.stdout)["hosts"]
    assert result.returncode == 1
    checks = {symptom["check"] for symptom in found[sick]}
    assert {"dns", "reverse dns", "unit", "kernel", "mail", "disk", "upgrades"} <= checks
    said = " ".join(symptom["sentence"] for symptom in found[sick])
    assert re.search(r"\d% of the space of /boot is free", said)
    assert re.search(r"\d+ upgrades wait: .*hostname", said)
    assert "the package lists are 9 days old" in said
    # how busy the machine of the lab is, and what Debian has newer today, is its own affair
    assert {symptom["check"] for symptom in found["relay2"]} <= {"load", "memory", "upgrades"}
