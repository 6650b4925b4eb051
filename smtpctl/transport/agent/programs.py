"""A program of this host in the agent's place: its streams are the connection's from then on.

The controller's log-in has one right, and that is the agent; so what else it needs here (the policy service's program,
the ledger's, a tar of the mailboxes) is run by the agent, and the host's log says for whom.
"""

from __future__ import annotations

import os
import signal
import sys
import syslog
from collections.abc import Sequence
from typing import NoReturn

from . import frames

#: What a shell says of a command that cannot be run (POSIX.1-2017, XCU 2.8.2).
CANNOT_RUN = 127


def become(user: str, command: Sequence[str], holder: str) -> NoReturn:
    """Tell the controller that it speaks to ``command`` now, and become it, as ``user``."""
    syslog.openlog("smtpctl", 0, syslog.LOG_DAEMON)
    # Not its arguments: a key of a limit may name a person.
    syslog.syslog(syslog.LOG_INFO, f"runs {_name(command)} as {user} for {holder}")
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # what is ignored stays ignored over exec(2); Python ignores SIGPIPE
    os.write(1, frames.pack({"answer": "running"}))
    words = [*command] if user == "root" else ["runuser", "--user", user, "--", *command]
    try:
        os.execvp(words[0], words)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"{words[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(CANNOT_RUN)


def _name(command: Sequence[str]) -> str:
    """The program that a command runs: of an interpreter's, the file."""
    return next((word for word in command if word.endswith(".pyz")), command[0])
