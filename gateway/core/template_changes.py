"""What has changed between two definitions of a template, in words that a mapping's author understands."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .errors import clip

Definition = Mapping[str, Any]
"""The `data` of `/template/info/v2`, as JSON reads it, that `read_template` takes."""

# What moves without anybody's doing and without meaning to a mapping. Source: zalo-api §4
PASSING: Final = frozenset(
    {
        "templateQuality",
        "previewUrl",
        "createdTime",
        "applyTemplateQuota",
        "templateDailyQuota",
        "templateRemainingQuota",
    }
)
_APART: Final = PASSING | {"listParams", "listButtons"}
# What a member that is not there means; Zalo's own answers differ in what they leave out.
_MEANT: Final[Mapping[str, str]] = {
    "require": "false",
    "acceptNull": "false",
    "minLength": "0",
    "type": "STRING",
}
_NONE: Final = "none"


def changes(before: Definition, after: Definition) -> list[str]:
    """Every difference that may matter to a mapping or to who pays for it; none for a number that became text."""
    return [
        *_members({**before}, {**after}, _APART, {}),
        *_params(_by_name(before), _by_name(after)),
        *_buttons(_tables(before.get("listButtons")), _tables(after.get("listButtons"))),
    ]


def passing_changes(before: Definition, after: Definition) -> list[str]:
    """The differences that come and go by themselves, such as a template's quality."""
    return list(_members(_only(before, PASSING), _only(after, PASSING), frozenset(), {}))


def _members(
    before: Definition, after: Definition, apart: frozenset[str], meant: Mapping[str, str]
) -> Iterator[str]:
    for key in dict.fromkeys((*before, *after)):
        if key in apart:
            continue
        old, new = _text(before.get(key), meant.get(key)), _text(after.get(key), meant.get(key))
        if old == new:
            continue
        if isinstance(before.get(key) or after.get(key), list | dict):
            yield f"{clip(key)} changed"
        elif key == "require":
            yield f"{_need(old)} → {_need(new)}"
        else:
            yield f"{clip(key)} {clip(old)} → {clip(new)}"


def _params(before: Mapping[str, Definition], after: Mapping[str, Definition]) -> Iterator[str]:
    for name, param in after.items():
        if name in before:
            told = _members(before[name], param, frozenset({"name"}), _MEANT)
            yield from (f"{clip(name)}: {change}" for change in told)
        else:
            yield f"new parameter {clip(name)} ({_need(_text(param.get('require'), 'false'))})"
    yield from (f"parameter {clip(name)} is gone" for name in before if name not in after)
    if list(before) != list(after) and before.keys() == after.keys():
        yield "the parameters stand in another order"


def _buttons(before: list[Definition], after: list[Definition]) -> Iterator[str]:
    for place, (old, new) in enumerate(zip(before, after, strict=False), start=1):
        yield from (f"button {place}: {change}" for change in _members(old, new, frozenset(), {}))
    for place in range(len(before), len(after)):
        yield f"new button {place + 1} ({clip(_text(after[place].get('title')))})"
    for place in range(len(after), len(before)):
        yield f"button {place + 1} ({clip(_text(before[place].get('title')))}) is gone"


def _by_name(definition: Definition) -> dict[str, Definition]:
    return {_text(param.get("name")): param for param in _tables(definition.get("listParams"))}


def _tables(value: Any) -> list[Definition]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _only(definition: Definition, keys: frozenset[str]) -> Definition:
    return {key: value for key, value in definition.items() if key in keys}


def _text(value: Any, meant: str | None = None) -> str:
    """The value as it is told and compared: null, "" and what is not there are alike, 30 and "30" too."""
    if value is None or value == "":
        return meant or _NONE
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _need(text: str) -> str:
    return "required" if text.strip().lower() in ("true", "1") else "optional"
