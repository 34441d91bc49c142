"""The filters of the mapping language: small functions that are total, that is, they return or raise Refusal.

A function's first argument is the value before the `|`. The others are its arguments in a mapping: `str`,
`int` and `bool` must be written there as constants, so that they are checked when the mapping is loaded;
`object` may be an expression. `FILTERS` is the whole list; `docs/mappings.md` explains each of them, and a
test keeps the two equal.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from . import graphemes, moments, numbers
from .choices import default, label, or_else
from .errors import InvalidPhone
from .phone import Phone, normalise
from .values import (
    MAX_TEXT,
    Absent,
    NoPhone,
    Refusal,
    WrongPhone,
    bounded,
    is_empty,
    items_of,
    member,
    nfc,
    nfd,
    text_of,
)

_MAX_COUNT: Final = 10_000
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
# What a bank transfer note must not hold. Source: zalo-api §5.
BANK_NOTE_FORBIDDEN: Final = "@[]^_!\"•#$%¥&'()*+,€-./:;{|<}=~>?"


def shorten(value: object, n: int, end: str = "…") -> str:
    """NFC text of at most `n` characters, with `end` inside them and no space before it where it was cut."""
    text = value if isinstance(value, str) else text_of(value)
    # One NFC character comes from at most four, so a longer beginning than this cannot show in the result.
    text = nfc(text[: 4 * (n + 2)])
    if len(text) <= n:
        return text
    room = n - len(end)
    if room < 0:
        return graphemes.cut(text, n).rstrip()
    return graphemes.cut(text, room).rstrip() + end


def check_shorten(n: int, end: str = "…") -> None:
    """Nothing if a text can be cut so; raises ValueError with the cure."""
    if not len(end) < n <= _MAX_COUNT:
        raise ValueError(f"shorten needs a number above {len(end)}, the length of its end, up to {_MAX_COUNT}")


def string(value: object) -> str:
    """The value as text."""
    return text_of(value)


def upper(value: object) -> str:
    """The text in capitals."""
    return nfc(text_of(value)).upper()


def lower(value: object) -> str:
    """The text in small letters."""
    return nfc(text_of(value)).lower()


def title(value: object) -> str:
    """The text with each word's first letter in capitals and the others small."""
    words = re.split(r"(\s+)", nfc(text_of(value)))
    return "".join(word[:1].upper() + word[1:].lower() for word in words)


def capitalize(value: object) -> str:
    """The text with its first letter in capitals and the others small."""
    text = nfc(text_of(value))
    return text[:1].upper() + text[1:].lower()


def trim(value: object) -> str:
    """The text without white space at both ends."""
    return text_of(value).strip()


def collapse(value: object) -> str:
    """The text on one line: each run of white space is one space, none at the ends."""
    return " ".join(text_of(value).split())


def replace(value: object, old: str, new: str) -> str:
    """The text with `new` for each `old`."""
    text = text_of(value)
    if len(text) + text.count(old) * (len(new) - len(old)) > MAX_TEXT:
        raise Refusal(f"makes a text longer than {MAX_TEXT} characters")
    return text.replace(old, new)


def check_replace(old: str, _new: str) -> None:
    """Nothing if there is something to look for; raises ValueError with the cure."""
    if not old:
        raise ValueError("replace needs a text to look for")


def drop(value: object, characters: str) -> str:
    """The text without any of these characters."""
    return nfc(text_of(value)).translate(dict.fromkeys(map(ord, characters)))


def unaccent(value: object) -> str:
    """The text without diacritics: `Đặng Thị Hồng` becomes `Dang Thi Hong`."""
    text = text_of(value)
    if text.isascii():
        return text
    bare = "".join(character for character in nfd(text) if not "\u0300" <= character <= "\u036f")
    return nfc(bare.replace("đ", "d").replace("Đ", "D"))


def bank_note(value: object) -> str:
    """The text as a bank transfer note may hold it: no diacritics, no forbidden characters, single spaces."""
    return collapse(drop(unaccent(value), BANK_NOTE_FORBIDDEN))


def urlencode(value: object) -> str:
    """The text per cent encoded as one value of a URL's query: a slash too, a space as `%20`."""
    return bounded(quote(nfc(text_of(value)), safe=""))


def urlpath(value: object) -> str:
    """The text per cent encoded as a path of a URL: slashes stay."""
    return bounded(quote(nfc(text_of(value)), safe="/"))


def strip_origin(value: object, slash: bool = True) -> str:
    """The URL without scheme and host: `https://a.vn/b?c=1` becomes `/b?c=1`, with `slash=false` `b?c=1`."""
    text = text_of(value).strip()
    try:
        parts = urlsplit(text)
    except ValueError:
        raise Refusal("is not a URL") from None
    rest = parts._replace(scheme="", netloc="").geturl() if parts.netloc else text
    bare = rest.lstrip("/")
    return "/" + bare if slash else bare


def phone(value: object) -> Phone:
    """The Vietnamese mobile number as 84 and nine digits."""
    if is_empty(value):
        raise NoPhone("is empty where a phone number is needed")
    try:
        return normalise(value)
    except InvalidPhone as error:
        raise WrongPhone(error.errors[0].detail) from None


