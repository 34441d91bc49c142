"""A Callback: one thing that a caller's own endpoint is told, the same bytes however often it is tried."""

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from .hold import Hold
from .message import Message
from .news import Kind, News
from .view import view

LIFE: Final = timedelta(days=1)
"""How long a callback is tried."""

TOLD: Final = frozenset({"sent", "delivered", "undelivered", "failed", "unknown", "expired", "cancelled"})
"""The statuses that a caller is told when a message comes to them."""

_FIRST_RETRY: Final = timedelta(seconds=5)
_GROWTH: Final = 3.0
_LONGEST_RETRY: Final = timedelta(minutes=40)
_LAST_TRY: Final = LIFE - timedelta(minutes=5)
_NEWS: Final = {
    Kind.TEMPLATE_STATUS: "template.changed",
    Kind.TEMPLATE_QUALITY: "template.changed",
    Kind.QUOTA: "quota.changed",
    Kind.FEEDBACK: "feedback.received",
}


class Callback(msgspec.Struct, frozen=True):
    """`id` is its `webhook-id`; `body` is the JSON that is posted; `tries` counts the calls begun.

    `since` is when the first of them began; until then, when it was made.
    """

    id: str
    caller: str
    type: str
    since: datetime
    body: bytes
    tries: int = 0


def of_message(message: Message) -> Callback | None:
    """What its caller is told of a message that has just come to its status; None where nobody asked to know."""
    status = message.state.status
    if status not in TOLD:
        return None
    at = message.updated_at
    body = _body(f"message.{status}", at, view(message, at))
    return Callback(f"{message.tracking_id}-{message.version}", message.caller, f"message.{status}", at, body)


def of_pause(operators: Collection[str], account: str, hold: Hold | None, at: datetime) -> list[Callback]:
    """What operators are told when an account has been paused by `hold`, or sends again."""
    kind = "account.resumed" if hold is None else "account.paused"
    paused = None
    if hold is not None:
        paused = {"reason": hold.reason, "since": hold.since, "cause": hold.cause, "cure": hold.cure}
    body = _body(kind, at, {"account": account, "paused": paused})
    return [Callback(_id(kind, account, at.isoformat(), name), name, kind, at, body) for name in operators]


def of_news(operators: Collection[str], account: str, news: News, received_at: datetime) -> list[Callback]:
    """What operators are told of what Zalo said of an account."""
    kind = _NEWS.get(news.kind)
    if kind is None:
        return []
    body = _body(kind, news.at or received_at, {"account": account, **_told(news)})
    return [Callback(_id(kind, account, news.key, name), name, kind, received_at, body) for name in operators]


def is_over(callback: Callback, now: datetime) -> bool:
    """True once its day is over: it is not tried any more."""
    return now >= callback.since + LIFE


def next_call(callback: Callback, now: datetime, *, retry_after_s: int | None, chance: float) -> datetime | None:
    """When a callback that was not taken is tried again; None once its day is over.

    The first retry comes within 10 s, the later ones three times as far apart each, up to an hour; two thirds of
    each delay are random. Never sooner than the other side asked for. The last one comes when the day is nearly over.
    """
    end, last = callback.since + LIFE, callback.since + _LAST_TRY
    widest = _FIRST_RETRY * _GROWTH ** min(callback.tries - 1, 16)
    moment = min(now + min(widest, _LONGEST_RETRY) * (0.5 + chance), last)
    if retry_after_s is not None:
        moment = max(moment, now + timedelta(seconds=min(retry_after_s, LIFE.total_seconds())))
    return moment if now < last and moment < end else None


def _told(news: News) -> Mapping[str, Any]:
    told: dict[str, Any]
    match news.kind:
        case Kind.FEEDBACK:
            told = {"msg_id": news.subject, "tracking_id": news.tracking_id, "note": news.note}
            told["rate"] = _number(news.after)
        case Kind.QUOTA:
            told = {"before": _number(news.before), "after": _number(news.after)}
        case _:
            what = news.kind.removeprefix("template-")
            told = {"template_id": news.subject, "what": what, "before": news.before, "after": news.after}
            told["reason"] = news.note
    return told


def _id(*parts: str) -> str:
    """A name that is always the same for the same parts, and holds no dot: the signature is over `id.timestamp.body`."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:26]


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _body(kind: str, at: datetime, data: object) -> bytes:
    return msgspec.json.encode({"type": kind, "timestamp": at, "data": data})
