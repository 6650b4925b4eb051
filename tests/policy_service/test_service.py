"""The delegation daemon as a process: manners on the wire, reload, drain, readiness, and quotas without a database."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.policy_service.daemons import ROOT, Client, Daemon, free_port, get, request, running

RULES = (Path(__file__).parent / "dialogues" / "rules.json").read_text(encoding="utf-8")
FILTER = "FILTER transactional:[127.0.0.1]:10025"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.json"
    path.write_text(RULES, encoding="utf-8")
    return path


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def daemon(tmp_path: Path, rules: Path, port: int) -> Iterator[Daemon]:
    listen = f"unix:{tmp_path}/policy"
    with running(
        tmp_path / "daemon", "serve", "--rules", str(rules), "--listen", listen, "--metrics", f"127.0.0.1:{port}"
    ) as daemon:
        yield daemon


@pytest.fixture
def client(tmp_path: Path, daemon: Daemon) -> Iterator[Client]:
    client = Client(tmp_path / "policy")
    yield client
    client.close()


def wait_for(daemon: Daemon, words: str) -> str:
    """The first logged line that matches; it must come within seconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for line in daemon.lines:
            if re.search(words, line):
                return line
        time.sleep(0.02)
    raise AssertionError(f"{words!r} is not in {daemon.lines}")


def test_many_requests_pass_over_one_connection(client: Client) -> None:
    assert [client.message("shop") for _ in range(50)] == [FILTER] * 50
    assert client.ask("RCPT", sender="a@shop.test").startswith("REJECT 5.7.1")


def test_pipelined_requests_are_answered_in_their_order(client: Client) -> None:
    stream = b"".join(
        request("DATA", sasl_username="trickle", sender="a@shop.test", recipient_count=5, instance=f"p.{number}")
        + request("RCPT", sasl_username="newsletter", sender=f"a@{number}.evil.test")
        for number in range(3)
    )
    first = client.raw(stream)
    answers = [first, *(client.next() for _ in range(5))]
    assert answers[0] == answers[2] == FILTER
    assert answers[4].startswith("450 4.7.1 Limit of 10 recipients")
    assert [answer[-11:] for answer in answers[1::2]] == ["0.evil.test", "1.evil.test", "2.evil.test"]


def test_one_bad_connection_harms_only_itself(tmp_path: Path, daemon: Daemon, client: Client) -> None:
    bad = Client(tmp_path / "policy")
    with pytest.raises((ConnectionError, BrokenPipeError)):
        for _ in range(2000):
            bad._socket.sendall(b"a=" + b"x" * 4096)
        bad.next()
    bad.close()
    stalled = [Client(tmp_path / "policy") for _ in range(200)]
    for half in stalled:
        half._socket.sendall(b"request=smtpd_access_policy\nprotocol_state=DA")
    assert client.message("shop") == FILTER
    assert client.slowest < 0.25
    wait_for(daemon, "protocol-error .*65536 bytes")
    # The rest of a half request may come any time later.
    assert stalled[7].raw(b"TA\nsasl_username=shop\nsender=a@shop.test\nrecipient_count=1\n\n") == FILTER
    for half in stalled:
        half.close()


@pytest.mark.parametrize("block", [b"\n", b"request=other\n\n", b"protocol_state=DATA\nsasl_username=shop\n\n"])
def test_a_request_that_is_none_is_answered_and_lets_nothing_through(client: Client, block: bytes) -> None:
    assert client.raw(block) == "451 4.3.5 The policy service does not know this request"
    assert client.message("shop") == FILTER


def test_sighup_loads_new_rules_and_keeps_what_was_charged(daemon: Daemon, rules: Path, client: Client) -> None:
    assert client.message("trickle", 5) == FILTER
    document = json.loads(RULES)
    document["credentials"]["fresh"] = document["credentials"].pop("newsletter")
    rules.write_text(json.dumps(document), encoding="utf-8")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(daemon, "rules-loaded")
    assert client.ask("RCPT", sasl_username="fresh", sender="a@news.test") == "DUNNO"
    assert client.ask("RCPT", sasl_username="newsletter", sender="a@news.test").startswith("REJECT")
    assert client.message("trickle", 5) == FILTER
    assert client.message("trickle", 1).startswith("450 4.7.1 Limit")


def test_a_bad_rules_file_leaves_the_old_rules_in_force(daemon: Daemon, rules: Path, client: Client) -> None:
    rules.write_text('{"version": 1, "streams": {}}', encoding="utf-8")
    daemon.process.send_signal(signal.SIGHUP)
    assert "credentials: is missing" in wait_for(daemon, "rules-refused")
    assert client.message("shop") == FILTER


def test_sigterm_ends_the_service_with_0(daemon: Daemon, client: Client) -> None:
    assert client.message("shop") == FILTER
    assert daemon.stop() == 0
    with pytest.raises(ConnectionError):
        client.next()


def test_a_refusal_is_logged_with_its_reason_and_without_the_recipient(daemon: Daemon, client: Client) -> None:
    client.ask(
        "RCPT", sasl_username="shop", sender="a@evil.test", recipient="secret@gmail.test", client_address="192.0.2.7"
    )
    line = wait_for(daemon, "decision")
    assert "rule=sender state=RCPT credential=shop sender=a@evil.test" in line
    assert "client=192.0.2.7" in line
    assert 'action="REJECT 5.7.1 Credential shop may not send as evil.test"' in line
    assert "secret" not in "".join(daemon.lines)


