"""Installing packages: apt does it on the host, and nothing starts before it is configured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from smtpctl.model.artifacts import Service
from smtpctl.model.records import Outcome
from tests.deploy.conftest import Bench, desired, file, greets

pytestmark = pytest.mark.lab

#: A package with a daemon that its maintainer script starts, in a repository on the host that apt has no index of yet.
REPOSITORY = r"""
set -e
mkdir -p /root/repository/tree/DEBIAN /root/repository/tree/usr/lib/systemd/system /root/repository/tree/etc
cd /root/repository
cat > tree/DEBIAN/control <<END
Package: trial-daemon
Version: 1.2
Architecture: all
Maintainer: Nobody <nobody@lab.test>
Description: A daemon that its package starts
END
echo /etc/trial-daemon.conf > tree/DEBIAN/conffiles
echo packaged > tree/etc/trial-daemon.conf
cat > tree/usr/lib/systemd/system/trial-daemon.service <<END
[Service]
ExecStart=/bin/sh -c 'cat /etc/trial-daemon.conf >> /run/trial-daemon.started; exec sleep 1000'
[Install]
WantedBy=multi-user.target
END
cat > tree/DEBIAN/postinst <<END
#!/bin/sh
systemctl daemon-reload
deb-systemd-invoke start trial-daemon.service
END
chmod 755 tree/DEBIAN/postinst
dpkg-deb --build --root-owner-group tree trial-daemon.deb >/dev/null
{ cat tree/DEBIAN/control; echo "Filename: ./trial-daemon.deb"; echo "Size: $(stat -c %s trial-daemon.deb)"
  echo "SHA256: $(sha256sum trial-daemon.deb | cut -d' ' -f1)"; } > Packages
mv /etc/apt/sources.list /root/sources.list
echo 'deb [trusted=yes] file:/root/repository ./' > /etc/apt/sources.list
"""

REMOVE = """
systemctl disable -q --now trial-daemon
apt-get -qq purge -y trial-daemon; mv /root/sources.list /etc/apt/sources.list; rm -rf /root/repository
rm -f /run/trial-daemon.started /etc/trial-daemon.conf
"""


@pytest.fixture
def repository(bench: Bench) -> Iterator[None]:
    bench.run("relay1", REPOSITORY)
    yield
    bench.run("relay1", REMOVE, check=False)


WANTED = desired(
    "relay1",
    file("/etc/trial-daemon.conf", "ours\n"),
    packages=["trial-daemon"],
    services=[Service("trial-daemon.service", 20)],
)


@pytest.mark.usefixtures("repository")
def test_a_service_starts_once_and_with_our_configuration(bench: Bench) -> None:
    assert bench.plan(WANTED).packages == ("trial-daemon",)
    result = bench.apply(WANTED)["relay1"]
    assert (result.outcome, result.detail) == (Outcome.APPLIED, "")
    assert bench.run("relay1", "cat /run/trial-daemon.started") == "ours\n"
    assert "No such file" in bench.run("relay1", "ls /usr/sbin/policy-rc.d 2>&1", check=False)
    assert bench.plan(WANTED).empty


@pytest.mark.usefixtures("repository")
def test_a_host_that_was_led_back_says_which_packages_stay(bench: Bench) -> None:
    result = bench.apply(replace(WANTED, probes=(greets(deadline=0.2),)))["relay1"]
    assert (result.outcome, result.step) == (Outcome.UNDONE, "probe")
    assert result.detail.endswith("led back to the state before, but for packages, which stay: trial-daemon 1.2")
    assert bench.run("relay1", "dpkg-query -W -f '${Version}' trial-daemon") == "1.2"
    assert bench.run("relay1", "systemctl is-active trial-daemon", check=False) == "inactive\n"


@pytest.mark.usefixtures("repository")
def test_a_package_that_does_not_exist_stops_the_run_with_the_words_of_apt(bench: Bench) -> None:
    wanted = desired("relay1", file("/etc/trial/a", "x\n"), packages=["no-such-package"], services=[])
    result = bench.apply(wanted)["relay1"]
    assert (result.outcome, result.step) == (Outcome.FAILED, "packages")
    assert "Unable to locate package no-such-package" in result.detail
    assert "No such file" in bench.run("relay1", "ls /etc/trial 2>&1", check=False)


@pytest.mark.usefixtures("repository")
def test_a_policy_of_the_machine_itself_is_left_alone(bench: Bench) -> None:
    bench.run("relay1", "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d")
    try:
        assert bench.apply(WANTED)["relay1"].outcome is Outcome.APPLIED
        assert bench.run("relay1", "cat /usr/sbin/policy-rc.d") == "#!/bin/sh\nexit 101\n"
    finally:
        bench.run("relay1", "rm /usr/sbin/policy-rc.d")