def yes_no(value: object, yes: str, no: str) -> str:
    """The first text for true, 1, `"true"` and `"1"`, the second for false, 0, `"false"` and `"0"`."""
    text = value.strip().lower() if isinstance(value, str) else value
    if text is True or (type(text) is int and text == 1) or text in ("true", "1"):
        return yes
    if text is False or (type(text) is int and text == 0) or text in ("false", "0"):
        return no
    if value is None:
        raise Absent("is null where true or false is needed")
    raise Refusal("is neither true nor false")


def length(value: object) -> int:
    """How many characters (of NFC) a text has, or how many members a list or an object."""
    return len(value) if isinstance(value, list | dict) else len(nfc(text_of(value)))


def first(value: object, n: int | None = None) -> Any:
    """The first item of a list or character of a text; with `n` the first so many, as a list or a text."""
    if isinstance(value, list):
        return value[:n] if n is not None else member(value, 0)
    text = nfc(text_of(value))
    return graphemes.first(text, 1 if n is None else n)


def last(value: object, n: int | None = None) -> Any:
    """The last item of a list or character of a text; with `n` the last so many, as a list or a text."""
    if isinstance(value, list):
        return value[max(len(value) - n, 0) :] if n is not None else member(value, -1)
    text = nfc(text_of(value))
    return graphemes.last(text, 1 if n is None else n)


def check_count(n: int | None = None) -> None:
    """Nothing if so many can be taken; raises ValueError with the cure."""
    if n is not None and not 0 <= n <= _MAX_COUNT:
        raise ValueError(f"a count lies between 0 and {_MAX_COUNT}")


def join(value: object, sep: str = "", item: str | None = None, first: int | None = None, more: str = "") -> str:
    """The items of a list as one text.

    Each is written by the pattern `item` (`"{qty} x {name}"`, members in braces), or as it is without one.
    Only the `first` so many are written; if that leaves some out, `more` follows, with their number for
    `{n}`.
    """
    shown = value[:first] if isinstance(value, list) and first is not None else value
    pieces: list[str] = []
    size = 0
    for place, entry in enumerate(items_of(shown)):
        piece = _written(entry, item, place)
        size += len(piece) + len(sep)
        if size > MAX_TEXT:
            raise Refusal(f"makes a text longer than {MAX_TEXT} characters; say how many with first=…")
        pieces.append(piece)
    left_out = length(value) - len(pieces)
    return sep.join(pieces) + (more.replace("{n}", str(left_out)) if left_out else "")


def check_join(_sep: str = "", item: str | None = None, first: int | None = None, _more: str = "") -> None:
    """Nothing if the pattern can be written; raises ValueError with the cure."""
    check_count(first)
    if item is not None and any(not name.strip() for name in _PLACEHOLDER.findall(item)):
        raise ValueError(
            'an item is a pattern like "{qty} x {name}", with a member\'s name in each pair of braces'
        )


def _written(entry: object, pattern: str | None, place: int) -> str:
    if pattern is None:
        return _text_at(entry, place)

    def fill(found: re.Match[str]) -> str:
        steps = found[1].strip().split(".")
        value = entry
        for step in steps:
            if not isinstance(value, dict) or step not in value:
                raise Absent("is missing", place, *steps)
            value = value[step]
        return _text_at(value, place, *steps)

    return _PLACEHOLDER.sub(fill, pattern)


def _text_at(value: object, *steps: str | int) -> str:
    try:
        return text_of(value)
    except Refusal as refusal:
        raise type(refusal)(refusal.detail, *steps) from None


class Filter(msgspec.Struct, frozen=True):
    """One filter; `check` is given its constant arguments and raises ValueError with the cure."""

    apply: Callable[..., Any]
    check: Callable[..., None] | None = None


FILTERS: Final[Mapping[str, Filter]] = {
    "abs": Filter(numbers.absolute),
    "bank_note": Filter(bank_note),
    "capitalize": Filter(capitalize),
    "ceil": Filter(numbers.ceil),
    "collapse": Filter(collapse),
    "days_between": Filter(moments.days_between, moments.check_zone),
    "default": Filter(default),
    "drop": Filter(drop),
    "first": Filter(first, check_count),
    "floor": Filter(numbers.floor),
    "grouped": Filter(numbers.grouped, numbers.check_places),
    "int": Filter(numbers.integer),
    "join": Filter(join, check_join),
    "label": Filter(label),
    "last": Filter(last, check_count),
    "length": Filter(length),
    "local": Filter(moments.local, moments.check_local),
    "lower": Filter(lower),
    "max": Filter(numbers.largest),
    "min": Filter(numbers.smallest),
    "number": Filter(numbers.number),
    "or_else": Filter(or_else),
    "percent": Filter(numbers.percent, numbers.check_places),
    "phone": Filter(phone),
    "plus": Filter(moments.plus, moments.check_plus),
    "replace": Filter(replace, check_replace),
    "round": Filter(numbers.rounded, numbers.check_places),
    "short_words": Filter(numbers.short_words, numbers.check_places),
    "shorten": Filter(shorten, check_shorten),
    "string": Filter(string),
    "strip_origin": Filter(strip_origin),
    "sum": Filter(numbers.total),
    "title": Filter(title),
    "trim": Filter(trim),
    "unaccent": Filter(unaccent),
    "upper": Filter(upper),
    "urlencode": Filter(urlencode),
    "urlpath": Filter(urlpath),
    "vnd": Filter(numbers.vnd),
    "yes_no": Filter(yes_no),
}
