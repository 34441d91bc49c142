"""What keeps a JSON document from being what a call takes: where that lies, and what is allowed there."""

import re
from typing import Any, Final

import msgspec
from msgspec import inspect

from .errors import Fault, clip, pointer
from .rfc3339 import WISHED

_MOST: Final = 20
_ITEM: Final = re.compile(r"at `\$\[(\d+)\]")


def misfits(document: Any, shape: type[Any]) -> list[Fault]:
    """Every member of the document that is not as the Struct `shape` has it, or is missing; the first twenty."""
    members = _members(shape)
    if not isinstance(document, dict):
        return [Fault("", f"the body must be an object; its members are {', '.join(members)}")]
    faults = [
        misfit(shape, name, *_item(value, members.get(name)))
        for name, value in document.items()
        if name not in members or not _fits(value, members[name].field.type)
    ]
    faults += [
        Fault(pointer(name), f"`{name}` is missing: it must be {_allowed(it.kind)}")
        for name, it in members.items()
        if it.field.required and name not in document
    ]
    return faults[:_MOST]


def misfit(shape: type[Any], name: str, *steps: str | int) -> Fault:
    """That this member, or what the further steps lead to in it, is none that the Struct `shape` has, or not as it has it."""
    members = _members(shape)
    if name not in members:
        return Fault(
            pointer(name, *steps), f"there is no member `{clip(name)}`; there are {', '.join(sorted(members))}"
        )
    return Fault(pointer(name, *steps), f"`{name}` must be {_allowed(members[name].kind)}")


class _Member(msgspec.Struct, frozen=True):
    """One member of a shape, as it is read and as it is told."""

    field: msgspec.structs.FieldInfo
    kind: inspect.Type


def _members(shape: type[Any]) -> dict[str, _Member]:
    return {
        field.encode_name: _Member(field, inspect.type_info(field.type)) for field in msgspec.structs.fields(shape)
    }


def _fits(value: Any, kind: Any) -> bool:
    return _complaint(value, kind) is None


def _item(value: Any, member: _Member | None) -> list[int]:
    """The place of the first item that does not fit, where the member is a list and an item of it is at fault."""
    if member is None or not isinstance(value, list):
        return []
    found = _ITEM.search(_complaint(value, member.field.type) or "")
    return [int(found[1])] if found else []


def _complaint(value: Any, kind: Any) -> str | None:
    try:
        msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def _allowed(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata(type=inner, extra_json_schema=schema):
            return WISHED if (schema or {}).get("format") == "date-time" else _allowed(inner)
        case inspect.UnionType(types=types):
            return " or ".join(_allowed(it) for it in types if not isinstance(it, inspect.NoneType))
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high):
            return "a whole number" if low is None or high is None else f"a whole number from {low} to {high}"
        case inspect.StrType(min_length=low, max_length=high):
            return f"text{_length(low, high, 'characters')}"
        case inspect.VarTupleType(item_type=item, min_length=low, max_length=high):
            return f"a list{_length(low, high, 'items')}, each {_allowed(item)}"
        case _:
            raise TypeError(f"no words for {kind}")


def _length(low: int | None, high: int | None, what: str) -> str:
    if high is None:
        return ""
    return f" of {low} to {high} {what}" if low else f" of at most {high} {what}"
