"""What systemd says of units over its socket is what systemctl shows of them, on every host of the fleet."""

from __future__ import annotations

import json

import pytest

from tests.lab.support import AppliedFleet

pytestmark = pytest.mark.lab

#: Units of all kinds beside those of the host's revision: absent, of an absent template, no services.
OTHERS = ("no-such.service", "nothing@x.service", "dovecot.socket", "logrotate.timer", "postfix.service")

COMPARE = f"""
import json, sys
sys.path.insert(0, "/var/lib/smtpctl/agent")
from smtpctl_agent import facts, store, systemd
units = [service["unit"] for service in store.Store().current()["services"]] + {list(OTHERS)!r}
said, shown = systemd.properties(units), facts.shown_units(units)
same = [one == {{name: other[name] for name in one}} for one, other in zip(said, shown)]
print(json.dumps([len(units), [unit for unit, agreed in zip(units, same) if not agreed]]))
"""


def test_systemd_says_of_every_unit_what_systemctl_shows(applied: AppliedFleet) -> None:
    for host in applied.fleet.hosts:
        count, different = json.loads(applied.lab.run(host, ["/usr/bin/python3", "-ISBc", COMPARE]).stdout)
        assert count > len(OTHERS) + 5
        assert different == [], host
