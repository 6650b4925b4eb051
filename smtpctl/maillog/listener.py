"""What lines say, as calls: whoever reads a log (``reading``) tells a listener.

A busy log is read line by line, and a value made for each line costs more than reading it; so the reader makes none.
The words are Postfix's own (see the manual pages of the daemons named below). All text is bytes, as logged. ``at`` is
a moment in microseconds (``model.deliveries``), ``origin`` says who wrote the line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from smtpctl.model.deliveries import Client, Delays, Relay


class Origin:
    """Who writes a line: ``host instance/service/daemon[pid]``. One object for all lines of a process."""

    __slots__ = ("daemon", "host", "instance", "pid", "service")

    def __init__(self, host: bytes, tag: bytes, pid: bytes) -> None:
        parts = tag.split(b"/")
        self.host = host
        #: First part of the tag: Postfix's syslog_name, or the program.
        self.instance = parts[0]
        self.daemon = parts[-1]
        #: What stands between the two, else the daemon: for a delivery agent the transport.
        self.service = b"/".join(parts[1:-1]) or self.daemon
        self.pid = pid


# Parts of lines, as logged and as values. Many lines share one, so they are told by the object.


@dataclass(slots=True, eq=False)
class Peer:
    """Who hands a message in: ``client=NAME[ADDRESS][:PORT]``. ``more`` is what stands after it: sasl_method,
    sasl_username, sasl_sender, orig_queue_id, orig_client."""

    client: Client
    port: bytes
    more: Mapping[bytes, bytes]


@dataclass(slots=True, eq=False)
class Hop:
    """Where an attempt went: ``relay=`` and ``conn_use=``."""

    text: bytes
    use: bytes | None
    relay: Relay
    connection_use: int | None


@dataclass(slots=True, eq=False)
class Timing:
    """What it took: ``delay=``, ``delays=``; and ``tls=``, which stands among them."""

    delay: bytes
    parts: bytes
    tls: bytes | None
    delays: Delays | None


@dataclass(slots=True, eq=False)
class Ending:
    """How it ended: ``dsn=``, ``status=`` (empty when the line was cut before it), and the reply with what it says: its
    code, the queue id that the next hop gave, or that of the copy that local(8) made."""

    dsn: bytes
    status: bytes
    reply: bytes
    reply_code: int | None
    queued_as: bytes | None
    forwarded_as: bytes | None


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
    protocol: bytes | None = None
    sasl_method: bytes | None = None
    sasl_sender: bytes | None = None


class Listener(Protocol):
    """Takes in what lines say, in the order of the log."""

    #: Whether to be told of every ``connect from`` and TLS session. They are a quarter of a log and say nothing about a
    #: message.
    wants_sessions: bool

    def accepted(self, at: int, origin: Origin, queue_id: bytes, peer: Peer) -> None:
        """smtpd(8): ``client=``. A message begins; the recipients and the content are still to come."""

    def hung_up(self, origin: Origin) -> bool:
        """smtpd(8): ``disconnect from``. Whether it matters when; then ``disconnected`` follows. Asked only of who
        does not want sessions."""

    def disconnected(self, at: int, origin: Origin, text: bytes) -> None:
        """smtpd(8): ``disconnect from``. The session is over."""

    def picked_up(
        self, at: int, origin: Origin, queue_id: bytes, uid: bytes, sender: bytes, original_queue_id: bytes | None
    ) -> None:
        """pickup(8): ``uid=``. A message came in through sendmail(1), or again after ``postsuper -r``."""

    def identified(self, at: int, origin: Origin, queue_id: bytes, message_id: bytes, resent: bool) -> None:
        """cleanup(8): ``message-id=`` or ``resent-message-id=``, without the angle brackets."""

    def activated(self, at: int, origin: Origin, queue_id: bytes, sender: bytes, size: int, recipients: int) -> None:
        """qmgr(8): ``queue active``; once when the message arrives and again at every retry."""

    def attempted(
        self,
        at: int,
        origin: Origin,
        queue_id: bytes,
        recipient: bytes,
        original_recipient: bytes | None,
        hop: Hop,
        timing: Timing,
        ending: Ending,
    ) -> None:
        """A delivery agent's report on one recipient (``to=``)."""

    def expired(self, at: int, origin: Origin, queue_id: bytes, sender: bytes, status: bytes) -> None:
        """qmgr(8): ``status=expired`` or ``force-expired``, returned to sender."""

    def removed(self, at: int, origin: Origin, queue_id: bytes, how: bytes) -> None:
        """The message has left the queue. ``how`` is empty, or Postfix's word: canceled, discarded."""

    def notified(self, at: int, origin: Origin, queue_id: bytes, kind: bytes, child: bytes) -> None:
        """bounce(8): a notification about this message went into the queue as ``child``. ``kind`` is bounce, delay,
        success or postmaster."""

    def changed(self, at: int, origin: Origin, queue_id: bytes, action: bytes) -> None:
        """postsuper(1): requeued, placed on hold, released from hold, expired."""

    def decided(self, at: int, origin: Origin, decision: Decision) -> None:
        """smtpd(8), cleanup(8), postscreen(8) or a milter decided."""

    def signed(self, at: int, origin: Origin, queue_id: bytes, selector: bytes, domain: bytes) -> None:
        """opendkim(8): a DKIM-Signature field was added."""

    def policy_decided(self, at: int, origin: Origin, queue_id: bytes | None, fields: Mapping[bytes, bytes]) -> None:
        """smtpctl's policy service decided; ``fields`` are the pairs of its line."""

    def incident(self, at: int, origin: Origin, fields: Mapping[bytes, bytes]) -> None:
        """smtpctl's policy service saw what looks like a stolen credential; ``fields`` are the pairs of its line, among
        them kind and severity."""

    def phrased(self, at: int, origin: Origin, kind: str, queue_id: bytes | None, text: bytes) -> None:
        """Any other line that is understood; ``phrases.fields_of`` takes its text apart, ``others.fields_of`` that of a
        program beside Postfix."""

    def not_understood(self, at: int, origin: Origin, queue_id: bytes | None, text: bytes) -> None:
        """A line of a mail program that is not understood. ``queue_id`` is what it names, if anything."""

    def foreign(self, at: int, origin: Origin, text: bytes) -> None:
        """A line of a program that tells nothing about mail."""
