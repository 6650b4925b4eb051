"""The hosts of the running lab: names, addresses, power and network."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from smtpctl.errors import LabError, UsageError
from smtpctl.lab import Lab, enter

pytestmark = pytest.mark.lab


def greeting(lab: Lab, host: str) -> bytes:
    with socket.create_connection((lab.addresses[host], 22), timeout=2) as connection:
        return connection.recv(4)


def test_every_host_answers_ssh_under_its_own_name(lab: Lab) -> None:
    for host in [name for name in lab.addresses if name != "ctl"]:
        assert greeting(lab, host) == b"SSH-"
        assert lab.run(host, ["hostname", "--fqdn"]).stdout == f"{host}.lab.test\n"


def test_a_command_in_a_host_gets_its_input_and_none_of_the_callers_environment(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "x")
    assert lab.run("edge1", ["cat"], input="hello").stdout == "hello"
    assert "SECRET_OF_THE_CALLER" not in lab.run("edge1", ["env"]).stdout


def test_a_command_that_fails_in_a_host_is_an_error_with_its_words(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"edge1: ls /nowhere: status 2: .*No such file"):
        lab.run("edge1", ["ls", "/nowhere"])
    assert lab.run("edge1", ["false"], check=False).returncode == 1


def test_a_host_that_the_lab_lacks_is_named_with_those_it_has(lab: Lab) -> None:
    with pytest.raises(UsageError, match="no host 'edge9'") as caught:
        lab.run("edge9", ["true"])
    assert "edge1" in caught.value.hint


def test_a_host_keeps_its_disk_when_its_power_is_cut(lab: Lab) -> None:
    lab.run("relay2", ["touch", "/root/kept"])
    lab.stop_host("relay2")
    assert not lab.is_on("relay2")
    with pytest.raises(OSError):
        greeting(lab, "relay2")
    lab.start_host("relay2")
    assert greeting(lab, "relay2") == b"SSH-"
    lab.run("relay2", ["rm", "/root/kept"])


def test_a_host_that_reboots_comes_back_as_it_was(lab: Lab) -> None:
    lab.run("relay2", ["touch", "/root/kept", "/run/gone"])
    before = lab.first_process("relay2")
    lab.reboot_host("relay2")
    assert lab.first_process("relay2") != before
    assert greeting(lab, "relay2") == b"SSH-"
    assert lab.run("relay2", ["ls", "/run/gone"], check=False).returncode == 2
    lab.run("relay2", ["rm", "/root/kept"])


def test_a_host_that_goes_off_by_itself_stays_off_until_it_is_started(lab: Lab) -> None:
    lab.run("relay2", ["systemctl", "poweroff"], check=False)
    end = time.monotonic() + 60
    while lab.is_on("relay2") and time.monotonic() < end:
        time.sleep(0.05)
    assert not lab.is_on("relay2")
    lab.start_host("relay2")
    assert greeting(lab, "relay2") == b"SSH-"


def test_a_host_that_is_on_its_way_down_is_started_once_it_is_there(lab: Lab) -> None:
    before = lab.first_process("relay2")
    lab.run("relay2", ["systemctl", "poweroff"], check=False)
    while Path(f"/proc/{before}").exists():  # its init has ended; what started it has not yet
        time.sleep(0.001)
    lab.start_host("relay2")
    assert greeting(lab, "relay2") == b"SSH-"
    assert lab.first_process("relay2") != before


def test_starting_a_host_that_runs_changes_nothing(lab: Lab) -> None:
    before = lab.first_process("relay2")
    lab.start_host("relay2")
    assert lab.first_process("relay2") == before


def test_a_host_that_is_cut_off_runs_on_alone_until_it_is_healed(lab: Lab) -> None:
    before = lab.first_process("relay2")
    lab.cut("relay2")
    with pytest.raises(OSError):
        greeting(lab, "relay2")
    lab.heal("relay2")
    assert greeting(lab, "relay2") == b"SSH-"
    assert lab.first_process("relay2") == before


def test_entering_twice_is_no_change(lab: Lab) -> None:
    enter()
    enter()
    assert greeting(lab, "edge1") == b"SSH-"


def test_the_lab_has_no_road_to_the_world(lab: Lab) -> None:
    with pytest.raises(OSError):
        socket.create_connection(("192.0.2.1", 80), timeout=2)
