"""An Expression: a small function from an event's names to a value, and what it is made from.

Every function here does a bounded amount of work and raises Refusal alone, located at the place in the event
that it speaks of. `grammar` makes Expressions from the text of a mapping.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import msgspec

from . import graphemes, values
from .choices import Evaluate, Names
from .errors import pointer
from .values import Absent, Refusal, kind, text_of

Path = tuple[str | int, ...]


class Expression(msgspec.Struct, frozen=True):
    """An expression, or a text with some in it, ready to be worked out. `paths` are all that it names."""

    run: Evaluate
    paths: tuple[Path, ...] = ()

    @property
    def pointer(self) -> str | None:
        """The pointer into the event that this is made from, if it is made from exactly one place."""
        return pointer(*self.paths[0]) if len(self.paths) == 1 else None

    @property
    def is_constant(self) -> bool:
        """True if no event can change it."""
        return not self.paths


def constant(value: Any) -> Expression:
    """An Expression that is always `value`."""
    return Expression(lambda _names: value)


def all_paths(parts: Iterable[Expression]) -> tuple[Path, ...]:
    """Every path that the parts name, once, in order."""
    return tuple(dict.fromkeys(path for part in parts for path in part.paths))


def applied(part: Expression, function: Callable[..., Any], *constants: Any) -> Expression:
    """`function` of the part's value and the constants."""
    value, where = part.run, part.pointer

    def run(names: Names) -> Any:
        given = value(names)
        try:
            return function(given, *constants)
        except Refusal as refusal:
            raise refusal.located(where) from None

    return Expression(run, part.paths)


def combined(function: Callable[[Any, Any], Any], left: Expression, right: Expression) -> Expression:
    """`function` of two values; if they do not go together, the left one is blamed, but for a constant."""
    where = left.pointer if left.paths else right.pointer

    def run(names: Names) -> Any:
        one, other = left.run(names), right.run(names)
        try:
            return function(one, other)
        except Refusal as refusal:
            raise refusal.located(where) from None

    return Expression(run, all_paths([left, right]))


def joined(parts: list[Expression]) -> Expression:
    """The texts of the parts, one after the other."""
    runs = tuple(applied(part, text_of).run for part in parts)

    def run(names: Names) -> str:
        return values.bounded("".join([text(names) for text in runs]))

    return Expression(run, all_paths(parts))


def sliced(part: Expression, span: slice) -> Expression:
    """A part of a list, or of a text counted in graphemes."""
    return applied(part, _slice, span)


def followed(path: Path) -> Expression:
    """What the path leads to in the event; raises Absent at the whole path's pointer."""
    if all(isinstance(step, str) for step in path):

        def run(names: Names) -> Any:
            value: Any = names
            try:
                for step in path:
                    value = value[step]
            except (KeyError, TypeError):
                raise _missing(names, path) from None
            return value

        return Expression(run, (path,))

    def step_by_step(names: Names) -> Any:
        value: Any = names
        for step in path:
            try:
                value = values.member(value, step)
            except Absent:
                raise _missing(names, path) from None
        return value

    return Expression(step_by_step, (path,))


def _missing(names: Names, path: Path) -> Absent:
    where = pointer(*path)
    value: Any = names
    for depth, step in enumerate(path):
        try:
            value = values.member(value, step)
        except Absent:
            known = ".".join(map(str, path[:depth])) or "the event"
            if depth and not isinstance(value, dict):
                return Absent(f"is missing: {known} is {kind(value)}", where=where)
            return Absent(f"is missing: {known} has no `{step}`", where=where)
    return Absent("is missing", where=where)


def _slice(value: object, span: slice) -> Any:
    if isinstance(value, list):
        return value[span]
    text = values.nfc(text_of(value))
    places = [0, *graphemes.borders(text)]
    return "".join([text[start:end] for start, end in pairwise(places)][span])
