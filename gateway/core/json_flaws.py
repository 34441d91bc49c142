"""What is wrong with a JSON text that is refused, and where in it: looked for only once something was."""

import json
import math
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from .errors import clip, pointer

MAX_DEPTH: Final = 64
SMALLEST, LARGEST = -(2**63), 2**64 - 1
AS_TEXT: Final = "; send it as a string"
"""How the refusal of a number ends that is out of bounds."""
TOO_DEEP: Final = f"the JSON is nested deeper than {MAX_DEPTH}"
_HALVED: Final = "a string holds half of a surrogate pair, which is no character"


class Flaw(msgspec.Struct, frozen=True):
    """What is wrong, and the pointer to it."""

    detail: str
    place: str = ""


class _Members(list[tuple[str, Any]]):
    """An object's members as they stand in the text, twins among them."""


def first_flaw(text: str) -> Flaw | None:
    """The first twin member, number out of bounds, half character or value that lies too deep; None where there is none.

    Raises json.JSONDecodeError for what is not JSON at all.
    """
    try:
        document = _DECODER.decode(text)
    except RecursionError:
        return Flaw(TOO_DEEP)
    path: list[str | int] = []
    trail: list[Iterator[tuple[str | int, Any]]] = [iter([("", document)])]
    while trail:
        step = next(trail[-1], None)
        if step is None:
            trail.pop()
            if path:
                path.pop()
            continue
        name, value = step
        if isinstance(value, list):
            if len(trail) > MAX_DEPTH:
                return Flaw(TOO_DEEP)
            path.append(name)
            trail.append(_steps(value))
        elif (detail := _wrong_with(value)) is not None:
            return Flaw(detail, pointer(*[*path, name][1:]))
    return None


def _steps(value: list[Any]) -> Iterator[tuple[str | int, Any]]:
    if not isinstance(value, _Members):
        yield from enumerate(value)
        return
    seen: set[str] = set()
    for name, inner in value:
        if name in seen:
            yield name, Flaw(f'the member "{clip(name)}" is there twice in one object')
        elif _is_halved(name):
            yield name.encode(errors="replace").decode(), Flaw(_HALVED)
        seen.add(name)
        yield name, inner


def _wrong_with(value: object) -> str | None:
    if isinstance(value, Flaw):
        return value.detail
    return _HALVED if isinstance(value, str) and _is_halved(value) else None


def _is_halved(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _integer(digits: str) -> object:
    is_fit = len(digits) <= 20 and SMALLEST <= int(digits) <= LARGEST
    return None if is_fit else Flaw(f"an integer is beyond 64 bits{AS_TEXT}")


def _double(digits: str) -> object:
    is_fit = math.isfinite(float(digits))
    return None if is_fit else Flaw(f"a number is beyond finite doubles{AS_TEXT}")


def _constant(name: str) -> object:
    return Flaw(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_Members, parse_int=_integer, parse_float=_double, parse_constant=_constant
)
