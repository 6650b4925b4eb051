"""A question to a running policy service, as smtpd(8) asks: does it listen, answer, and keep the connection? Pure.

``PROGRAM`` runs where the Postfix is, with ``python3 -c`` and that Python's own library. It asks at CONNECT, where a
policy service has nothing to decide, so that nothing is charged or logged for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from smtpctl.operate.policy_settings import LEAST_BACKLOG, Finding

#: Seconds that an answer may take.
PATIENCE = 5

#: Arguments: the user that smtpd(8) runs as, then addresses: ``unix:PATH``, ``inet:HOST:PORT``. Prints a line each.
PROGRAM = f"""
import json, os, pwd, socket, sys

QUESTION = (
    b"request=smtpd_access_policy\\nprotocol_state=CONNECT\\nprotocol_name=ESMTP\\nclient_address=127.0.0.1\\n"
    b"client_name=localhost\\ninstance=doctor\\n\\n"
)

def question(where):
    kind, _, rest = where.partition(":")
    if kind == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout({PATIENCE})
        sock.connect(rest)
    else:
        host, _, port = rest.rpartition(":")
        sock = socket.create_connection((host.strip("[]") or "localhost", int(port)), {PATIENCE})
    for number in (1, 2):
        try:
            sock.sendall(QUESTION)
            text = b""
            while not text.endswith(b"\\n\\n"):
                data = sock.recv(4096)
                if not data:
                    return "closed" if number == 2 or text else "hung-up"
                text += data
        except (BrokenPipeError, ConnectionResetError):
            return "closed" if number == 2 else "hung-up"
        except TimeoutError:
            return "silent"
    return "answers"

if os.geteuid() == 0:
    try:
        owner = pwd.getpwnam(sys.argv[1])
    except KeyError:
        pass
    else:
        os.setgroups([owner.pw_gid])
        os.setegid(owner.pw_gid)
        os.seteuid(owner.pw_uid)
for where in sys.argv[2:]:
    try:
        print(json.dumps([where, question(where), ""]))
    except (OSError, ValueError) as error:
        print(json.dumps([where, "unreachable", str(error)]))
"""

#: What each outcome means for mail, and what is right.
_MEANING = {
    "unreachable": (
        "nobody can be reached there ({error}): every message gets the default action",
        "start the service, and let the group of smtpd(8) into the folder and the socket",
    ),
    "hung-up": (
        "it hangs up without an answer: every message waits a second or more and gets the default action",
        "the service's log says why",
    ),
    "silent": (
        f"it does not answer within {PATIENCE} s: every smtpd waits for it",
        "the service's log says why",
    ),
    "closed": (
        "it closes the connection after a reply: each further question costs Postfix a whole second",
        "a service that keeps the connection open, as SMTPD_POLICY_README asks",
    ),
}


def answers(printed: str) -> Iterator[Finding]:
    """What the lines that ``PROGRAM`` printed say."""
    for line in printed.splitlines():
        where, outcome, error = json.loads(line)
        if outcome in _MEANING:
            text, remedy = _MEANING[outcome]
            yield Finding(where, text.format(error=error), remedy)


def backlogs(listening: str, addresses: tuple[str, ...]) -> Iterator[Finding]:
    """Sockets whose listening queue is too short, by what ``ss --listening --unix --tcp`` printed."""
    for where in addresses:
        kind, _, address = where.partition(":")
        lengths = [
            int(words[3])
            for line in listening.splitlines()
            if len(words := line.split()) > 4 and words[3].isdigit() and _is_at(kind, address, words[4])
        ]
        if lengths and max(lengths) < LEAST_BACKLOG:
            text = f"its listening queue holds {max(lengths)} connections: a burst of smtpd processes is refused, "
            remedy = f"{LEAST_BACKLOG} or more, and sysctl net.core.somaxconn no less"
            yield Finding(where, f"{text}a second each", remedy)


def _is_at(kind: str, address: str, local: str) -> bool:
    """Whether a line's local address is the one that is asked for; a port counts, whatever name it was given by."""
    if kind == "unix":
        return local == address
    return ":" in local and local.rpartition(":")[2] == address.rpartition(":")[2]
