"""What Zalo posts to us: whether it is Zalo's, and what it says.

The signature covers our own app id, the bytes as they came, and the timestamp inside them. Nothing is refused
for its age: Zalo repeats for more than an hour, and a repeated receipt changes nothing.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.core.receipt import Receipt

from . import wire

MAX_BODY_BYTES: Final = 64 * 1024
_HEADER: Final = re.compile(rb"mac=([0-9a-f]{64})")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,20}", re.ASCII)


class TemplateChanged(msgspec.Struct, frozen=True):
    """A template's status or quality is another one now. `before` is None where Zalo does not say it."""

    template_id: str
    what: str  # "status" or "quality"
    before: str | None
    after: str | None
    reason: str


class QuotaChanged(msgspec.Struct, frozen=True):
    """The account's daily quota is another one now."""

    before: int | None
    after: int | None


class OtherEvent(msgspec.Struct, frozen=True):
    """An event that changes nothing here; it is kept as it came. `name` is printable, empty when there is none."""

    name: str


class Unreadable(msgspec.Struct, frozen=True):
    """Not one JSON object of at most 64 KiB."""


Received = Receipt | TemplateChanged | QuotaChanged | OtherEvent | Unreadable


def verify(header: bytes | None, body: bytes, app_id: str, secrets: Sequence[str]) -> bool:
    """True when `header` is Zalo's signature of `body` under one of `secrets`. Source: docs/zalo.md §7.2

    The app id is ours, from the config, and the timestamp is read from strict JSON: otherwise the same hash
    would fit another split of the same bytes. An empty secret is none. Never raises for any header or body.
    """
    claimed = _HEADER.fullmatch(header) if header is not None else None
    timestamp = _timestamp(body)
    if claimed is None or timestamp is None:
        return False
    is_right = False
    for secret in secrets:  # all of them, so that the time taken does not say which one fits
        mac = hashlib.sha256(app_id.encode() + body + timestamp + secret.encode()).hexdigest()
        is_right |= hmac.compare_digest(mac.encode(), claimed[1]) and bool(secret)
    return is_right


def sign(body: bytes, app_id: str, secret: str) -> bytes:
    """The header that Zalo would send with `body`. Raises ValueError when the body has no timestamp."""
    timestamp = _timestamp(body)
    if timestamp is None:
        raise ValueError("the body has no timestamp")
    return b"mac=" + hashlib.sha256(app_id.encode() + body + timestamp + secret.encode()).hexdigest().encode()


def _timestamp(body: bytes) -> bytes | None:
    document = wire.read_object(body) if len(body) <= MAX_BODY_BYTES else None
    value = document.get("timestamp") if document is not None else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**20:
        return str(value).encode()
    return value.encode() if isinstance(value, str) and _TIMESTAMP.fullmatch(value) else None


def read_webhook(body: bytes, server: bytes | None = None) -> Received:
    """What Zalo's webhook says. `server` is its X-ZEvent-Server header. Source: docs/zalo.md §7.3

    `user_received_message` is also the name of an event about chat messages: ours come from the server ZNS, or
    hold a delivery time.
    """
    document = wire.read_object(body) if len(body) <= MAX_BODY_BYTES else None
    if document is None:
        return Unreadable()
    match document.get("event_name"):
        case "user_received_message":
            return _receipt(document, server) or OtherEvent("user_received_message")
        case "change_template_status":
            return _template_status(document) or OtherEvent("change_template_status")
        case "change_template_quality":
            return _template_quality(document) or OtherEvent("change_template_quality")
        case "change_oa_daily_quota":
            return _quota(document) or OtherEvent("change_oa_daily_quota")
        case name:
            return OtherEvent(wire.identifier(name) or "")


def _receipt(document: dict[str, Any], server: bytes | None) -> Receipt | None:
    message = document.get("message")
    if not isinstance(message, dict):
        return None
    delivery_time = message.get("delivery_time")
    is_ours = delivery_time is not None or (server is not None and server.strip().upper() == b"ZNS")
    msg_id, tracking_id = wire.identifier(message.get("msg_id")), wire.identifier(message.get("tracking_id"))
    if not is_ours or (msg_id is None and tracking_id is None):
        return None
    return Receipt(msg_id, tracking_id, wire.moment(delivery_time))


def _template_status(document: dict[str, Any]) -> TemplateChanged | None:
    template_id, status = wire.identifier(document.get("template_id")), document.get("status")
    if template_id is None or not isinstance(status, dict):
        return None
    before, after = wire.identifier(status.get("prev_status")), wire.identifier(status.get("new_status"))
    return TemplateChanged(template_id, "status", before, after, wire.shown(document.get("reason")))


def _template_quality(document: dict[str, Any]) -> TemplateChanged | None:
    template_id = wire.identifier(document.get("template_id"))
    if template_id is None:
        return None
    return TemplateChanged(template_id, "quality", None, wire.identifier(document.get("quality")), "")


def _quota(document: dict[str, Any]) -> QuotaChanged | None:
    quota = document.get("quota")
    if not isinstance(quota, dict):
        return None
    return QuotaChanged(wire.integer(quota.get("prev_value")), wire.integer(quota.get("new_value")))
