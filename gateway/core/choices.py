"""The filters and tests that may meet what is not there: they are given expressions, not values.

Everything else in the language refuses a missing name. These decide what stands in for it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from .values import Absent, Refusal, is_empty, is_number, nfc, text_of

Names = Mapping[str, Any]
Evaluate = Callable[[Names], Any]


class Table(dict[str, str]):
    """A table of labels: code → text."""


def default(value: Evaluate, other: Evaluate, empty: bool = False) -> Evaluate:
    """The value, or `other` where it is missing or null.

    With `empty=true` blank text and lists and objects without members count as missing too; 0 and false never.
    """

    def choose(names: Names) -> Any:
        try:
            found = value(names)
        except Absent:
            return other(names)
        return other(names) if found is None or (empty and is_empty(found)) else found

    return choose


def or_else(value: Evaluate, other: Evaluate, *others: Evaluate) -> Evaluate:
    """The first of these that is filled; 0 and false are. If none is, the last has to say why."""
    candidates = [value, other, *others]
    early, final = candidates[:-1], candidates[-1]

    def choose(names: Names) -> Any:
        for candidate in early:
            try:
                found = candidate(names)
            except Absent:
                continue
            if not is_empty(found):
                return found
        found = final(names)
        if found is None:
            raise Absent("and all before it are missing, null or empty")
        return found

    return choose


def label(value: Evaluate, table: Table, default: Evaluate | None = None) -> Evaluate:
    """The text of a code, or `default` for null and for a code that the table does not have.

    Without a default both are refused.
    """

    def look_up(names: Names) -> Any:
        code = value(names)
        if code is not None or default is None:
            text = table.get(_code(code))
            if text is not None:
                return text
        if default is None:
            raise Refusal(f"is a code without a label; there are {', '.join(table)}")
        return default(names)

    return look_up


def _code(value: object) -> str:
    if isinstance(value, str):
        return value if value.isascii() else nfc(text_of(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return text_of(value)


def _filled(value: Evaluate, names: Names) -> bool:
    try:
        return not is_empty(value(names))
    except Absent:
        return False


def _is_defined(value: Evaluate, names: Names) -> bool:
    try:
        value(names)
    except Absent:
        return False
    return True


# Each answers `value is NAME`. Of a missing name only `defined`, `undefined`, `filled` and `empty` may be asked.
TESTS: Final[Mapping[str, Callable[[Evaluate, Names], bool]]] = {
    "boolean": lambda value, names: isinstance(value(names), bool),
    "defined": _is_defined,
    "empty": lambda value, names: not _filled(value, names),
    "filled": _filled,
    "list": lambda value, names: isinstance(value(names), list),
    "none": lambda value, names: value(names) is None,
    "number": lambda value, names: is_number(value(names)),
    "object": lambda value, names: isinstance(value(names), dict),
    "string": lambda value, names: isinstance(value(names), str),
    "undefined": lambda value, names: not _is_defined(value, names),
}
