"""Times as events write them, and as customers read them.

A moment is a `datetime` (aware, or without a zone where the event gave none: then it is local already) or a
`date` (which has no time of day and is never shifted). Years outside 1900 to 2199 are refused: no business
event lies there, but unset fields do (0001-01-01, 9999-12-31).
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from .values import Absent, Refusal, exact, is_number, kind

VIETNAM: Final = "Asia/Ho_Chi_Minh"
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2199
_MAX_DAYS: Final = 36_500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Seconds from 1973 on and milliseconds from 1973 on do not overlap before the year 5138.
_EPOCH_SECONDS: Final = (10**8, 7_258_118_400)
_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}")
_ISO: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
    r"|[0-9]{8}[Tt][0-9]{4}([0-9]{2})?)([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)?"
)
_EPOCH_TEXT: Final = re.compile(r"[0-9]{9,13}(\.[0-9]{1,9})?")
_LONGEST: Final = 40

Moment = datetime | date

# What each strftime directive writes, for str.format with the moment as its only argument. Names of days and
# months are not here: they would be English; `local("%u") | label("weekdays")` writes them in any language.
_DIRECTIVES: Final = {
    "d": "{0.day:02d}",
    "m": "{0.month:02d}",
    "Y": "{0.year:04d}",
    "H": "{0.hour:02d}",
    "M": "{0.minute:02d}",
    "S": "{0.second:02d}",
    "f": "{0.microsecond:06d}",
    "-d": "{0.day}",
    "-m": "{0.month}",
    "-H": "{0.hour}",
    "-M": "{0.minute}",
    "-S": "{0.second}",
    "y": "{0:%y}",
    "I": "{0:%I}",
    "p": "{0:%p}",
    "j": "{0:%j}",
    "u": "{0:%u}",
    "w": "{0:%w}",
    "U": "{0:%U}",
    "W": "{0:%W}",
    "V": "{0:%V}",
    "G": "{0:%G}",
    "z": "{0:%z}",
    "F": "{0.year:04d}-{0.month:02d}-{0.day:02d}",
    "D": "{0.month:02d}/{0.day:02d}/{0:%y}",
    "T": "{0.hour:02d}:{0.minute:02d}:{0.second:02d}",
    "R": "{0.hour:02d}:{0.minute:02d}",
    "%": "%",
}
DIRECTIVES: Final = tuple(f"%{directive}" for directive in _DIRECTIVES)


class BadFormat(ValueError):
    """A format or a zone that a mapping names is not one that we know; the text is the cure."""


def moment_of(value: object) -> Moment:
    """The moment in ISO 8601 text, epoch seconds or milliseconds, or a date alone; raises Refusal."""
    if isinstance(value, str):
        moment = _from_text(value.strip() if len(value) <= _LONGEST else value)
    elif isinstance(value, date):
        moment = value
    elif is_number(value):
        moment = _from_epoch(Decimal(exact(value)))
    elif value is None:
        raise Absent("is null where a time is needed")
    else:
        raise Refusal(f"is {kind(value)} where a time is needed")
    return _in_range(moment)


def local(value: object, format: str, zone: str = VIETNAM) -> str:  # noqa: A002  (the contract names it so)
    """The time as it reads in `zone`, written by the strftime `format`; a date alone is never shifted."""
    return _writer(format)(_at(moment_of(value), _zone(zone)))


def check_local(form: str, zone: str = VIETNAM) -> None:
    """Nothing if `local` can write this; raises BadFormat."""
    _writer(form)
    _zone(zone)


def plus(value: object, days: object = 0, hours: object = 0, minutes: object = 0) -> Moment:
    """The time that much later, or earlier; a date stays a date unless hours or minutes are added."""
    moment = moment_of(value)
    span = timedelta()
    for place, (number, unit) in enumerate(((days, 1440), (hours, 60), (minutes, 1))):
        try:
            span += timedelta(minutes=_amount(number, unit))
        except Refusal as refusal:
            raise refusal.about(place) from None
    if not isinstance(moment, datetime) and span % timedelta(days=1):
        moment = datetime.combine(moment, time())
    return _in_range(moment + span)


def check_plus(days: object = 0, hours: object = 0, minutes: object = 0) -> None:
    """Nothing if the constants among these can be added; raises ValueError with the cure.

    None is an expression.
    """
    for number in (days, hours, minutes):
        try:
            _amount(0 if number is None else number, 1440)
        except Refusal as refusal:
            raise ValueError(
                f"plus takes whole numbers of days, hours and minutes; one {refusal.detail}"
            ) from None


def days_between(value: object, other: object, zone: str = VIETNAM) -> int:
    """The calendar days in `zone` from the first time to the second, negative if that is earlier."""
    place = _zone(zone)
    try:
        end = moment_of(other)
    except Refusal as refusal:
        raise refusal.about(0) from None
    return (_at(end, place).date() - _at(moment_of(value), place).date()).days


def check_zone(_other: object, zone: str = VIETNAM) -> None:
    """Nothing if `days_between` knows the zone; raises BadFormat."""
    _zone(zone)


def instant(value: object) -> datetime:
    """The moment as aware UTC; without a zone it is Vietnam's, and a date alone is its first minute there."""
    moment = moment_of(value)
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return (moment if moment.tzinfo else moment.replace(tzinfo=_zone(VIETNAM))).astimezone(UTC)


def _from_text(text: str) -> Moment:
    if len(text) <= _LONGEST:
        try:
            if _ISO.fullmatch(text):
                return datetime.fromisoformat(text.upper())
            if _ISO_DATE.fullmatch(text):
                return date.fromisoformat(text)
        except ValueError:
            raise Refusal("is no time that the calendar has") from None
        if _EPOCH_TEXT.fullmatch(text):
            return _from_epoch(Decimal(text))
    raise Refusal("is not a time: neither ISO 8601 nor epoch seconds or milliseconds")


def _from_epoch(number: Decimal) -> datetime:
    low, high = _EPOCH_SECONDS
    seconds = number if number < low * 1000 else number / 1000
    if not low <= seconds < high:
        raise Refusal("is not a time: epoch seconds or milliseconds lie between 1973 and 2199")
    return _EPOCH + timedelta(microseconds=int(seconds * 1_000_000))


def _in_range(moment: Moment) -> Moment:
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise Refusal(f"lies outside the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return moment


def _amount(number: object, minutes: int) -> int:
    amount = exact(number)
    whole = int(amount)
    if amount != whole:
        raise Refusal("cannot be moved by a fraction; use hours or minutes")
    if abs(whole) * minutes > _MAX_DAYS * 1440:
        raise Refusal(f"cannot be moved by more than {_MAX_DAYS} days")
    return whole * minutes


def _at(moment: Moment, zone: ZoneInfo) -> datetime:
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time())
    return moment.astimezone(zone) if moment.tzinfo else moment


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadFormat(f"{name!r} is no time zone: write one like {VIETNAM!r}") from None


@lru_cache(maxsize=1024)
def _writer(form: str) -> Callable[[datetime], str]:
    pieces = re.split(r"(%-?(?s:.)|%)", form)
    for at, piece in enumerate(pieces):
        if not piece.startswith("%"):
            pieces[at] = piece.replace("{", "{{").replace("}", "}}")
        elif piece[1:] in _DIRECTIVES:
            pieces[at] = _DIRECTIVES[piece[1:]]
        else:
            raise BadFormat(f"{piece!r} is no directive: there are {' '.join(DIRECTIVES)}")
    return "".join(pieces).format
