"""A JSON document, read strictly: what two readers could understand differently is refused."""

import json
import math
import re
from typing import Any, Final

import msgspec

from .errors import Fault, MalformedEvent, TooLarge
from .json_flaws import LARGEST, MAX_DEPTH, SMALLEST, TOO_DEEP, first_flaw


class _Refused(ValueError):
    """One of the hooks found something that is JSON, and not ours."""


def read_document(body: bytes) -> Any:
    """The value in `body`; raises MalformedEvent, with where in it that is, for what is not exactly one JSON text of ours.

    Refused: invalid UTF-8, lone surrogates, duplicate members, NaN and infinities, integers beyond 64 bits,
    numbers beyond finite doubles, nesting deeper than 64.
    """
    text = _text(body)
    try:
        return _strict(text)
    except json.JSONDecodeError as error:
        raise _not_json(error) from None


def read_documents(body: bytes, *, max_count: int, max_length: int) -> list[Any]:
    """The values of the JSON array in `body`, in order; in the place of each that is refused stands the refusal.

    Each is read as `read_document` does, and refused as TooLarge when it has more than `max_length` bytes.
    Raises MalformedEvent for what is no JSON array, and TooLarge for one of more than `max_count` values.
    """
    text = _text(body)
    try:
        extents = _extents(text, max_count)
    except json.JSONDecodeError as error:
        raise _not_json(error) from None
    return [_read_value(text[start:end], max_length) for start, end in extents]


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed(f"the body is not UTF-8 (byte {error.start})") from None


def _strict(text: str) -> Any:
    """The one value in `text`; raises MalformedEvent for JSON that is not ours."""
    try:
        document = _DECODER.decode(text)
    except _Refused:
        raise _flawed(text) from None
    except RecursionError:
        raise _malformed(TOO_DEEP) from None
    # A text with so few brackets cannot be nested too deeply, and one without escapes cannot hide a surrogate.
    if text.count("{") + text.count("[") > MAX_DEPTH:
        _check_depth(document)
    if "\\u" in text:
        _check_surrogates(document, text)
    return document


def _read_value(text: str, max_length: int) -> Any:
    if len(text.encode()) > max_length:
        return TooLarge(f"one event may have {max_length} bytes at most, also in a batch")
    try:
        return _strict(text)
    except MalformedEvent as refusal:
        return refusal


def _extents(text: str, max_count: int) -> list[tuple[int, int]]:
    """Where each value of the array begins and ends. Any JSON will do here: what is in it is looked at later."""
    if not text.startswith("[", at := _after_space(text, 0)):
        raise _malformed("a batch is a JSON array of events")
    extents: list[tuple[int, int]] = []
    at = _after_space(text, at + 1)
    is_over = text.startswith("]", at)
    while not is_over:
        start = at
        try:
            _, end = _SCANNER.raw_decode(text, start)
        except RecursionError:
            end = _closing(text, start)
        extents.append((start, end))
        if len(extents) > max_count:
            raise TooLarge(f"a batch may have {max_count} events at most; post the rest as another one")
        at = _after_space(text, end)
        is_over = not text.startswith(",", at)
        if not is_over:
            at = _after_space(text, at + 1)
    if not text.startswith("]", at):
        raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    if (at := _after_space(text, at + 1)) != len(text):
        raise json.JSONDecodeError("Extra data", text, at)
    return extents


def _closing(text: str, start: int) -> int:
    """Where the value ends that is nested too deeply to be read; raises MalformedEvent if it never does."""
    depth = 0
    for found in _BRACKET.finditer(text, start):
        bracket = found[1]
        if bracket is not None:
            depth += 1 if bracket in "[{" else -1
            if depth == 0:
                return found.end()
    raise _malformed(TOO_DEEP)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused
    return members


def _integer(digits: str) -> int:
    if len(digits) <= 20 and SMALLEST <= (number := int(digits)) <= LARGEST:
        return number
    raise _Refused


def _double(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _Refused
    return number


def _constant(_: str) -> Any:
    raise _Refused


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_double, parse_constant=_constant
)

# Reads what the other one refuses, to know where it ends; it keeps numbers as text, whose length costs it nothing.
_SCANNER: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
# A text that never ends is taken to the end of everything: trying it anew from each quote in it would take for ever.
_BRACKET: Final = re.compile(r'([\[\]{}])|"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_SPACE: Final = re.compile(r"[ \t\n\r]*")


def _check_depth(document: Any) -> None:
    level = [document] if isinstance(document, dict | list) else []
    for _ in range(MAX_DEPTH):
        members = (one.values() if isinstance(one, dict) else one for one in level)
        level = [inner for outer in members for inner in outer if isinstance(inner, dict | list)]
        if not level:
            return
    raise _malformed(TOO_DEEP)


def _check_surrogates(document: Any, text: str) -> None:
    try:
        msgspec.json.encode(document)
    except UnicodeEncodeError:
        raise _flawed(text) from None


def _flawed(text: str) -> MalformedEvent:
    flaw = first_flaw(text)
    return _malformed("the JSON cannot be read") if flaw is None else _malformed(flaw.detail, flaw.place)


def _malformed(detail: str, place: str = "") -> MalformedEvent:
    return MalformedEvent(detail, errors=[Fault(place, detail)])


def _not_json(error: json.JSONDecodeError) -> MalformedEvent:
    return _malformed(f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}")