def test_metrics_count_decisions_and_time_them(client: Client, port: int) -> None:
    client.message("shop")
    client.message("trickle", 9)
    status, body = get(f"http://127.0.0.1:{port}/metrics")
    assert status == 200
    assert 'smtpctl_policy_decisions_total{rule="stream",action="FILTER"} 1\n' in body
    assert 'smtpctl_policy_decisions_total{rule="recipients",action="554"} 1\n' in body
    assert re.search(r"^smtpctl_policy_reply_seconds_count [2-9]$", body, re.MULTILINE)
    for line in body.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) smtpctl_policy_\w+ .+|smtpctl_policy_\w+(\{[^}]*\})? [0-9.e+-]+", line), (
            line
        )
    assert "credential" not in body
    assert get(f"http://127.0.0.1:{port}/healthz") == (200, "ok\n")
    assert get(f"http://127.0.0.1:{port}/nothing")[0] == 404


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["serve", "--rules", "/nonexistent", "--listen", "tcp:127.0.0.1:1"], 1, "rules-refused"),
        (["serve", "--rules", "RULES"], 2, "serve needs --listen"),
        (["serve", "--rules", "RULES", "--listen", "policy.sock"], 2, "is not unix:PATH or tcp:HOST:PORT"),
        (["from-guard", "--rules", "/nonexistent", "--socket", "/tmp/x"], 1, "rules-refused"),
        (["route", "--rules", "/nonexistent", "--listen", "tcp:127.0.0.1:1"], 1, "rules-refused"),
        ([], 2, "required: program"),
    ],
)
def test_what_cannot_start_says_why(rules: Path, arguments: list[str], code: int, words: str) -> None:
    command = [sys.executable, "-m", "policy_service", *(str(rules) if a == "RULES" else a for a in arguments)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert ended.returncode == code
    assert words in ended.stderr


def _greeter(path: str, greeting: bytes) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen(64)
    return sock


def test_readiness_is_green_only_when_everything_answers(tmp_path: Path, rules: Path, port: int) -> None:
    milter, auth = tmp_path / "milter", tmp_path / "auth"
    smtp = socket.create_server(("127.0.0.1", 0))
    arguments = [
        "serve",
        "--rules",
        str(rules),
        "--listen",
        f"unix:{tmp_path}/policy",
        "--readiness",
        f"127.0.0.1:{port}",
    ]
    arguments += ["--require", f"unix:{milter}", "--require", f"unix-greeting:{auth}:VERSION"]
    arguments += ["--require", f"tcp-greeting:127.0.0.1:{smtp.getsockname()[1]}:220"]
    with running(tmp_path / "daemon", *arguments), smtp:
        problems = until(port, lambda found: str(f"unix:{milter}") in found)
        assert problems[f"unix:{milter}"] == "No such file or directory"
        assert "no answer within" in problems[f"tcp:127.0.0.1:{smtp.getsockname()[1]}"]
        assert f"unix:{tmp_path}/policy" not in problems, "its own listener answers"
        with Peers(milter, auth, smtp):
            assert until(port, lambda found: not found) == {}
            assert get(f"http://127.0.0.1:{port}/readyz")[0] == 200
        assert f"unix:{auth}" in until(port, lambda found: f"unix:{auth}" in found)
        assert get(f"http://127.0.0.1:{port}/readyz")[0] == 503


def until(port: int, wanted: object) -> dict[str, str]:
    """The problems that /readyz names, once they are as wanted."""
    assert callable(wanted)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        problems: dict[str, str] = json.loads(get(f"http://127.0.0.1:{port}/readyz")[1])["problems"]
        if wanted(problems):
            return problems
        time.sleep(0.1)
    raise AssertionError(problems)


class Peers:
    """What a submission host needs besides: a milter that accepts, an auth server and an smtpd that greet."""

    def __init__(self, milter: Path, auth: Path, smtp: socket.socket) -> None:
        self._code = (
            "import socket, sys, threading\n"
            "def serve(sock, greeting):\n"
            "    while True:\n"
            "        peer, _ = sock.accept()\n"
            "        peer.sendall(greeting)\n"
            "        peer.close()\n"
            "milter = socket.socket(socket.AF_UNIX); milter.bind(sys.argv[1]); milter.listen()\n"
            "auth = socket.socket(socket.AF_UNIX); auth.bind(sys.argv[2]); auth.listen()\n"
            "smtp = socket.socket(fileno=int(sys.argv[3]))\n"
            "for sock, greeting in ((milter, b''), (auth, b'VERSION\\t1\\t2\\n'), (smtp, b'220 ready\\r\\n')):\n"
            "    threading.Thread(target=serve, args=(sock, greeting)).start()\n"
        )
        self._arguments = [str(milter), str(auth), str(smtp.fileno())]
        self._paths = (milter, auth)
        self._descriptor = smtp.fileno()

    def __enter__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._code, *self._arguments], pass_fds=[self._descriptor]
        )

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for path in self._paths:
            path.unlink()
