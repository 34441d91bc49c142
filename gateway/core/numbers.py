"""Numbers as customers read them: money, grouped digits, per cent, short words. Halves round away from 0."""

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from typing import Final

from .values import Absent, Number, Refusal, add, divide, exact, items_of, multiply, negate, number_text

_DECIMAL_TEXT: Final = re.compile(r"[+-]?[0-9]{1,24}(\.[0-9]{1,20})?")
_MAX_PLACES: Final = 10
_LONGEST: Final = 100
_WIDE: Final = Context(prec=60)  # the default context's 28 digits are too few for 24 and their decimals
_WORDS: Final = ((10**9, "tỷ"), (10**6, "triệu"), (10**3, "nghìn"))


def number(value: object) -> Number:
    """The exact number, from a number or from decimal text like `"1000000.00"`; nothing is guessed."""
    if not isinstance(value, str):
        return exact(value)
    text = value.strip() if len(value) < _LONGEST else ""
    if not _DECIMAL_TEXT.fullmatch(text):
        raise Refusal("is not a number: only digits, with a point before decimals")
    return exact(Decimal(text))


def vnd(value: object, suffix: str = "đ", sep: str = ".") -> str:
    """Money in whole dong with its thousands set apart; negative and fractional amounts are refused."""
    amount = value if type(value) is int else integer(value)
    if amount < 0:
        raise Refusal("is a negative amount")
    return _grouped(exact(amount), sep) + suffix


def grouped(value: object, places: int | None = None, sep: str = ".", point: str = ",", suffix: str = "") -> str:
    """The number with its thousands set apart, rounded to `places` or with the decimals that it has."""
    whole, _, rest = number_text(_to_places(number(value), places)).partition(".")
    decimals = rest if places is None else rest.ljust(places, "0")
    sign = "-" if whole.startswith("-") else ""
    return sign + _grouped(int(whole.removeprefix("-")), sep) + (point + decimals if decimals else "") + suffix


def percent(value: object, places: int | None = None, point: str = ",", suffix: str = "%") -> str:
    """A number of per cent: 10 becomes `10%`, 12.5 becomes `12,5%`; a ratio is multiplied by 100 before."""
    return grouped(value, places, "", point, suffix)


def short_words(value: object, places: int = 1, point: str = ",") -> str:
    """The number in short words: 1500000 becomes `1,5 triệu`; below a thousand it stays digits."""
    amount = number(value)
    for size, word in _WORDS:
        in_lower_words = _to_places(divide(amount, size // 1000), places)
        if not -1000 < in_lower_words < 1000:  # also what only rounding makes a thousand of them
            return f"{grouped(_to_places(divide(amount, size), places), None, '.', point)} {word}"
    return grouped(amount, places if amount != int(amount) else None, ".", point)


def integer(value: object) -> int:
    """The whole number, as its bare digits; one with a fraction is refused."""
    amount = number(value)
    if amount != int(amount):
        raise Refusal("is not a whole number; say floor, ceil or round")
    return int(amount)


def rounded(value: object, places: int = 0) -> Number:
    """The number rounded to so many decimals, halves away from zero."""
    return _to_places(number(value), places)


def floor(value: object) -> int:
    """The largest whole number that is not above the number."""
    return int(Decimal(number(value)).to_integral_value(ROUND_FLOOR))


def ceil(value: object) -> int:
    """The smallest whole number that is not below the number."""
    return int(Decimal(number(value)).to_integral_value(ROUND_CEILING))


def absolute(value: object) -> Number:
    """The number without its sign."""
    amount = number(value)
    return negate(amount) if amount < 0 else amount


def check_places(places: int | None = None, *_rest: object) -> None:
    """Nothing if so many decimals can be written; raises ValueError with the cure."""
    if places is not None and not 0 <= places <= _MAX_PLACES:
        raise ValueError(f"places lies between 0 and {_MAX_PLACES}")


def total(value: object, *members: str) -> Number:
    """The sum over a list; with members, of their product in each item: `sum("price", "qty")`."""
    result: Number = 0
    for place, item in enumerate(items_of(value)):
        line: Number = 1 if members else _at_place(item, place)
        for name in members:
            if not isinstance(item, dict) or name not in item:
                raise Absent("is missing", place, name)
            line = multiply(line, _at_place(item[name], place, name))
        result = add(result, line)
    return result


def largest(value: object) -> Number:
    """The largest number of a list."""
    return max(_numbers(value))


def smallest(value: object) -> Number:
    """The smallest number of a list."""
    return min(_numbers(value))


def _numbers(value: object) -> list[Number]:
    numbers = [_at_place(item, place) for place, item in enumerate(items_of(value))]
    if not numbers:
        raise Absent("is a list without items")
    return numbers


def _at_place(item: object, *steps: str | int) -> Number:
    try:
        return number(item)
    except Refusal as refusal:
        raise type(refusal)(refusal.detail, *steps) from None


def _grouped(amount: Number, sep: str) -> str:
    digits = f"{amount:,}"
    return digits if sep == "," else digits.replace(",", sep)


def _to_places(amount: Number, places: int | None) -> Number:
    if places is None or isinstance(amount, int):
        return amount
    return amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _WIDE)
