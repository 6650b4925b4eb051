"""Yesterday's mail against other rules: messages out of a log, requests about them, and who would be limited. Pure.

A message is one that a submission smtpd took in under a credential. It is asked about as Postfix would have asked: each
recipient at RCPT, the message at DATA, its size at END-OF-MESSAGE, at the time at which the log has it. What was
refused then is not in the log as a message, and so not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from smtpctl.maillog.listener import Decision, Ending, Hop, Origin, Peer, Timing
from smtpctl.model.deliveries import datetime_of

#: Recipients that are asked about one by one; of more the number counts.
MOST_RECIPIENTS = 1000

_RETRY = re.compile(r"; retry in \d+ s$")


@dataclass(slots=True)
class Sent:
    """One message, as far as the log tells. ``at`` is a moment (``model.deliveries``)."""

    at: int
    credential: bytes
    client: bytes
    sender: bytes = b""
    size: int = 0
    count: int = 0
    recipients: dict[bytes, None] = field(default_factory=dict)


class Submissions:
    """Gathers the messages of credentials; a ``Listener`` that is told of everything else in vain."""

    wants_sessions = False

    def __init__(self) -> None:
        self.messages: list[Sent] = []
        self._open: dict[tuple[bytes, bytes], Sent] = {}

    def accepted(self, at: int, origin: Origin, queue_id: bytes, peer: Peer) -> None:
        if credential := peer.client.credential:
            self._open[origin.instance, queue_id] = Sent(at, credential, peer.client.address or b"")

    def activated(self, at: int, origin: Origin, queue_id: bytes, sender: bytes, size: int, recipients: int) -> None:
        message = self._open.get((origin.instance, queue_id))
        if message is not None and not message.count:
            message.sender, message.size, message.count = sender, size, recipients
            self.messages.append(message)

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
        message = self._open.get((origin.instance, queue_id))
        if message is not None and len(message.recipients) < MOST_RECIPIENTS:
            message.recipients[original_recipient or recipient] = None

    def removed(self, at: int, origin: Origin, queue_id: bytes, how: bytes) -> None:
        self._open.pop((origin.instance, queue_id), None)

    def hung_up(self, origin: Origin) -> bool:
        return False

    def disconnected(self, at: int, origin: Origin, text: bytes) -> None: ...

    def picked_up(
        self, at: int, origin: Origin, queue_id: bytes, uid: bytes, sender: bytes, original_queue_id: bytes | None
    ) -> None: ...

    def identified(self, at: int, origin: Origin, queue_id: bytes, message_id: bytes, resent: bool) -> None: ...

    def expired(self, at: int, origin: Origin, queue_id: bytes, sender: bytes, status: bytes) -> None: ...

    def notified(self, at: int, origin: Origin, queue_id: bytes, kind: bytes, child: bytes) -> None: ...

    def changed(self, at: int, origin: Origin, queue_id: bytes, action: bytes) -> None: ...

    def decided(self, at: int, origin: Origin, decision: Decision) -> None: ...

    def signed(self, at: int, origin: Origin, queue_id: bytes, selector: bytes, domain: bytes) -> None: ...

    def policy_decided(
        self, at: int, origin: Origin, queue_id: bytes | None, fields: Mapping[bytes, bytes]
    ) -> None: ...

    def incident(self, at: int, origin: Origin, fields: Mapping[bytes, bytes]) -> None: ...

    def phrased(self, at: int, origin: Origin, kind: str, queue_id: bytes | None, text: bytes) -> None: ...

    def not_understood(self, at: int, origin: Origin, queue_id: bytes | None, text: bytes) -> None: ...

    def foreign(self, at: int, origin: Origin, text: bytes) -> None: ...


def requests(message: Sent, number: int) -> Iterator[bytes]:
    """What Postfix would have asked about a message."""
    common = {
        b"request": b"smtpd_access_policy",
        b"protocol_name": b"ESMTP",
        b"client_address": message.client,
        b"sender": message.sender,
        b"sasl_username": message.credential,
        b"instance": b"replay.%d" % number,
        b"log_time": b"%.6f" % datetime_of(message.at).timestamp(),
        # the client announced it with MAIL FROM, or END-OF-MESSAGE tells
        b"size": b"%d" % message.size,
    }
    for recipient in message.recipients:
        yield _request(common, b"RCPT", recipient=recipient, recipient_count=b"0")
    count = b"%d" % max(message.count, 1)
    yield _request(common, b"DATA", recipient_count=count)
    yield _request(common, b"END-OF-MESSAGE", recipient_count=count)


def _request(common: Mapping[bytes, bytes], state: bytes, **more: bytes) -> bytes:
    # The request and its state stand first, as Postfix writes them.
    values = {b"request": common[b"request"], b"protocol_state": state, **common}
    values.update({name.encode(): value for name, value in more.items()})
    return b"".join(b"%b=%b\n" % pair for pair in values.items()) + b"\n"


@dataclass(slots=True)
class Use:
    """What became of one credential's mail."""

    messages: int = 0
    recipients: int = 0
    refused: int = 0
    refused_recipients: int = 0
    first_refused_at: int | None = None
    reasons: dict[str, int] = field(default_factory=dict)


def count(uses: dict[str, Use], message: Sent, actions: list[str]) -> None:
    """Add a message with the answers to its requests; the first that objects decides."""
    use = uses.setdefault(message.credential.decode("utf-8", "replace"), Use())
    use.messages += 1
    use.recipients += message.count
    objection = next((action for action in actions if not action.startswith(("DUNNO", "FILTER", "PREPEND"))), None)
    if objection is None:
        return
    use.refused += 1
    use.refused_recipients += message.count
    use.first_refused_at = message.at if use.first_refused_at is None else use.first_refused_at
    reason = _RETRY.sub("", objection)
    use.reasons[reason] = use.reasons.get(reason, 0) + 1
