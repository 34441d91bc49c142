"""Where in a JSON text lies what is refused: looked for only once something was, and only in what is JSON at all."""

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from .errors import pointer

SMALLEST, LARGEST = -(2**63), 2**64 - 1


class _Members(list[tuple[str, Any]]):
    """An object's members as they stand in the text, twins among them."""


class _Bad:
    """A value that is refused."""


def place_of_the_fault(text: str) -> str:
    """The pointer to the first twin member, number out of bounds or half character; "" if there is none that can be found."""
    try:
        document = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return ""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, _Bad) or (isinstance(value, str) and _is_halved(value)):
            return pointer(*path)
        steps = list(_steps(value))
        seen: set[str | int] = set()
        for name, _ in steps:
            if name in seen or (isinstance(name, str) and _is_halved(name)):
                return pointer(*path, str(name).encode(errors="replace").decode())
            seen.add(name)
        waiting += [((*path, name), inner) for name, inner in reversed(steps)]
    return ""


def _steps(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, _Members):
        yield from value
    elif isinstance(value, list):
        yield from enumerate(value)


def _is_halved(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _integer(digits: str) -> object:
    return 0 if len(digits) <= 20 and SMALLEST <= int(digits) <= LARGEST else _Bad()


def _double(digits: str) -> object:
    return _Bad() if math.isinf(float(digits)) else 0.0


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_Members, parse_int=_integer, parse_float=_double, parse_constant=lambda _: _Bad()
)
