"""Names in a mapping that its samples show to be misspelt, and what was meant by them."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

from .expressions import Path
from .filling import Mapping, Rule
from .mapping_faults import ConfigFault
from .values import Refusal

NEAR: Final = 0.6
_VERY_NEAR: Final = 0.8


def misspelt(mapping: Mapping, shapes: list[dict[str, Any]]) -> Iterable[tuple[Rule, ConfigFault]]:
    """Names that a default hides: no sample has them, and one has a name that is very much like it.

    One that the mapping names as well is not what was meant: `data.phone2 | or_else(data.phone)` is no slip.
    """
    named = {path for rule in rules(mapping) for path in rule.expression.paths}
    for rule in rules(mapping):
        for path in rule.expression.paths:
            if any(has(shape, path) for shape in shapes):
                continue
            meant = next(filter(None, (meant_path(shape, path, _VERY_NEAR) for shape in shapes)), None)
            if meant is not None and meant not in named and _is_hidden(rule, shapes):
                what = f"no sample has `{dotted(path)}`, named in `{rule.key}`"
                cure = f"did you mean `{dotted(meant)}`? Else add a sample that has it"
                yield rule, ConfigFault(mapping.file, rule.line, what, cure)


def _is_hidden(rule: Rule, shapes: list[dict[str, Any]]) -> bool:
    """True if some sample gets through the rule, so that no other fault tells of the missing name."""
    for shape in shapes:
        try:
            rule.expression.run(shape)
        except Refusal:
            continue
        return True
    return False


def rules(mapping: Mapping) -> Iterable[Rule]:
    """Every rule of the mapping, of whichever template."""
    if mapping.not_before is not None:
        yield mapping.not_before
    for choice in mapping.choices:
        if choice.when is not None:
            yield choice.when
        yield choice.phone
        yield from choice.params


def has(value: Any, path: Path) -> bool:
    """True if the path leads to something, as far as that can be told."""
    for step in path:
        if not _leads(value, step):
            # What a null hides, or a list is too short for, is no misspelt name.
            return value is None or (isinstance(value, list) and isinstance(step, int))
        value = value[step]
    return True


def _leads(value: Any, step: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and -len(value) <= step < len(value)
    return isinstance(value, dict) and step in value


def meant_path(names: dict[str, Any], path: Path, cutoff: float) -> Path | None:
    """The path with its first unknown name replaced by the nearest one that this event has there."""
    value: Any = names
    for place, step in enumerate(path):
        if _leads(value, step):
            value = value[step]
            continue
        if not isinstance(value, dict) or not isinstance(step, str):
            return None
        near = get_close_matches(step, sorted(value), n=1, cutoff=cutoff)
        if near:
            return (*path[:place], near[0], *path[place + 1 :])
        data = names.get("data")
        return ("data", *path) if place == 0 and isinstance(data, dict) and step in data else None
    return None


def dotted(path: Path) -> str:
    """The path as a mapping writes it."""
    return ".".join(map(str, path))
