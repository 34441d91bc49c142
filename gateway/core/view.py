"""A Message as everybody outside sees it: in answers, in callbacks and on a terminal."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from .delivery import DeliveryError, Quota
from .hold import Hold
from .message import Entry, Message

Status = Literal[
    "queued", "sending", "sent", "delivered", "undelivered", "unknown", "skipped", "failed", "expired", "cancelled"
]


class EventView(msgspec.Struct, frozen=True):
    """Which event the message was made from."""

    id: str
    source: str
    type: str


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """One message as the gateway tells of it; times are RFC 3339, UTC."""

    tracking_id: str
    status: Status
    reason: str | None
    settled: bool
    event: EventView
    caller: str
    mode: Literal["live", "development"]
    mapping: str
    mapping_version: str
    account: str
    template_id: str | None
    phone: str | None
    priority: Literal["urgent", "normal", "bulk"]
    attempts: int
    msg_id: str | None
    accepted_at: datetime
    not_before: datetime | None
    next_attempt_at: datetime | None
    expires_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    updated_at: datetime
    quota: Quota | None
    error: DeliveryError | None


class MessageWithTimeline(MessageView, frozen=True, kw_only=True):
    """One message, and everything that happened to it, oldest first."""

    timeline: tuple[Entry, ...]


def view(message: Message, now: datetime, hold: Hold | None = None) -> MessageView:
    """The message as callers see it; `hold` is what it waits for if it is queued."""
    return MessageView(**_fields(message, now, hold))


def view_with_timeline(message: Message, now: datetime, hold: Hold | None = None) -> MessageWithTimeline:
    """The same with its timeline."""
    return MessageWithTimeline(**_fields(message, now, hold), timeline=message.timeline)


def _fields(message: Message, now: datetime, hold: Hold | None) -> dict[str, Any]:
    is_held = hold is not None and message.state.is_waiting
    return {
        "tracking_id": message.tracking_id,
        "status": message.state.status,
        "reason": hold.reason if hold is not None and is_held else message.reason,
        "settled": message.is_settled(now),
        "event": EventView(message.event_id, message.event_source, message.event_type),
        "caller": message.caller,
        "mode": message.mode,
        "mapping": message.event_type,
        "mapping_version": message.mapping_version,
        "account": message.account,
        "template_id": message.template_id,
        "phone": message.phone,
        "priority": message.priority,
        "attempts": message.attempts,
        "msg_id": message.msg_id,
        "accepted_at": message.accepted_at,
        "not_before": message.not_before,
        "next_attempt_at": hold.until if hold is not None and is_held else message.next_attempt_at,
        "expires_at": message.expires_at,
        "sent_at": message.sent_at,
        "delivered_at": message.delivered_at,
        "updated_at": message.updated_at,
        "quota": message.quota,
        "error": message.error,
    }
