"""Where a text may be cut without breaking what a reader sees as one character (Unicode's grapheme clusters).

The module `re` does not know them, and the full tables are not worth a dependency: this covers combining marks, variation
selectors, joined emoji with skin tones, flags, keycaps, and Hangul. Indic conjuncts may be cut after a
virama.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_ZWJ: Final = "\u200d"
_CONTROLS: Final = frozenset({"Cc", "Zl", "Zp"})
_MARKS: Final = frozenset({"Mn", "Me", "Mc"})
_OTHER_EXTENDING: Final = frozenset("\u200c\u200d\uff9e\uff9f")
_PICTOGRAPHS: Final = re.compile(
    "[\xa9\xae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe\u2600-\u27bf\u2934\u2935"
    "\u2b05-\u2b55\u3030\u303d\u3297-\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff"
    "\U0001fc00-\U0001fffd]"
)


def is_border(text: str, at: int, since: int = 0) -> bool:
    """True if the text may be cut before the character `at`, counted from 0; `since` is a border before it.

    Source: Unicode UAX #29.
    """
    if at <= 0 or at >= len(text):
        return True
    before, after = text[at - 1], text[at]
    if after < "\u0300":  # nothing below extends, joins or pairs, but for a line end of two characters
        return not (before == "\r" and after == "\n")
    if unicodedata.category(before) in _CONTROLS:
        return True
    if _extends(after):
        return False
    if before == _ZWJ:
        return not (_is_pictograph(after) and _ends_in_pictograph(text, at - 1))
    if _is_flag_half(after):
        return _flag_halves_between(text, since, at) % 2 == 0
    return not _is_one_syllable(before, after)


def cut(text: str, limit: int) -> str:
    """The longest beginning of the text that has at most `limit` characters and ends on a border."""
    at = min(max(limit, 0), len(text))
    while not is_border(text, at):
        at -= 1
    return text[:at]


def borders(text: str) -> Iterator[int]:
    """Every place after which a grapheme of the text begins or the text ends, in order, without 0."""
    since = 0
    for at in range(1, len(text) + 1):
        if is_border(text, at, since):
            since = at
            yield at


def first(text: str, count: int) -> str:
    """The first `count` graphemes."""
    end = 0
    for found, at in enumerate(borders(text), start=1):
        if found > count:
            break
        end = at
    return text[:end]


def last(text: str, count: int) -> str:
    """The last `count` graphemes."""
    places = [0, *borders(text)]
    return text[places[max(len(places) - 1 - count, 0)] :]


def _extends(character: str) -> bool:
    return (
        unicodedata.category(character) in _MARKS
        or character in _OTHER_EXTENDING
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= character <= "\U000e007f"  # tags, as in the flag of Wales
    )


def _is_pictograph(character: str) -> bool:
    return _PICTOGRAPHS.match(character) is not None


def _ends_in_pictograph(text: str, end: int) -> bool:
    at = end - 1
    while at > 0 and text[at] != _ZWJ and _extends(text[at]):
        at -= 1
    return at >= 0 and _is_pictograph(text[at])


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_halves_between(text: str, since: int, at: int) -> int:
    start = at
    while start > since and _is_flag_half(text[start - 1]):
        start -= 1
    return at - start


def _is_one_syllable(before: str, after: str) -> bool:
    """True if two parts of Hangul make one syllable: leading parts, then vowels, then tails."""
    first_part, second_part = _hangul(before), _hangul(after)
    if first_part == "L":
        return second_part in ("L", "V", "LV", "LVT")
    if first_part in ("V", "LV"):
        return second_part in ("V", "T")
    return first_part in ("T", "LVT") and second_part == "T"


def _hangul(character: str) -> str:
    if "\u1100" <= character <= "\u115f" or "\ua960" <= character <= "\ua97c":
        return "L"
    if "\u1160" <= character <= "\u11a7" or "\ud7b0" <= character <= "\ud7c6":
        return "V"
    if "\u11a8" <= character <= "\u11ff" or "\ud7cb" <= character <= "\ud7fb":
        return "T"
    if "\uac00" <= character <= "\ud7a3":
        return "LV" if (ord(character) - 0xAC00) % 28 == 0 else "LVT"
    return ""
