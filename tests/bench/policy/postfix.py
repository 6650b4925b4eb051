"""A real Postfix on the loopback with the policy service in it: what the service costs beside Postfix itself. Edge.

Debian's Postfix, unpacked and not installed, accepts messages over kept sessions, asks the policy service at RCPT, DATA
and END-OF-MESSAGE, and hands them to smtp-sink. No TLS, no SASL, no signing: on a real submission host Postfix has more
to do and the service the same. Clients say whose mail it is by XCLIENT (XCLIENT_README), which counts as signed in.
"""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.policy.cpu import cpu_seconds
from tests.bench.policy.requests import SENDERS, sender
from tests.bench.policy.servers import Server, free_endpoint, started
from tests.bench.policy.setup import DEBIAN, LIBRARIES

#: Debian's own users of services that nobody runs: Postfix wants two that are nobody else's.
OWNER, GROUP = "news", "uucp"
SESSIONS = 20
#: Messages before it is measured.
WARMING = 8 * SENDERS
_QUEUES = (
    "incoming", "active", "deferred", "hold", "corrupt", "bounce", "defer", "trace", "flush", "saved", "private",
    "maildrop", "public",
)  # fmt: skip
BODY = b"".join(b"%073d\r\n" % line for line in range(27))

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = {debian}/usr/sbin
daemon_directory = {debian}/usr/lib/postfix/sbin
meta_directory = {folder}/etc
shlib_directory = {debian}/usr/lib/postfix
import_environment = MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH={libraries}
mail_owner = {owner}
setgid_group = {group}
maillog_file = {folder}/maillog
maillog_file_prefixes = /tmp
myhostname = bench.test
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8, 192.0.2.0/24
smtpd_authorized_xclient_hosts = 127.0.0.1, 192.0.2.0/24
smtpd_peername_lookup = no
smtp_host_lookup = native
relayhost = [127.0.0.1]:{sink}
smtpd_recipient_restrictions = {policy}, permit_sasl_authenticated, permit_mynetworks, reject
smtpd_data_restrictions = {policy}
smtpd_end_of_data_restrictions = {policy}
"""

_MASTER = """\
127.0.0.1:{port} inet n - n - 100 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - 50 smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds a message: of all of Postfix's processes, and of the policy service with its database."""

    messages_per_second: float
    postfix: float
    policy: float
    database: float


@contextmanager
def running(home: Path, policy: Server, sink: int) -> Iterator[tuple[int, int]]:
    """Postfix for the length of a block: its master's process and its port. Its mail goes to the port ``sink``."""
    if os.geteuid():
        raise RuntimeError("Postfix starts as root only")
    libraries = f"{DEBIAN}/usr/lib/postfix:{LIBRARIES}"
    where = free_endpoint()
    port = int(where.rpartition(":")[2])
    _queue(home / "spool")
    (home / "data").mkdir()
    os.chown(home / "data", pwd.getpwnam(OWNER).pw_uid, -1)
    (home / "etc").mkdir()
    asked = f"check_policy_service {{ inet:{policy.endpoint.removeprefix('tcp:')}, timeout=10s }}"
    values = {"folder": home, "debian": DEBIAN, "libraries": libraries, "owner": OWNER, "group": GROUP}
    (home / "etc" / "main.cf").write_text(_MAIN.format(**values, sink=sink, policy=asked))
    (home / "etc" / "master.cf").write_text(_MASTER.format(port=port))
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries, "MAIL_CONFIG": f"{home}/etc"}
    command = [f"{DEBIAN}/usr/lib/postfix/sbin/master", "-d", "-c", f"{home}/etc"]
    with started(command, where, home / "master.log", env=environment) as master:
        yield master.pid, port


def cost(folder: Path, policy: Server, sink: int, messages: int, *, warming: int = WARMING) -> Cost:
    """Send so many messages through Postfix to a sink that listens on the port ``sink``; what it took."""
    home = folder / f"postfix-{policy.name}"
    home.mkdir()
    environment = {**os.environ, "LD_LIBRARY_PATH": f"{DEBIAN}/usr/lib/postfix:{LIBRARIES}"}
    taking = [f"{DEBIAN}/usr/sbin/smtp-sink", "-u", OWNER, f"127.0.0.1:{sink}", "200"]
    with ExitStack() as stack:
        stack.enter_context(started(taking, f"tcp:127.0.0.1:{sink}", home / "sink.log", env=environment))
        master, port = stack.enter_context(running(home, policy, sink))
        clients = stack.enter_context(ThreadPoolExecutor(SESSIONS))

        def send(count: int) -> None:
            for done in [clients.submit(session, port, number, count) for number in range(SESSIONS)]:
                done.result()
            drained(home / "spool")

        # Leases grow with use: every sender is known, and has been for a while, as on a host that is in service.
        send(warming // SESSIONS)
        roots = (master, policy.process, policy.database)
        before, began = [cpu_seconds(root) for root in roots], time.monotonic()
        each = messages // SESSIONS
        send(each)
        took = time.monotonic() - began
        used = [cpu_seconds(root) - start for root, start in zip(roots, before, strict=True)]
        total = each * SESSIONS
        return Cost(total / took, used[0] / total, (used[1] + used[2]) / total, used[2] / total)


def session(port: int, number: int, messages: int) -> None:
    """One SMTP session of so many messages, each of another application."""
    with socket.create_connection(("127.0.0.1", port), 60) as sock, sock.makefile("rb") as answers:

        def say(line: bytes, *codes: bytes) -> bytes:
            sock.sendall(line + b"\r\n" if line else b"")
            while (answer := answers.readline())[3:4] == b"-":
                pass
            if answer[:3] not in codes:
                raise RuntimeError(f"to {line[:60]!r} Postfix said {answer!r}")
            return answer[:3]

        say(b"", b"220")
        for message in range(messages):
            name = sender((number * messages + message) % SENDERS).encode()
            say(b"XCLIENT LOGIN=%b ADDR=192.0.2.%d" % (name, number + 1), b"220")
            say(b"EHLO application.bench.test", b"250")
            say(b"MAIL FROM:<%b> SIZE=2048" % name, b"250")
            say(b"RCPT TO:<someone@example.org>", b"250")
            # On a machine so busy that the database does not answer in time, a new key's message is put off.
            while say(b"DATA", b"354", b"450") == b"450":
                say(b"RSET", b"250")
                time.sleep(0.1)
                say(b"MAIL FROM:<%b> SIZE=2048" % name, b"250")
                say(b"RCPT TO:<someone@example.org>", b"250")
            say(b"Subject: bench\r\n\r\n" + BODY + b".", b"250")
        say(b"QUIT", b"221")


def drained(spool: Path) -> None:
    """Return when the queue is empty; fail when it does not become so."""
    end = time.monotonic() + 60
    queues = [spool / name for name in ("incoming", "active", "deferred")]
    while any(file.is_file() for queue in queues for file in queue.rglob("*")):
        if time.monotonic() > end:
            raise RuntimeError("Postfix's queue did not empty")
        time.sleep(0.05)


def _queue(spool: Path) -> None:
    """The directories of a queue (postfix-files(5))."""
    owner = pwd.getpwnam(OWNER).pw_uid
    spool.mkdir()
    for name in _QUEUES:
        (spool / name).mkdir(mode=0o700)
        os.chown(spool / name, owner, -1)
    (spool / "pid").mkdir()
