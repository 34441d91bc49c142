"""The bodies of messages and of questions, as they go to Zalo and come from it. Reading never raises."""

import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from gateway.core import delivery
from gateway.core.delivery import DeliveryError, Quota, Reason, Scope, Until, Wait, ZaloWord
from gateway.core.silence import Delivered, Pending, StatusAnswer, Unclear

from . import codes
from .reading import cause_without_number, identifier, integer, moment, read_object, shown

MAX_RETRY_AFTER_S: Final = 3600

_RATE: Final = Wait(Reason.RATE, Scope.MESSAGE, Until.BACKOFF)


# Our words


def own_word(code: str, zalo: ZaloWord | None = None) -> DeliveryError:
    """The error of ours that has this code."""
    word = codes.OUR_WORDS[code]
    return DeliveryError(word.code, word.category, word.meaning, word.is_permanent, word.advice, zalo)


def not_sent(cause: str) -> delivery.Deferred:
    """Nothing left us: the message may be sent again."""
    return delivery.Deferred(own_word(cause), codes.RETRY)


def uncertain(cause: str) -> delivery.Uncertain:
    """Something left us and no answer can be had: the message is not sent again by itself."""
    return delivery.Uncertain(own_word(cause))


# Sending


def appsecret_proof(app_secret: str, access_token: str) -> str:
    """Proof that the caller knows the app secret: HMAC-SHA256 of the token, in hex. Source: docs/zalo.md §4.1"""
    return hmac.new(app_secret.encode(), access_token.encode(), hashlib.sha256).hexdigest()


def write_send(
    *,
    phone: str,
    template_id: str,
    template_data: Mapping[str, str],
    tracking_id: str,
    development: bool = False,
) -> bytes:
    """The body of POST /message/template; every value is text. Source: docs/zalo.md §4.1

    Raises ValueError when a text holds a lone surrogate, which no UTF-8 can carry.
    """
    body: dict[str, Any] = {"phone": phone, "template_id": template_id, "template_data": template_data}
    body["tracking_id"] = tracking_id
    if development:
        body["mode"] = "development"
    return msgspec.json.encode(body)


def read_send(
    status: int,
    body: bytes,
    *,
    development: bool = False,
    private: Collection[str] = (),
    retry_after: str | None = None,
) -> delivery.Outcome:
    """What Zalo's answer to a send makes of the message. Source: docs/zalo.md §4.3

    `private` are values that were sent and that Zalo's words may echo.
    """
    answer = read_object(body) if 200 <= status < 500 else None
    number = integer(answer.get("error")) if answer is not None else None
    if answer is None or number is None:
        return _read_without_number(status, retry_after)
    if number == 0:
        return _read_accepted(answer)
    known = codes.for_number(number, development=development)
    if status == 429 and known.code == "unrecognised":
        return _rate_limited(retry_after)
    error = _error_of(known, answer, private)
    if known.wait is not None:
        return delivery.Deferred(error, known.wait)
    return delivery.Refused(error, known.blocks_template)


def _read_accepted(answer: Mapping[str, Any]) -> delivery.Outcome:
    data = answer.get("data")
    msg_id = identifier(data.get("msg_id")) if isinstance(data, dict) else None
    if not isinstance(data, dict) or msg_id is None:
        return uncertain("answer-without-msg-id")
    return delivery.Accepted(msg_id, moment(data.get("sent_time")), _quota(data.get("quota")))


def _read_without_number(status: int, retry_after: str | None) -> delivery.Outcome:
    if status == 429:
        return _rate_limited(retry_after)
    return uncertain(cause_without_number(status))


def _rate_limited(retry_after: str | None) -> delivery.Deferred:
    seconds = integer(retry_after.strip()) if retry_after is not None else None
    if seconds is not None:
        seconds = min(seconds, MAX_RETRY_AFTER_S) if seconds > 0 else None
    return delivery.Deferred(own_word("rate-limited"), _RATE, seconds)


def _error_of(known: codes.Code, answer: Mapping[str, Any], private: Collection[str]) -> DeliveryError:
    said = ZaloWord(known.number, shown(answer.get("message"), private))
    return DeliveryError(known.code, known.category, known.meaning, known.is_permanent, known.advice, said)


def _quota(value: Any) -> Quota | None:
    if not isinstance(value, dict):
        return None
    daily, remaining = _count(value.get("dailyQuota")), _count(value.get("remainingQuota"))
    return None if daily is None and remaining is None else Quota(daily, remaining)


def _count(value: Any) -> int | None:
    count = integer(value)
    return count if count is not None and count >= 0 else None


# Asking


def read_data(status: int, body: bytes) -> dict[str, Any] | Unclear:
    """The `data` of a successful answer to a question, or why there is none."""
    answer = read_object(body) if 200 <= status < 500 else None
    number = integer(answer.get("error")) if answer is not None else None
    if answer is None or number is None:
        return Unclear(own_word("rate-limited" if status == 429 else cause_without_number(status)))
    if number != 0:
        known = codes.for_number(number, development=False)
        wants_new_grant = known.wait is not None and known.wait.until is Until.NEW_GRANT
        return Unclear(_error_of(known, answer, ()), wants_new_grant)
    data = answer.get("data")
    return data if isinstance(data, dict) else Unclear(own_word("unreadable-answer"))


def read_status(status: int, body: bytes) -> StatusAnswer:
    """What GET /message/status says: 1 is delivered, 0 pushed; all else is unclear. Source: docs/zalo.md §4.4"""
    data = read_data(status, body)
    if isinstance(data, Unclear):
        return data
    match integer(data.get("status")):
        case 1:
            return Delivered(moment(data.get("delivery_time")))
        case 0:
            return Pending()
        case _:
            return Unclear(own_word("unreadable-answer"))


def read_quota(status: int, body: bytes) -> Quota | Unclear:
    """The account's daily quota from GET /message/quota; a null there is None here. Source: docs/zalo.md §4.5"""
    data = read_data(status, body)
    if isinstance(data, Unclear):
        return data
    return _quota(data) or Quota(None, None)
