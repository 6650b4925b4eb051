"""`smtpctl upgrade`: a newer Postfix from a repository on the hosts, taken one host after the other under mail."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab.support import INVENTORY, AppliedFleet, smtpctl
from tests.lab.traffic import SteadyMail

pytestmark = [pytest.mark.lab, pytest.mark.slow]

#: Packs the installed packages of Postfix again under a higher version, with their own maintainer scripts, and offers
#: them alone. dpkg keeps control files as PACKAGE.NAME.
OFFER = r"""
set -e
rm -rf /srv/offer && mkdir -p /srv/offer && cd /srv/offer
version=$(dpkg-query --show --showformat='${Version}' postfix)
for package in $(dpkg-query --show --showformat='${db:Status-Abbrev}${Package}\n' 'postfix*' | sed -n 's/^ii //p'); do
    mkdir -p tree/DEBIAN
    dpkg-query --listfiles $package | while read -r path; do
        if [ -f "$path" ] || [ -L "$path" ]; then
            mkdir -p "tree$(dirname "$path")" && cp -a "$path" "tree$path"
        fi
    done
    for part in conffiles config postinst postrm preinst prerm templates triggers; do
        file=/var/lib/dpkg/info/$package.$part
        if [ -f $file ]; then cp -a $file tree/DEBIAN/$part; fi
    done
    dpkg --status $package | sed -e '/^Status:/d' -e '/^Conffiles:/,/^[^ ]/{/^Conffiles:/d;/^ /d}' \
        -e "s/$version/$version+again1/g" > tree/DEBIAN/control
    dpkg-deb -Znone --build tree $package.deb > /dev/null
    { cat tree/DEBIAN/control; echo "Filename: ./$package.deb"; echo "Size: $(stat -c %s $package.deb)"
      echo "SHA256: $(sha256sum $package.deb | cut -d' ' -f1)"; echo; } >> Packages
    rm -rf tree
done
mkdir -p /srv/lists && mv /etc/apt/sources.list /etc/apt/sources.list.d/* /srv/lists/ 2>/dev/null || true
echo 'deb [trusted=yes] file:/srv/offer ./' > /etc/apt/sources.list
"""

WITHDRAW = r"""
rm -f /etc/apt/sources.list
[ -f /srv/lists/sources.list ] && mv /srv/lists/sources.list /etc/apt/
mv /srv/lists/* /etc/apt/sources.list.d/ 2>/dev/null
rm -rf /srv/offer /srv/lists
true
"""


@pytest.fixture
def offered(applied: AppliedFleet) -> Iterator[AppliedFleet]:
    """A relay and both edges with a newer Postfix in their repositories."""
    hosts = ("relay1", "edge1", "edge2")
    for host in hosts:
        applied.lab.run(host, ["sh", "-c", OFFER])
    yield applied
    for host in hosts:
        applied.lab.run(host, ["sh", "-c", WITHDRAW])


def started(applied: AppliedFleet, host: str, unit: str) -> str:
    return applied.lab.run(host, ["systemctl", "show", "-P", "InvocationID", unit]).stdout


def test_a_newer_postfix_is_taken_by_one_host_after_the_other_under_mail(offered: AppliedFleet) -> None:
    units = {"relay1": ("postfix@transactional", "postfix@marketing"), "edge1": ("postfix@submission",)}
    before = {(host, unit): started(offered, host, unit) for host in units for unit in units[host]}
    chosen = ("--host", "relay1", "--host", "edge1", "--host", "edge2")
    mail = SteadyMail(offered, rate=5)
    with mail.flowing():
        answer = smtpctl("upgrade", str(INVENTORY), *chosen, "--yes", "--json")
    events = [json.loads(line) for line in answer.stdout.splitlines()]
    upgraded = [event["host"] for event in events if event.get("event") == "upgrade"]
    assert upgraded[0] == "relay1"
    assert sorted(upgraded[1:]) == ["edge1", "edge2"]
    assert {event["outcome"] for event in events if "result" in event} == {"applied"}
    assert [event["detail"] for event in events if event.get("event") == "ready"] == ["at edge1", "at edge2"] * 3
    mail.require_whole()
    for host in ("relay1", "edge1", "edge2"):
        version = offered.lab.run(host, ["dpkg-query", "--show", "--showformat=${Version}", "postfix"]).stdout
        assert version.endswith("+again1")
    for (host, unit), invocation in before.items():
        assert started(offered, host, unit) != invocation
    again = smtpctl("upgrade", str(INVENTORY), "--host", "relay1", "--yes")
    assert again.stdout == "no changes: 1 hosts are as they should be\n"
    history = json.loads(smtpctl("history", "relay1", "-i", str(INVENTORY), "--json").stdout)["hosts"]["relay1"]
    assert history[-1]["kind"] == "upgrade"
    assert {change for change, _ in history[-1]["changed"]} == {"upgrade"}
    assert any(what.startswith("postfix ") for _, what in history[-1]["changed"])
    assert smtpctl("drift", str(INVENTORY), "--host", "relay1").stdout == "relay1: no drift\n"
