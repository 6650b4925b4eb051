"""The lab: the hosts of an inventory and an internet of fake mailbox providers, booted on this machine.

Whoever talks to the lab's hosts calls ``enter()`` first; everything else is a method of ``Lab``. ``recipient``,
``source`` and ``verdicts`` read a delivered message.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from smtpctl.errors import LabError
from smtpctl.lab.network import enter_network
from smtpctl.lab.state import Record, StateFolder

if TYPE_CHECKING:
    from smtpctl.lab.control import Lab
    from smtpctl.lab.internet.mailboxes import recipient, source, verdicts
    from smtpctl.lab.internet.nameserver import resolver

__all__ = ["Lab", "Record", "StateFolder", "enter", "recipient", "resolver", "source", "verdicts"]


def enter() -> None:
    """Move this process's network into the running lab of $SMTPCTL_LAB_DIR. Again is no change.

    Holds for the calling thread and every thread it starts afterwards: call it from the main thread, before others
    are started. Raise LabError with the remedy when the lab is down.
    """
    state = StateFolder.of_environment()
    record = state.running()
    if record is None:
        raise LabError(f"the lab of {state.root} is down", hint="run: smtpctl lab up")
    enter_network(record)


#: What is imported when it is asked for: every plan of the lab's fleet calls ``enter``, and needs nothing else of it.
_LAZY = {
    "Lab": "smtpctl.lab.control",
    "recipient": "smtpctl.lab.internet.mailboxes",
    "source": "smtpctl.lab.internet.mailboxes",
    "verdicts": "smtpctl.lab.internet.mailboxes",
    "resolver": "smtpctl.lab.internet.nameserver",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_LAZY[name]), name)
    return value
