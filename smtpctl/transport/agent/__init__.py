"""The agent: the part of smtpctl that runs on a host while a controller is connected, and alone when it has to undo.

It runs under Debian's own ``/usr/bin/python3`` with the standard library and nothing else: no module in here may
import from outside this folder. A controller packs the folder as a zip archive (``smtpctl.transport.bundle``) and sends
it over the connection; an apply leaves it unpacked at ``/var/lib/smtpctl/agent`` for the undo timer, for recovery at
boot, and for the next controller.

Everything the agent does to a host until the controller says ``commit`` is read-only, or inside ``/var/lib/smtpctl``,
or an addition that is reported and never undone (a package, a system user).
"""

#: Version of the messages and of the files under /var/lib/smtpctl. A controller and an agent agree on it or refuse.
PROTOCOL = 1

#: Stands in the argument list of every agent process; the lock's holder is found by it.
MARKER = "smtpctl-agent"


class StepError(Exception):
    """A step on the host failed. ``detail`` holds the words of the program that failed."""

    def __init__(self, step: str, detail: str) -> None:
        super().__init__(f"{step}: {detail}")
        self.step = step
        self.detail = detail
