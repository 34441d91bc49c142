"""A Login: a person on the way through Zalo's consent page, and what proves at the end that it is the same one."""

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import msgspec

from .grant import Lost, NotPresented, Refused, Rotated

LIFE: Final = timedelta(minutes=30)
"""From the link to the callback; Zalo's own code lives ten minutes from the consent. Source: docs/zalo.md §2"""

MOST_QUERY: Final = 16 * 1024
MOST_CODE: Final = 4096
_LEAST_PASTED: Final = 16  # Zalo's codes are far longer: a word that was typed into the wrong window is none
_MOST_WORDS: Final = 200
_MOST_ERROR: Final = 48
_MOST_PARAMETERS: Final = 50
_STATE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_CODE: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)
_OA_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_INTEGER: Final = re.compile(r"-?[0-9]{1,9}", re.ASCII)
_ERRORS: Final = ("error", "error_code")
_WORDS: Final = ("error_description", "error_reason", "error_name", "message")
_KNOWN: Final = frozenset({"code", "oa_id", "state", *_ERRORS, *_WORDS})


ExchangeResult = Rotated | Refused | Lost | NotPresented
"""What may become of an authorization code that is presented."""


class Login(msgspec.Struct, frozen=True):
    """What was sent to Zalo with the person: `state` comes back and is used once, `verifier` is shown at the end."""

    account: str
    state: str
    verifier: str
    redirect_uri: str
    expires_at: datetime
    may_replace: bool = False

    def __repr__(self) -> str:
        return f"Login(account={self.account!r}, …)"


class Callback(msgspec.Struct, frozen=True):
    """What the browser brought back from Zalo: a code, or an error instead of one."""

    code: str | None
    oa_id: str | None
    state: str | None
    error: str | None = None
    words: str = ""

    def __repr__(self) -> str:
        return "Callback(…)"


class Unreadable(msgspec.Struct, frozen=True):
    """What the browser brought back is not what Zalo sends: `parameter` is `fault` ("missing", "repeated", …)."""

    parameter: str
    fault: str


def challenge_of(verifier: str) -> str:
    """What PKCE shows of the verifier beforehand: base64url of its SHA-256, without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def is_verifier(text: str) -> bool:
    """True if PKCE allows this text as a verifier: 43 to 128 characters of its alphabet."""
    return _VERIFIER.fullmatch(text) is not None


def consent_url(login: Login, *, oauth_url: str, app_id: str) -> str:
    """The page on which an administrator of the Official Account consents. Source: docs/zalo.md §2"""
    query = {
        "app_id": app_id,
        "redirect_uri": login.redirect_uri,
        "code_challenge": challenge_of(login.verifier),
        "state": login.state,
    }
    return f"{oauth_url.rstrip('/')}/v4/oa/permission?{urlencode(query)}"


def read_callback(query: str) -> Callback | Unreadable:
    """The callback in a URL's query, whatever stands there; parameters that Zalo may add one day are passed over."""
    if len(query) > MOST_QUERY:
        return Unreadable("query", "too long")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return Unreadable("query", "too long")
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given and name in _KNOWN:
            return Unreadable(name, "repeated")
        given[name] = value
    state = given.get("state")
    if state is not None and _STATE.fullmatch(state) is None:
        return Unreadable("state", "unreadable")
    return _read_denial(given, state) or _read_consent(given, state)


def _read_denial(given: Mapping[str, str], state: str | None) -> Callback | None:
    error = next((given[name] for name in _ERRORS if given.get(name, "") not in ("", "0")), None)
    if error is None or given.get("code"):
        return None
    words = next((given[name] for name in _WORDS if given.get(name)), "")
    return Callback(None, None, state, _shown(error, _MOST_ERROR), _shown(words, _MOST_WORDS))


def _read_consent(given: Mapping[str, str], state: str | None) -> Callback | Unreadable:
    code, oa_id = given.get("code", ""), given.get("oa_id")
    if not code:
        return Unreadable("code", "missing")
    if not is_code(code):
        return Unreadable("code", "unreadable" if len(code) <= MOST_CODE else "too long")
    if oa_id is not None and _OA_ID.fullmatch(oa_id) is None:
        return Unreadable("oa_id", "unreadable")
    return Callback(code, oa_id, state)


