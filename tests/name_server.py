"""A name server of the test's own (nsd), which publishes whatever it is given."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

_SETTINGS = """\
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  zonesdir: "{folder}"
  zonelistfile: "{folder}/zone.list"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  pidfile: "{folder}/nsd.pid"
  database: ""
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: "."
  zonefile: "zone"
"""
_HEAD = """\
. 60 IN SOA ns.test. hostmaster.test. 1 3600 600 86400 60
. 60 IN NS ns.test.
ns.test. 60 IN A 127.0.0.1
"""


@pytest.fixture
def name_server(tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """Start nsd with the given zone text, authoritative for everything; return its port on 127.0.0.1."""
    program = shutil.which("nsd") or shutil.which("nsd", path="/usr/sbin")
    if program is None:
        pytest.skip("no name server to publish records on: apt-get install nsd")
    started: list[subprocess.Popen[bytes]] = []

    def start(zone: str) -> int:
        port = _free_port()
        folder = tmp_path / f"nsd-{port}"
        folder.mkdir()
        (folder / "zone").write_text(_HEAD + zone)
        (folder / "nsd.conf").write_text(_SETTINGS.format(port=port, folder=folder))
        with (folder / "log").open("wb") as log:
            command = [program, "-d", "-c", str(folder / "nsd.conf")]
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
        _wait_until_it_answers(port, folder / "log")
        return port

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    question = dns.message.make_query("ns.test.", "A")
    while time.monotonic() < deadline:
        try:
            if dns.query.udp(question, "127.0.0.1", port=port, timeout=0.2).answer:
                return
        except (dns.exception.Timeout, OSError):
            time.sleep(0.05)
    pytest.fail(f"nsd does not answer: {log.read_text()}")
