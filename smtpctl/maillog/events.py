"""What a line says, as a value. The words are Postfix's own (see the manual pages of the daemons named below).

The first group is what the tracker needs to follow a message. Everything else that is understood is a ``Phrase``: its
kind, and the fields that its pattern (see ``phrases``) finds when somebody asks. All text is bytes, as logged.
"""

from __future__ import annotations

from typing import NamedTuple


class Origin(NamedTuple):
    """Who wrote a line: ``host instance/service/daemon[pid]``."""

    host: bytes
    #: First part of the tag: Postfix's syslog_name, or the program.
    instance: bytes
    #: What stands between instance and daemon; else the daemon: the transport of a delivery agent.
    service: bytes
    daemon: bytes
    pid: bytes


class Accepted(NamedTuple):
    """smtpd(8): ``client=``. A message begins; the recipients and the content are still to come."""

    queue_id: bytes
    client_name: bytes
    client_address: bytes
    client_port: bytes
    sasl_method: bytes | None = None
    sasl_username: bytes | None = None
    sasl_sender: bytes | None = None
    original_queue_id: bytes | None = None
    original_client: bytes | None = None


class PickedUp(NamedTuple):
    """pickup(8): ``uid=``. A message came in through sendmail(1), or again after ``postsuper -r``."""

    queue_id: bytes
    uid: bytes
    sender: bytes
    original_queue_id: bytes | None = None


class Identified(NamedTuple):
    """cleanup(8): ``message-id=``, without the angle brackets."""

    queue_id: bytes
    message_id: bytes
    resent: bool = False


class Activated(NamedTuple):
    """qmgr(8): ``queue active``; once when the message arrives and again at every retry."""

    queue_id: bytes
    sender: bytes
    size: int
    recipients: int


class Attempt(NamedTuple):
    """A delivery agent's report on one recipient (``to=``). ``status`` is empty when the line was cut before it."""

    queue_id: bytes
    recipient: bytes
    original_recipient: bytes | None
    relay: bytes
    connection_use: bytes | None
    delay: bytes
    delays: bytes
    tls: bytes | None
    dsn: bytes
    status: bytes
    reply: bytes


class Expired(NamedTuple):
    """qmgr(8): ``status=expired`` or ``force-expired``, returned to sender."""

    queue_id: bytes
    sender: bytes
    status: bytes


class Removed(NamedTuple):
    """The message has left the queue. ``how`` is empty, or Postfix's word: canceled, discarded."""

    queue_id: bytes
    how: bytes


class Notified(NamedTuple):
    """bounce(8): a notification about this message went into the queue as ``child``."""

    queue_id: bytes
    kind: bytes
    child: bytes


class Superseded(NamedTuple):
    """postsuper(1) changed a message: requeued, placed on hold, released from hold, expired."""

    queue_id: bytes
    action: bytes


class Decision(NamedTuple):
    """A restriction, header check or milter decided: reject, hold, filter, …. No queue id: before the queue."""

    queue_id: bytes | None
    action: bytes
    stage: bytes
    client: bytes
    code: bytes | None
    status: bytes | None
    text: bytes
    sender: bytes | None
    recipient: bytes | None
    helo: bytes | None
    sasl_username: bytes | None


class Signed(NamedTuple):
    """opendkim(8): a DKIM-Signature field was added."""

    queue_id: bytes
    selector: bytes
    domain: bytes


class Policy(NamedTuple):
    """smtpctl's policy service decided; ``fields`` are its ``key=value`` pairs."""

    queue_id: bytes | None
    fields: dict[bytes, bytes]


class Phrase(NamedTuple):
    """Any other line that is understood; ``phrases.fields_of`` takes it apart."""

    kind: str
    queue_id: bytes | None
    text: bytes


class Unknown(NamedTuple):
    """A line that is not understood. ``queue_id`` is what it would name, if anything."""

    queue_id: bytes | None
    text: bytes


class Foreign(NamedTuple):
    """A line of a program that tells nothing about mail."""

    text: bytes


Happening = (
    Accepted
    | PickedUp
    | Identified
    | Activated
    | Attempt
    | Expired
    | Removed
    | Notified
    | Superseded
    | Decision
    | Signed
    | Policy
    | Phrase
    | Unknown
    | Foreign
)
