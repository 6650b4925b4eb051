"""The lab: the hosts of an inventory and an internet of fake mailbox providers, booted on this machine.

Whoever talks to the lab's hosts calls ``enter()`` first; everything else is a method of ``Lab``. ``recipient``,
``source`` and ``verdicts`` read a delivered message.
"""

from __future__ import annotations

from smtpctl.lab.control import Lab
from smtpctl.lab.internet.mailboxes import recipient, source, verdicts
from smtpctl.lab.internet.nameserver import resolver
from smtpctl.lab.state import Record, StateFolder

__all__ = ["Lab", "Record", "StateFolder", "enter", "recipient", "resolver", "source", "verdicts"]


def enter() -> None:
    """Move this process's network into the running lab of $SMTPCTL_LAB_DIR. Again is no change.

    Holds for the calling thread and every thread it starts afterwards: call it from the main thread, before others
    are started. Raise LabError with the remedy when the lab is down.
    """
    Lab().enter()
