"""A mail to a bounce address, read: a delivery status notification (RFC 3464), or what else it seems to be.

The original recipient is the address that we sent to: Original-Recipient where the other side kept it (RFC 3461 ORCPT),
else Final-Recipient, which may be where somebody forwarded it to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from smtpctl.feedback.categories import Category
from smtpctl.feedback.fields import Fields, address_in, read_groups, status_in, untyped
from smtpctl.feedback.mime import Part, read_headers, read_message
from smtpctl.feedback.verdict import Verdict, judge
from smtpctl.model.deliveries import Hardness

_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_RETURNED_TYPES = (
    "message/rfc822",
    "message/global",
    "text/rfc822-headers",
    "message/rfc822-headers",
    "message/global-headers",
)
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,250}>")


class Kind(StrEnum):
    """What a mail to one of the bounce or feedback addresses is."""

    BOUNCE = "bounce"
    DELAY = "delay"
    DELIVERY = "delivery"
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"
    OTHER = "other"


class Action(StrEnum):
    """What happened to one recipient (RFC 3464 §2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@dataclass(frozen=True, slots=True)
class Recipient:
    """What a report says about one recipient. Empty strings stand for what it does not say."""

    original: str
    final: str
    action: Action
    status: str
    diagnostic: str
    remote_mta: str
    verdict: Verdict
    last_attempt_at: datetime | None = None

    @property
    def address(self) -> str:
        """The address that we sent to, as far as the report tells."""
        return self.original or self.final

    @property
    def hardness(self) -> Hardness:
        """Hard when the address is bad: a failure, by a verdict that says so. A delay never is."""
        if self.action not in (Action.FAILED, Action.DELAYED):
            return Hardness.UNDETERMINED
        if self.action is Action.FAILED and self.verdict.hard:
            return Hardness.HARD
        return Hardness.UNDETERMINED if self.verdict.category is Category.OTHER else Hardness.SOFT


@dataclass(frozen=True, slots=True)
class Report:
    """One mail, read. Only the kinds bounce, delay and delivery have recipients."""

    kind: Kind
    message_id: str
    reporting_mta: str = ""
    original_message_id: str = ""
    original_queue_id: str = ""
    arrival_at: datetime | None = None
    recipients: tuple[Recipient, ...] = ()


def read_report(raw: bytes) -> Report:
    """Given a mail as it came over the wire, return what it reports. Any bytes are read; none raise."""
    mail = read_message(raw)
    message_id = _message_id(mail)
    status = next((part for part in mail.walk() if part.content_type in _STATUS_TYPES), None)
    if status is None:
        return Report(_kind_without_status(mail), message_id)
    message, groups = read_groups(status.text())
    recipients = tuple(recipient for group in groups if (recipient := _recipient(group)))
    return Report(
        kind=_kind_of(recipients),
        message_id=message_id,
        reporting_mta=untyped(message.get("reporting-mta", ""))[1],
        original_message_id=_original_message_id(mail),
        original_queue_id=message.get("x-postfix-queue-id", "")[:64],
        arrival_at=_time(message.get("arrival-date", "")),
        recipients=recipients,
    )


def _recipient(group: Fields) -> Recipient | None:
    """One group of fields, or None when it names no address: nothing could be joined to it."""
    original = address_in(group.get("original-recipient", ""))
    final = address_in(group.get("final-recipient", ""))
    if not (original or final):
        return None
    diagnostic = untyped(group.get("diagnostic-code", ""))[1]
    status = status_in(group.get("status", "")) or status_in(diagnostic)
    return Recipient(
        original=original,
        final=final,
        action=_action(group.get("action", ""), status),
        status=status,
        diagnostic=diagnostic,
        remote_mta=untyped(group.get("remote-mta", ""))[1],
        verdict=judge(status, diagnostic),
        last_attempt_at=_time(group.get("last-attempt-date", "")),
    )


def _action(value: str, status: str) -> Action:
    """The action by its first word; by the class of the status where it is missing or unknown."""
    word = value.lower().partition(" ")[0].strip(";,.()")
    if word in tuple(Action):
        return Action(word)
    return {"2": Action.DELIVERED, "4": Action.DELAYED}.get(status[:1], Action.FAILED)


def _kind_of(recipients: tuple[Recipient, ...]) -> Kind:
    actions = {recipient.action for recipient in recipients}
    if Action.FAILED in actions:
        return Kind.BOUNCE
    if Action.DELAYED in actions:
        return Kind.DELAY
    return Kind.DELIVERY if actions else Kind.OTHER


def _kind_without_status(mail: Part) -> Kind:
    """RFC 5965 for complaints, RFC 3834 §5 for replies that no person wrote."""
    if any(part.content_type == "message/feedback-report" for part in mail.walk()):
        return Kind.COMPLAINT
    automatic = mail.header("Auto-Submitted").lower()
    if automatic.startswith("auto-replied") or mail.header("X-Autoreply") or mail.header("X-Autorespond"):
        return Kind.AUTO_REPLY
    return Kind.OTHER


def _original_message_id(mail: Part) -> str:
    """Message-ID of the mail that is returned, whole or by its headers."""
    returned = next((part for part in mail.walk() if part.content_type in _RETURNED_TYPES), None)
    return _message_id(read_headers(returned.content())) if returned else ""


def _message_id(part: Part) -> str:
    match = _MESSAGE_ID.search(part.header("Message-ID"))
    return match[0] if match else ""


def _time(value: str) -> datetime | None:
    """A date of RFC 5322 in UTC; None for what is no date, or one that no mail of ours can have."""
    try:
        moment = parsedate_to_datetime(value[:100])
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if 1970 <= moment.year < 2200 else None
