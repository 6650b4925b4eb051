"""A second apply changes nothing and writes nothing."""

from __future__ import annotations

import pytest

from tests.lab.support import INVENTORY, AppliedFleet, smtpctl

pytestmark = pytest.mark.lab

#: What hosts write by themselves all the time, and apply has no business in.
ALIVE = (
    "/var/log|/var/spool|/var/lib/(postgresql|prometheus|postfix-[a-z]+|unbound|systemd|chrony|haproxy|private|dovecot"
    "|dovecot-[a-z]+|logrotate|smtpctl-shipper)|/var/vmail|/var/cache|/tmp|/var/tmp|/run|/proc|/sys|/dev"
)


def test_a_second_apply_says_no_changes_and_writes_nothing_on_any_host(applied: AppliedFleet) -> None:
    smtpctl("apply", str(INVENTORY), "--yes")  # whatever other tests left
    for host in applied.fleet.hosts:
        applied.lab.run(host, ["touch", "/run/before-second-apply"])
    answer = smtpctl("apply", str(INVENTORY), "--yes")
    assert answer.stdout.startswith("no changes"), answer.stdout
    find = f"find / -xdev -newer /run/before-second-apply -regextype egrep -not -regex '({ALIVE})(/.*)?' -not -path /"
    changed = {host: applied.lab.run(host, ["sh", "-c", find]).stdout.split() for host in applied.fleet.hosts}
    assert changed == {host: [] for host in applied.fleet.hosts}


def test_plan_says_no_changes_by_its_exit_code(applied: AppliedFleet) -> None:
    smtpctl("apply", str(INVENTORY), "--yes")
    assert smtpctl("plan", str(INVENTORY), "--exit-code").returncode == 0
