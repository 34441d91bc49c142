"""A Phone: a Vietnamese mobile number in the one form that Zalo takes, 84 and nine digits."""

import re
from functools import cache
from typing import Final, NewType

import phonenumbers

from .errors import Fault, InvalidPhone
from .values import Refusal, exact, is_number, kind

Phone = NewType("Phone", str)

_NINE: Final = 9
# Spaces, dots, dashes and brackets, and the invisible direction marks that come along when a number is
# pasted.
_DECORATION: Final = re.compile(r"[\s.\-()\[\]\u2010-\u2015\u2212\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")
_SPREADSHEET: Final = re.compile(r"\s*(\+?[0-9]{9,14})\.0+\s*")
_LONGEST: Final = 60  # characters of decorated text that are looked at
# What may stand before the nine digits. Length decides, so `841234567` is local and the 084x range is safe:
# 0 · 84 · 840 · 00 (a spreadsheet's doubled zero) · 0084 · 00840; with a plus only 84 and 840.
_PREFIXES: Final = frozenset({"", "0", "84", "840", "00", "0084", "00840"})
_PLUS_PREFIXES: Final = frozenset({"84", "840"})
_LIKE_A_NUMBER: Final = re.compile(r"\d(?:[ .\-()/_\n]{0,2}\d){7,}")


def normalise(value: object) -> Phone:
    """`value` as a Phone; raises InvalidPhone, whose detail never shows the number.

    Takes text in all the forms of docs/mappings.md, and whole numbers (a spreadsheet lost the 0). A number
    that may be read in two ways, or that is no Vietnamese mobile number today, is refused, never guessed.
    """
    fault = wrong_with(text := _written(value))
    if fault is not None:
        raise InvalidPhone(f"the phone number {fault}", errors=[Fault("", fault)])
    return Phone("84" + text[-_NINE:])


def without_numbers(text: str) -> str:
    """Somebody's words without what looks like a phone number: eight digits in a row, however they are grouped."""
    return _LIKE_A_NUMBER.sub("***", text)


def mask(phone: str) -> str:
    """The number with only its last four digits to be seen: `84*****4321`."""
    return f"84*****{phone[-4:]}"


def wrong_with(written: str) -> str | None:
    """What keeps the bare digits (a plus may lead) from being a Phone; None if nothing does."""
    if not written:
        return "is empty"
    has_plus = written[0] == "+"
    digits = written[1:] if has_plus else written
    if not (digits.isascii() and digits.isdigit()):
        return "holds something other than digits"
    if len(digits) < _NINE or digits[:-_NINE] not in (_PLUS_PREFIXES if has_plus else _PREFIXES):
        return f"has {len(digits)} digits that do not read as 0 or 84 and nine digits"
    if not _mobile().fullmatch(digits, len(digits) - _NINE):
        return "is not of a Vietnamese mobile network"
    return None


def _written(value: object) -> str:
    """The digits that `value` is written with, undecorated; "" for nothing."""
    if not isinstance(value, str):
        if value is None:
            return ""
        return _whole(value) if is_number(value) else kind(value)
    if value.isdecimal():
        return value
    if len(value) > _LONGEST:
        return "too long"
    spreadsheet = _SPREADSHEET.fullmatch(value)
    return spreadsheet[1] if spreadsheet else _DECORATION.sub("", value)


def _whole(value: object) -> str:
    try:
        number = exact(value)
    except Refusal:
        return "no number"
    return str(int(number)) if number == int(number) else "no whole number"


@cache
def _mobile() -> re.Pattern[str]:
    """What the nine digits of a mobile number look like, from the numbering plan in phonenumbers.

    Its plan also counts the 1xx service ranges as mobile, which no person has, hence the first look.
    """
    plan = phonenumbers.PhoneMetadata.metadata_for_region("VN")
    if plan is None or plan.mobile is None:
        raise LookupError("phonenumbers has no numbering plan of Vietnam")
    return re.compile(f"(?=[35789])(?:{plan.mobile.national_number_pattern})")
