"""What the token endpoint's answers make of a grant. Reading never raises, and no token is in what it says."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Final

from gateway.core import grant, login

from .reading import cause_without_number, integer, is_usable_token, read_object, shown

DEAD_REFRESH_TOKEN: Final = -14014  # Source: docs/zalo.md §3.3

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NOTHING: Final = (None, "", "null", "undefined")  # what scripts write that found none


def read_grant(status: int, body: bytes, presented: str, *, private: Collection[str] = ()) -> grant.RefreshResult:
    """What the token endpoint's answer makes of the grant whose refresh token was `presented`.

    The HTTP status says little (errors come with 200), so the body decides below 500. Source: docs/zalo.md §3.3
    """
    answer = read_object(body) if 200 <= status < 500 else None
    if answer is None:
        return grant.Lost(cause_without_number(status))
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


def read_brought(body: bytes) -> grant.Rotated | str:
    """The pair in the JSON that a person brought, as the API Explorer gives it; or what is wrong with that."""
    answer = read_object(body.removeprefix(_BYTE_ORDER_MARK))
    if answer is None:
        return "it is not one JSON object in UTF-8, or has a member twice"
    for name in ("access_token", "refresh_token"):
        token = answer.get(name)
        if token in _NOTHING:
            return f"`{name}` is missing"
        if not isinstance(token, str) or not is_usable_token(token):
            return f"`{name}` must be text without spaces, as Zalo gave it"
    if answer["access_token"] == answer["refresh_token"]:
        return "`access_token` and `refresh_token` are the same"
    return (
        _read_pair(answer, "") or "`expires_in` must be the seconds that the access token lives, 1 to 10,000,000"
    )


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
