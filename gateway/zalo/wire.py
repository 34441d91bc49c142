"""The bodies that go to Zalo and come from it, read without ever raising.

Zalo is generous with types: the same number is text in one answer and an integer in another, absent things are
null or missing. Reading is tolerant where the meaning is certain, and uncertain where it is not.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from gateway.core import delivery, grant, login
from gateway.core.delivery import DeliveryError, Quota, Reason, Scope, Until, Wait, ZaloWord
from gateway.core.phone import without_numbers
from gateway.core.silence import Delivered, Pending, StatusAnswer, Unclear

from . import codes

MAX_DETAIL: Final = 200
MAX_ID: Final = 128
MAX_TOKEN: Final = 8192
MAX_RETRY_AFTER_S: Final = 3600
DEAD_REFRESH_TOKEN: Final = -14014  # Source: docs/zalo.md §3.3

_RATE: Final = Wait(Reason.RATE, Scope.MESSAGE, Until.BACKOFF)
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_TOKEN: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SANE_MS: Final = range(  # 2015 to 2100: seconds taken for milliseconds, and the reverse, lie outside
    int(datetime(2015, 1, 1, tzinfo=UTC).timestamp() * 1000),
    int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000),
)


# Reading JSON


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found


def _no_constants(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_STRICT: Final = json.JSONDecoder(object_pairs_hook=_no_twins, parse_constant=_no_constants)


def read_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body`, or None: bad UTF-8, twin members, NaN and bottomless nesting are no JSON."""
    try:
        document = _STRICT.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def integer(value: Any) -> int | None:
    """The integer that `value` is or spells, of at most 18 digits; True is none."""
    if isinstance(value, str):
        return int(value) if _INTEGER.fullmatch(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if -(10**18) < value < 10**18 else None
    return None


def moment(value: Any) -> datetime | None:
    """The time that epoch milliseconds say, or None when it lies outside 2015 to 2100."""
    milliseconds = integer(value)
    if milliseconds is None or milliseconds not in _SANE_MS:
        return None
    return _EPOCH + timedelta(milliseconds=milliseconds)


def identifier(value: Any) -> str | None:
    """An id as text: printable, not empty, at most 128 characters; an integer is taken for its digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 <= value < 10**18 else None
    if isinstance(value, str) and 0 < len(value) <= MAX_ID and value.isprintable() and not value.isspace():
        return value
    return None


# What may be shown of Zalo's words

_OPAQUE: Final = re.compile(r"[A-Za-z0-9_\-+/=]{24,}")


def shown(text: Any, private: Collection[str] = ()) -> str:
    """Zalo's words as they may be told: on one line, at most 200 characters, without what is private.

    Every value in `private` of three characters or more is masked, and so is whatever looks like a phone number
    (eight digits in a row, however they are grouped) or a token.
    """
    if not isinstance(text, str):
        return ""
    clean = _on_one_line(text)
    for value in sorted(map(_on_one_line, private), key=len, reverse=True):
        if len(value) > 2:
            clean = clean.replace(value, "***")
    clean = _OPAQUE.sub("***", without_numbers(clean)).strip()
    return clean if len(clean) <= MAX_DETAIL else clean[: MAX_DETAIL - 1] + "…"


def _on_one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


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


def is_usable_token(token: str) -> bool:
    """True when `token` can be a header's value: visible ASCII, nothing else."""
    return len(token) <= MAX_TOKEN and _TOKEN.fullmatch(token) is not None


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
    return uncertain(_cause_without_number(status))


def _cause_without_number(status: int) -> str:
    if status >= 500:
        return "server-error"
    return "redirected" if 300 <= status < 400 else "unreadable-answer"


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
        return Unclear(own_word("rate-limited" if status == 429 else _cause_without_number(status)))
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


# Refreshing


def read_grant(status: int, body: bytes, presented: str, *, private: Collection[str] = ()) -> grant.RefreshResult:
    """What the token endpoint's answer makes of the grant whose refresh token was `presented`.

    The HTTP status says little (errors come with 200), so the body decides below 500. Source: docs/zalo.md §3.3
    """
    answer = read_object(body) if 200 <= status < 500 else None
    if answer is None:
        return grant.Lost(_cause_without_number(status))
    rotated = _read_pair(answer, presented)
    if rotated is not None:
        return rotated
    if 300 <= status < 400:
        return grant.Lost("redirected")
    number = integer(answer.get("error"))
    if number == DEAD_REFRESH_TOKEN:
        return grant.Dead("Zalo knows this refresh token no more: it is used up, expired or was never issued")
    if number is not None and number != 0:
        return grant.Refused(_refusal(answer, (presented, *private)), number)
    has_tokens = any(answer.get(name) for name in ("access_token", "refresh_token"))
    names_error = any(answer.get(name) for name in ("error_name", "error_reason", "error_description"))
    if not has_tokens and (names_error or (isinstance(answer.get("error"), str) and number is None)):
        return grant.Refused(_refusal(answer, (presented, *private)), None)
    return grant.Lost("incomplete-grant" if has_tokens else "unreadable-answer")


def read_exchange(status: int, body: bytes, code: str, *, private: Collection[str] = ()) -> login.ExchangeResult:
    """What the token endpoint's answer makes of an authorization code; no answer can be asked for again.

    `private` are values that were sent and that Zalo's words may echo. Source: docs/zalo.md §3.4
    """
    result = read_grant(status, body, code, private=private)
    if isinstance(result, grant.Dead):
        return grant.Refused("Zalo knows this code no more", DEAD_REFRESH_TOKEN)
    return result


def _read_pair(answer: Mapping[str, Any], presented: str) -> grant.Rotated | None:
    access, refresh = answer.get("access_token"), answer.get("refresh_token")
    if not isinstance(access, str) or not isinstance(refresh, str) or refresh == presented:
        return None
    seconds = integer(answer.get("expires_in"))
    if seconds is None or not (is_usable_token(access) and is_usable_token(refresh)):
        return None
    if not grant.MIN_LIFE.total_seconds() <= seconds <= grant.MAX_LIFE.total_seconds():
        return None
    life = timedelta(seconds=seconds)
    return grant.Rotated(grant.AccessToken(access), grant.RefreshToken(refresh), life)


def _refusal(answer: Mapping[str, Any], private: Collection[str]) -> str:
    names = ("error_name", "error_reason", "error_description", "message", "error")
    said = [shown(answer.get(name), private) for name in names]
    return "; ".join(text for text in said if text) or "Zalo gave no reason"
