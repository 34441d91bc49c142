"""A JSON document, read strictly: what two readers could understand differently is refused."""

import json
import math
from collections import Counter
from typing import Any, Final

import msgspec

from .errors import Fault, MalformedEvent, clip, pointer

MAX_DEPTH: Final = 64
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


class _Refused(ValueError):
    """What one of the hooks found."""


def read_document(body: bytes) -> Any:
    """The value in `body`; raises MalformedEvent for anything that is not exactly one JSON text of ours.

    Refused: invalid UTF-8, lone surrogates, duplicate members, NaN and infinities, integers beyond 64 bits,
    numbers beyond finite doubles, nesting deeper than 64.
    """
    try:
        text = body.decode("utf-8")
        document = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise _malformed(f"the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise _malformed(f"the body is nested deeper than {MAX_DEPTH}") from None
    except json.JSONDecodeError as error:
        raise _malformed(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except _Refused as error:
        raise _malformed(str(error)) from None
    # A text with so few brackets cannot be nested too deeply, and one without escapes cannot hide a surrogate.
    if text.count("{") + text.count("[") > MAX_DEPTH:
        _check_depth(document)
    if "\\u" in text:
        _check_surrogates(document)
    return document


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        (twice, _), *_rest = Counter(name for name, _ in pairs).most_common(1)
        raise _Refused(f'the member "{clip(twice)}" is there twice in one object')
    return members


def _integer(digits: str) -> int:
    if len(digits) <= 20 and _SMALLEST <= (number := int(digits)) <= _LARGEST:
        return number
    raise _Refused("an integer is beyond 64 bits; send it as a string")


def _double(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _Refused("a number is beyond finite doubles; send it as a string")
    return number


def _constant(name: str) -> Any:
    raise _Refused(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_double, parse_constant=_constant
)


def _check_depth(document: Any) -> None:
    level = [document] if isinstance(document, dict | list) else []
    for _ in range(MAX_DEPTH):
        members = (one.values() if isinstance(one, dict) else one for one in level)
        level = [inner for outer in members for inner in outer if isinstance(inner, dict | list)]
        if not level:
            return
    raise _malformed(f"the body is nested deeper than {MAX_DEPTH}")


def _check_surrogates(document: Any) -> None:
    try:
        msgspec.json.encode(document)
    except UnicodeEncodeError:
        raise _malformed("a string holds half of a surrogate pair, which is no character") from None


def _malformed(detail: str) -> MalformedEvent:
    return MalformedEvent(detail, errors=[Fault(pointer(), detail)])
