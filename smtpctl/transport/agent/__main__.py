"""Entry of the agent: ``serve`` for a controller, ``undo`` for the timer, ``recover`` at boot."""

from __future__ import annotations

import os
import signal
import sys

from . import session

TYPE_CHECKING = False  # typing itself is not imported by what a plan needs: see session.py
if TYPE_CHECKING:
    from .frames import Message


def serve(holder: str, digest: str, archive: bytes, first: Message) -> None:
    """Answer a controller on standard input and output: ``holder`` is who is at work there, ``digest`` the hash of this
    program. The controller's death must not stop a change half-way."""
    os.umask(0o022)
    if first.header["do"] == "run":
        from . import programs

        programs.become(first.header["user"], first.header["command"], holder)
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    session.Session(session.open_channel(first), digest, archive, holder).serve()


def main(arguments: list[str]) -> None:
    from . import recovery, units
    from .store import Store

    os.umask(0o022)
    if arguments[0] == "undo":
        recovery.run(Store(), "the controller did not confirm in time", number=int(arguments[1]))
    elif arguments[0] == "recover":
        booting = units.booting()
        reason = "the host was restarted before the change was confirmed" if booting else "recovery was asked for"
        recovery.run(Store(), reason, booting=booting)


if __name__ == "__main__":
    main(sys.argv[1:])