def is_code(text: str) -> bool:
    """True if this can be an authorization code: visible ASCII, not too long."""
    return len(text) <= MOST_CODE and _CODE.fullmatch(text) is not None


def read_pasted(text: str) -> Callback | Unreadable:
    """The callback in the address of the page on which the browser landed, or in the bare code."""
    pasted = text.strip().strip("<>\"'`").strip().replace("&amp;", "&").replace("\\", "")
    if "://" not in pasted and "%3a%2f%2f" in pasted.lower():
        pasted = unquote(pasted)  # the whole address was encoded, and not only a parameter of it
    if "://" not in pasted and "?" not in pasted and "=" not in pasted.rstrip("="):
        is_meant = len(pasted) >= _LEAST_PASTED and is_code(pasted)
        return Callback(pasted, None, None) if is_meant else Unreadable("code", "unreadable")
    try:
        query = urlsplit(pasted).query if "?" in pasted else pasted
    except ValueError:
        return Unreadable("address", "unreadable")
    return read_callback(query)


def _shown(text: str, limit: int) -> str:
    """The text as it may be told: printable, on one line, clipped."""
    clean = "".join(each if each.isprintable() else " " for each in text[: limit + 1]).strip()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


# What Zalo's numbers mean to somebody who consents


class Meaning(msgspec.Struct, frozen=True):
    """A refusal of Zalo's in plain words: what is wrong, and what to do."""

    english: str
    vietnamese: str


_REFUSALS: Final[Mapping[int, Meaning]] = {  # Source: docs/zalo.md §3.3
    -14001: Meaning(
        "Zalo does not know this kind of request; the gateway may be too old for Zalo's interface.",
        "Zalo không nhận loại yêu cầu này; có thể gateway đã cũ so với giao diện của Zalo.",
    ),
    -14002: Meaning(
        "The app id is wrong, or the app is not active and whoever consented is no admin of it. Compare app_id with "
        "the app's page at Zalo, and activate the app there.",
        "Sai app id, hoặc ứng dụng chưa được kích hoạt và người cấp quyền không phải quản trị viên. Hãy so app_id với "
        "trang ứng dụng trên Zalo và kích hoạt ứng dụng.",
    ),
    -14003: Meaning(
        "The redirect address is not the one that is registered for the app at Zalo (Official Account, general "
        "settings). Register exactly the address that `token login` shows.",
        "Địa chỉ chuyển hướng không trùng với địa chỉ đã đăng ký cho ứng dụng trên Zalo (Official Account, Thiết lập "
        "chung). Hãy đăng ký đúng địa chỉ mà `token login` hiển thị.",
    ),
    -14010: Meaning(
        "Zalo does not take this code: it was used, is older than 10 minutes, or the code verifier is not the one "
        "whose challenge Zalo knows. If the challenge is fixed in Zalo's console, set code_verifier of the account.",
        "Zalo không nhận mã này: mã đã dùng, quá 10 phút, hoặc code verifier không khớp với code challenge mà Zalo "
        "biết. Nếu code challenge được đặt cố định trên trang của Zalo, hãy đặt code_verifier của tài khoản.",
    ),
    -14014: Meaning(
        "Zalo does not take this code any more.",
        "Zalo không còn nhận mã này.",
    ),
}
_OTHER_REFUSAL: Final = Meaning(
    "Zalo refused to give a token for this consent. Compare app_id and app_secret with the app's page at Zalo.",
    "Zalo từ chối cấp token cho lần cấp quyền này. Hãy so app_id và app_secret với trang ứng dụng trên Zalo.",
)


def meaning_of(number: int | None) -> Meaning:
    """What Zalo's number means when a code is exchanged."""
    return _OTHER_REFUSAL if number is None else _REFUSALS.get(number, _OTHER_REFUSAL)


def error_number(text: str) -> int | None:
    """The number that an error of Zalo's is, if it is one."""
    return int(text) if _INTEGER.fullmatch(text) else None
