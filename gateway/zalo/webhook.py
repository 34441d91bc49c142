"""What Zalo posts to us: whether it is Zalo's, and what it says.

The signature covers our own app id, the bytes as they came, and the timestamp inside them. Nothing is refused
for its age: Zalo repeats for more than an hour, and a repeated receipt changes nothing.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.core.news import Kind, News
from gateway.core.phone import without_numbers
from gateway.core.receipt import Receipt
from gateway.ports import Forged, Judge, Probe, Signed, Verdict

from .reading import identifier, integer, moment, read_object, shown, text

MAX_BODY_BYTES: Final = 64 * 1024
MAX_NOTE: Final = 2000
_HEADER: Final = re.compile(rb"mac=([0-9a-f]{64})")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,20}", re.ASCII)


class Unreadable(msgspec.Struct, frozen=True):
    """Not one JSON object of at most 64 KiB."""


Received = Receipt | News | Unreadable


class Keys(msgspec.Struct, frozen=True):
    """What an account's webhook calls are signed with, several secrets while one is being rotated; and its id at Zalo."""

    app_id: str
    secrets: Sequence[str]
    oa_id: str = ""

    def __repr__(self) -> str:
        return f"Keys({self.app_id!r}, …)"


def judge_of(keys: Mapping[str, Keys]) -> Judge:
    """How each account's webhook calls are told from forged ones."""

    def judge(account: str, signature: bytes | None, server: bytes | None, body: bytes) -> Verdict:
        if signature is None and body.strip() in (b"", b"{}"):
            return Probe()
        if not verify(signature, body, keys[account].app_id, keys[account].secrets):
            return Forged()
        said = read_webhook(body, server)
        if isinstance(said, Unreadable):
            return Forged()
        return Signed(said, _subject(keys, account, signature, body))

    return judge


def _subject(keys: Mapping[str, Keys], account: str, signature: bytes | None, body: bytes) -> str:
    """The account that the event is about: an app has one webhook address for all its Official Accounts."""
    own = keys[account]
    siblings = [name for name, it in keys.items() if name != account and it.app_id == own.app_id]
    if not siblings:
        return account
    named = _official_accounts(body)
    if own.oa_id in named:
        return account
    fits = (it for it in siblings if keys[it].oa_id in named)
    return next((it for it in fits if verify(signature, body, own.app_id, keys[it].secrets)), account)


def _official_accounts(body: bytes) -> set[str]:
    """The ids that the event gives for the Official Account. Source: docs/zalo.md §7.3"""
    document = read_object(body) or {}
    sender = document.get("sender")
    given = (document.get("oa_id"), document.get("oaId"), sender.get("id") if isinstance(sender, dict) else None)
    return {name for it in given if (name := identifier(it)) is not None}


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
    document = read_object(body) if len(body) <= MAX_BODY_BYTES else None
    return None if document is None else _stamp(document)


def _stamp(document: dict[str, Any]) -> bytes | None:
    value = document.get("timestamp")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**20:
        return str(value).encode()
    return value.encode() if isinstance(value, str) and _TIMESTAMP.fullmatch(value) else None


def read_webhook(body: bytes, server: bytes | None = None) -> Received:
    """What Zalo's webhook says. `server` is its X-ZEvent-Server header. Source: docs/zalo.md §7.3

    `user_received_message` is also the name of an event about chat messages: ours come from the server ZNS, or
    hold a delivery time. What is not as it should be is an event that changes nothing here, and is kept as it came.
    """
    document = read_object(body) if len(body) <= MAX_BODY_BYTES else None
    if document is None:
        return Unreadable()
    told: Receipt | News | None
    match document.get("event_name"):
        case "user_received_message":
            told = _receipt(document, server)
        case "change_template_status":
            told = _template_status(document)
        case "change_template_quality":
            told = _template_quality(document)
        case "change_oa_daily_quota":
            told = _quota(document)
        case "user_feedback":
            told = _feedback(document)
        case _:
            told = None
    return told or News(
        kind=Kind.OTHER,
        key=_key(body),
        at=moment(document.get("timestamp")),
        subject=identifier(document.get("event_name")) or "",
    )


def _receipt(document: dict[str, Any], server: bytes | None) -> Receipt | None:
    message = document.get("message")
    if not isinstance(message, dict):
        return None
    delivery_time = message.get("delivery_time")
    is_ours = delivery_time is not None or (server is not None and server.strip().upper() == b"ZNS")
    msg_id, tracking_id = identifier(message.get("msg_id")), identifier(message.get("tracking_id"))
    if not is_ours or (msg_id is None and tracking_id is None):
        return None
    return Receipt(msg_id, tracking_id, moment(delivery_time))


def _template_status(document: dict[str, Any]) -> News | None:
    template_id, status = identifier(document.get("template_id")), document.get("status")
    if template_id is None or not isinstance(status, dict):
        return None
    before, after = identifier(status.get("prev_status")), identifier(status.get("new_status"))
    if after is None:
        return None
    reason = shown(document.get("reason"))
    return _news(Kind.TEMPLATE_STATUS, document, template_id, before=before, after=after, note=reason)


def _template_quality(document: dict[str, Any]) -> News | None:
    template_id = identifier(document.get("template_id"))
    if template_id is None:
        return None
    return _news(Kind.TEMPLATE_QUALITY, document, template_id, after=identifier(document.get("quality")))


def _quota(document: dict[str, Any]) -> News | None:
    quota = document.get("quota")
    if not isinstance(quota, dict):
        return None
    before, after = integer(quota.get("prev_value")), integer(quota.get("new_value"))
    if after is None or after < 0:
        return None
    return _news(Kind.QUOTA, document, "", before=_text(before), after=_text(after))


def _feedback(document: dict[str, Any]) -> News | None:
    message = document.get("message")
    msg_id = identifier(message.get("msg_id")) if isinstance(message, dict) else None
    if msg_id is None or not isinstance(message, dict):
        return None
    given = message.get("feedbacks")
    words = map(text, (message.get("note"), *(given if isinstance(given, list) else ())))
    return News(
        kind=Kind.FEEDBACK,
        key=_key(b"user_feedback", msg_id.encode(), text(str(message.get("submit_time"))).encode()),
        at=moment(message.get("submit_time")),
        subject=msg_id,
        tracking_id=identifier(message.get("tracking_id")),
        after=_text(integer(message.get("rate"))),
        note=without_numbers("\n".join(word for word in words if word))[:MAX_NOTE],
    )


def _news(kind: Kind, document: dict[str, Any], subject: str, **told: Any) -> News:
    """One thing that Zalo tells with the time at which it does, and repeats with the same time."""
    key = _key(kind.encode(), subject.encode(), _stamp(document) or b"", str(told.get("after")).encode())
    return News(kind=kind, key=key, at=moment(document.get("timestamp")), subject=subject, **told)


def _key(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:26]


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
