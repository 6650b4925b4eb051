"""Health checks on the host itself, after the reloads: ports greet, sockets answer, commands succeed, in time."""

from __future__ import annotations

import shlex
import socket
import time
from collections.abc import Sequence
from typing import Any

from . import StepError, processes

#: Between two tries of one probe.
PAUSE = 0.1

#: The least that one try is given.
SHORTEST = 0.5


def run_all(probes: Sequence[dict[str, Any]]) -> None:
    """Try every probe until it succeeds; StepError names those that did not by their deadline, and why."""
    if not probes:
        return
    from concurrent.futures import ThreadPoolExecutor  # see checks.py

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(_until_deadline, probes))
    bad = [f"{probe['name']}: {answer}" for probe, answer in zip(probes, answers, strict=True) if answer]
    if bad:
        raise StepError("probe", "; ".join(bad))


def _until_deadline(probe: dict[str, Any]) -> str:
    """Empty once the probe succeeds, else what the last try said."""
    end = time.monotonic() + probe["deadline"]
    answer = ""
    while True:
        began = time.monotonic()
        try:
            answer = _try(probe, max(SHORTEST, end - began))
        except TimeoutError as error:
            answer = answer or str(error)  # what an earlier try said tells more than that this one was stopped
        took = time.monotonic() - began
        # A try that could not end in time is not begun: being stopped would be its whole answer.
        if not answer or began + took + took >= end:
            return answer
        time.sleep(PAUSE)


def _try(probe: dict[str, Any], timeout: float) -> str:
    if probe["kind"] == "command":
        result = processes.run(shlex.split(probe["target"]), timeout=timeout)
        if result.code == processes.OUT_OF_TIME:
            raise TimeoutError(result.output.strip())
        return "" if result.code == 0 else f"exit {result.code}: {result.output.strip()}"
    try:
        return _greeting(probe, min(timeout, 5.0))
    except OSError as error:
        return f"{probe['target']}: {error.strerror or error}"


def _greeting(probe: dict[str, Any], timeout: float) -> str:
    expected = probe["expect"].encode()
    with _connect(probe, timeout) as connection:
        received = b""
        while len(received) < len(expected):
            chunk = connection.recv(512)
            if not chunk:
                break
            received += chunk
    if received.startswith(expected):
        return ""
    return f"{probe['target']} greets with {received[:80]!r}, not {probe['expect']!r}"


def _connect(probe: dict[str, Any], timeout: float) -> socket.socket:
    if probe["kind"] == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(probe["target"])
        except OSError:
            connection.close()
            raise
        return connection
    host, _, port = probe["target"].rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=timeout)
