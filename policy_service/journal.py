"""What the log says of decisions and incidents. Edge: it writes lines; it never names a recipient.

The ledger's shipper reads both kinds: ``decision`` (``would-decide`` in shadow mode) and ``incident``. The log is on
the host's disk, so an incident reaches the ledger after any outage, once.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns

from policy_service.gcra import SECOND
from policy_service.log import NOTICE, WARNING, log
from policy_service.protocol import Request, number

#: How bad an incident of a kind is: ``critical`` where somebody else seems to have the credential's secret, else
#: ``warning``.
SEVERITIES = {"client": "critical", "invalid-recipients": "critical", "sender": "warning"}

#: The same incident of the same credential is raised again after so long.
SAID_AGAIN = 3600 * SECOND


class Journal:
    """Writes decisions and incidents; ``held`` is called with each credential that is held from now on."""

    def __init__(self, held: Callable[[str, float, str], None]) -> None:
        self._held = held
        self._said: dict[tuple[str, str], int] = {}

    def decision(self, request: Request, rule: str, mode: str, action: str) -> None:
        """A decision that holds a message up, or would."""
        log(
            NOTICE,
            "decision" if mode == "enforce" else "would-decide",
            rule=rule,
            state=request.text(b"protocol_state"),
            credential=request.text(b"sasl_username"),
            sender=request.text(b"sender"),
            recipients=number(request.recipients),
            client=request.text(b"client_address"),
            queue_id=request.text(b"queue_id"),
            instance=request.text(b"instance"),
            action=action,
        )

    def incident(self, kind: str, credential: str, request: Request, text: str) -> None:
        """A credential behaves as a stolen one does; said once an hour for each kind."""
        now = monotonic_ns()
        if now - self._said.get((kind, credential), now - SAID_AGAIN) < SAID_AGAIN:
            return
        self._said[kind, credential] = now
        log(
            WARNING,
            "incident",
            kind=kind,
            severity=SEVERITIES[kind],
            credential=credential,
            client=request.text(b"client_address"),
            sender=request.text(b"sender"),
            instance=request.text(b"instance"),
            text=text,
        )

    def hold(self, credential: str, until: float, reason: str) -> None:
        """A credential is held from now on: the other hosts are to know."""
        self._held(credential, until, reason)
