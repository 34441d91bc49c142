"""What the single values in Zalo's answers say, and how much of its words may be told. Nothing here ever raises.

Zalo is generous with types: the same number is text in one answer and an integer in another, absent things are
null or missing. Reading is tolerant where the meaning is certain, and says None where it is not.
"""

import json
import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway.core.phone import without_numbers

MAX_DETAIL: Final = 200
MAX_ID: Final = 128
MAX_TOKEN: Final = 8192

_OPAQUE: Final = re.compile(r"[A-Za-z0-9_\-+/=]{24,}")
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_TOKEN: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SANE_MS: Final = range(  # 2015 to 2100: seconds taken for milliseconds, and the reverse, lie outside
    int(datetime(2015, 1, 1, tzinfo=UTC).timestamp() * 1000),
    int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000),
)


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
        return str(value) if 0 <= value < 10**20 else None
    if isinstance(value, str) and 0 < len(value) <= MAX_ID and value.isprintable() and not value.isspace():
        return value
    return None


def text(value: Any) -> str:
    """Text as it may be kept and told, empty if it is none: half a character, which no UTF-8 can carry, is a `?`."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def is_usable_token(token: str) -> bool:
    """True when `token` can be a header's value: visible ASCII, nothing else."""
    return len(token) <= MAX_TOKEN and _TOKEN.fullmatch(token) is not None


def cause_without_number(status: int) -> str:
    """The code of ours for an answer of that HTTP status which holds no number of Zalo's."""
    if status >= 500:
        return "server-error"
    return "redirected" if 300 <= status < 400 else "unreadable-answer"


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
