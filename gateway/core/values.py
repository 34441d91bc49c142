"""The values of the mapping language, and the only ways in which they may meet.

A value is what JSON knows (text, number, true or false, null, list, object) or a time. Numbers are exact: a
float counts as the decimal that it is written as. Nothing here grows without bound: texts and numbers have a
limit.
"""

import re
import unicodedata
from datetime import date
from decimal import (
    ROUND_FLOOR,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from typing import Any, Final

from .errors import pointer

MAX_TEXT: Final = 20_000  # characters; the longest parameter of Zalo has 200
MAX_NUMBER: Final = 10**24
MAX_ITEMS: Final = 2_000  # of a list that is looked through; each costs some ten microseconds of everybody's time
_MAX_PLACES: Final = 20  # digits behind the point that are written out; a longer number has to be rounded first
_MAX_MARKS: Final = 40  # Unicode's stream-safe text has at most 30 in a row; sorting many costs their square
# Below U+0300 there are no marks: what has no such run needs no look at each character.
_MAYBE_MARKS: Final = re.compile(f"[\u0300-\U0010ffff]{{{_MAX_MARKS + 1}}}")

_EXACT: Final = Context(prec=60, traps=[DivisionByZero, InvalidOperation, Overflow])

Number = int | Decimal
_NUMBERS: Final = (int, float, Decimal)  # a tuple, since isinstance takes four times as long with a union


class Refusal(Exception):
    """A value does not fit what the mapping does with it.

    `steps` lead from that value to the culprit inside it, `where` is the culprit's pointer into the event
    once that is known; `argument` is the place of a filter's argument that is at fault, and not the value before it.
    `detail` never quotes a value of the event.
    """

    def __init__(self, detail: str, *steps: str | int, where: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.steps = steps
        self.where = where
        self.argument: int | None = None

    def about(self, argument: int) -> "Refusal":
        """This refusal, of the filter's argument in that place, counted from 0."""
        self.argument = argument
        return self

    def located(self, where: str | None) -> "Refusal":
        """This refusal, of a value that lies at the pointer `where` unless it was located before."""
        if self.where is None and where is not None:
            self.where = where + pointer(*self.steps)
        return self


class Absent(Refusal):
    """What an expression names is not there, or is null where a value is needed."""


class WrongPhone(Refusal):
    """A value that has to be a Vietnamese mobile number is none."""


class NoPhone(WrongPhone, Absent):
    """There is nothing where a phone number has to be."""


def kind(value: object) -> str:
    """What `value` is, in the words of the docs."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text"
    if isinstance(value, _NUMBERS):
        return "a number"
    if isinstance(value, list):
        return "a list"
    return "a time" if isinstance(value, date) else "an object"


def is_number(value: object) -> bool:
    """True for numbers; true and false are none."""
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def is_empty(value: object) -> bool:
    """True for null, blank text, and lists and objects without members; never for 0 or false."""
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None or (isinstance(value, (list, dict)) and not value)


def exact(value: object) -> Number:
    """The number as an int or a Decimal; raises Refusal for anything else and beyond the limit."""
    if type(value) is int and -MAX_NUMBER < value < MAX_NUMBER:
        return value
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        if value is None:
            raise Absent("is null where a number is needed")
        raise Refusal(f"is {kind(value)} where a number is needed")
    number = Decimal(repr(value)) if isinstance(value, float) else value
    if isinstance(number, Decimal) and not number.is_finite():
        raise Refusal("is not a finite number")
    if not -MAX_NUMBER < number < MAX_NUMBER:
        raise Refusal("is too large a number")
    return number


def number_text(number: Number) -> str:
    """The number in plain digits with a point, without exponent and without zeros that say nothing."""
    if isinstance(number, int):
        return str(number)
    if number == number.to_integral_value():
        return str(int(number))
    sign, digits, exponent = number.normalize(_EXACT).as_tuple()
    places = -int(exponent)
    if places > _MAX_PLACES:
        raise Refusal(f"has more than {_MAX_PLACES} digits behind the point; round it first")
    written = "".join(map(str, digits)).rjust(places + 1, "0")
    return f"{'-' if sign else ''}{written[:-places]}.{written[-places:]}"


def text_of(value: object) -> str:
    """The value as text.

    Raises Refusal for what has no one obvious text: null, true, lists, objects, times.
    """
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise Refusal(f"is longer than {MAX_TEXT} characters")
        return value
    if value is None:
        raise Absent("is null where text is needed; say what to write instead with default(…)")
    if isinstance(value, bool):
        raise Refusal("is true or false where text is needed; say the words with yes_no(…)")
    if isinstance(value, _NUMBERS):
        return number_text(exact(value))
    if isinstance(value, date):
        raise Refusal("is a time where text is needed; say how to write it with local(…)")
    raise Refusal(f"is {kind(value)} where text is needed")


def nfc(text: str) -> str:
    """The text in Unicode's composed form; raises Refusal for what cannot be sent as UTF-8."""
    if text.isascii():
        return text
    _refuse_unsortable(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refusal("holds half of a surrogate pair") from None
    return unicodedata.normalize("NFC", text)


def nfd(text: str) -> str:
    """The text in Unicode's decomposed form: every mark a character of its own."""
    _refuse_unsortable(text)
    return unicodedata.normalize("NFD", text)


def _refuse_unsortable(text: str) -> None:
    """Normalising sorts each run of marks in quadratic time, so an endless run is refused before."""
    if _MAYBE_MARKS.search(text) is None:
        return
    run = 0
    for character in text:
        run = run + 1 if character > "\u02ff" and unicodedata.combining(character) else 0
        if run > _MAX_MARKS:
            raise Refusal(f"holds more than {_MAX_MARKS} combining marks in a row")


def items_of(value: object) -> list[Any]:
    """The list's items; raises Refusal for what is no list, and for more items than are looked through."""
    if value is None:
        raise Absent("is null where a list is needed")
    if not isinstance(value, list):
        raise Refusal(f"is {kind(value)} where a list is needed")
    if len(value) > MAX_ITEMS:
        raise Refusal(f"has more than {MAX_ITEMS} items")
    return value


def bounded(text: str) -> str:
    """The text, unless it has grown beyond the limit."""
    if len(text) > MAX_TEXT:
        raise Refusal(f"makes a text longer than {MAX_TEXT} characters")
    return text


def _comparable(left: object, right: object) -> tuple[Any, Any]:
    if isinstance(left, str) and isinstance(right, str):
        return nfc(text_of(left)), nfc(text_of(right))
    if is_number(left) and is_number(right):
        return exact(left), exact(right)
    raise Refusal(f"{kind(left)} cannot be compared with {kind(right)}")


def equal(left: object, right: object) -> bool:
    """True if both are the same text, number or truth value.

    Null equals null alone; unlike types are refused.
    """
    if left is None or right is None:
        return left is right
    if isinstance(left, bool) and isinstance(right, bool):
        return left is right
    one, other = _comparable(left, right)
    return bool(one == other)


def order(left: object, right: object) -> int:
    """Below, at or above 0 as `left` is before, with or after `right`; texts go by code point."""
    one, other = _comparable(left, right)
    return int(one > other) - int(one < other)


def contains(item: object, container: object) -> bool:
    """True if the list has an equal item, the text has this part, or the object has a member of this name."""
    if isinstance(container, list) and isinstance(item, str):
        wanted = nfc(text_of(item))  # once: it may be as long as the list
        return any(_is_text(each, wanted) for each in items_of(container))
    if isinstance(container, list):
        return any(equal(item, each) for each in items_of(container))
    if isinstance(item, str) and isinstance(container, str):
        return nfc(text_of(item)) in nfc(text_of(container))
    if isinstance(item, str) and isinstance(container, dict):
        return item in container
    raise Refusal(f"{kind(item)} cannot be looked for in {kind(container)}")


def _is_text(value: object, wanted: str) -> bool:
    if value is not None and not isinstance(value, str):
        raise Refusal(f"{kind(wanted)} cannot be compared with {kind(value)}")
    return value is not None and nfc(text_of(value)) == wanted


def add(left: object, right: object) -> Any:
    """The sum of two numbers, or two texts one after the other."""
    if isinstance(left, str) and isinstance(right, str):
        return bounded(left + right)
    return exact(_EXACT.add(*_decimals(left, right)))


def subtract(left: object, right: object) -> Number:
    """The difference of two numbers."""
    return exact(_EXACT.subtract(*_decimals(left, right)))


def multiply(left: object, right: object) -> Number:
    """The product of two numbers; text is never repeated."""
    return exact(_EXACT.multiply(*_decimals(left, right)))


def divide(left: object, right: object) -> Number:
    """The quotient of two numbers, exact to 60 digits."""
    one, other = _decimals(left, right)
    if not other:
        raise Refusal("cannot be divided by zero")
    return exact(_EXACT.divide(one, other))


def floor_divide(left: object, right: object) -> Number:
    """The quotient rounded down, also below zero."""
    return exact(int(Decimal(divide(left, right)).to_integral_value(ROUND_FLOOR)))


def modulo(left: object, right: object) -> Number:
    """What rounding the quotient down leaves; it has the sign of `right`."""
    return subtract(left, multiply(floor_divide(left, right), right))


def negate(value: object) -> Number:
    """The number with the other sign."""
    number = exact(value)
    return -number if isinstance(number, int) else number.copy_negate()


def _decimals(left: object, right: object) -> tuple[Decimal, Decimal]:
    return Decimal(exact(left)), Decimal(exact(right))


def member(container: object, key: object) -> Any:
    """What lies under `key`: a name in an object, or a place in a list, from the end if negative."""
    if isinstance(container, dict) and isinstance(key, str):
        if key in container:
            return container[key]
        raise Absent("is missing", key)
    if isinstance(container, list) and isinstance(key, int) and not isinstance(key, bool):
        if -len(container) <= key < len(container):
            return container[key]
        raise Absent(f"is missing: the list has {len(container)} item(s)", key)
    raise Absent(
        f"is missing: {kind(container)} has no such member", str(key) if isinstance(key, str | int) else ""
    )


def looked_up(container: object, key: object) -> Any:
    """What lies under a key that comes from the event itself, and which no refusal quotes therefore."""
    try:
        return member(container, key)
    except Absent:
        raise Absent(f"({kind(container)}) does not hold what is looked up in it") from None
