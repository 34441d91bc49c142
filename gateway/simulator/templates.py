"""The templates of the one Official Account, and what Zalo finds wrong with a send's data."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from gateway.simulator.codes import Refusal

Status = Literal["ENABLE", "PENDING_REVIEW", "REJECT", "DISABLE", "DELETE"]
Quality = Literal["HIGH", "MEDIUM", "LOW", "UNDEFINED"]
Tag = Literal["TRANSACTION", "CUSTOMER_CARE", "PROMOTION"]
Kind = Literal["text", "time", "currency", "note"]

STATUS_NUMBERS: Final[dict[str, Status]] = {
    "1": "ENABLE",
    "2": "PENDING_REVIEW",
    "3": "REJECT",
    "4": "DISABLE",
    "5": "DELETE",
}

_FORMATS: Final[dict[Kind, re.Pattern[str]]] = {
    "time": re.compile(r"\d\d:\d\d(:\d\d)?( \d\d/\d\d/\d{4})?|\d\d/\d\d/\d{4}|\d{1,2}/\d{4}", re.ASCII),
    "currency": re.compile(r"[0-9]*[1-9][0-9]*", re.ASCII),
    "note": re.compile(r"""[^@\[\]^_!"•#$%¥&'()*+,€\-./:;{|<}=~>?]*"""),
}


class Param(msgspec.Struct, frozen=True):
    """One parameter of a template; lengths count characters."""

    name: str
    max_length: int
    sample: str
    require: bool = True
    accept_null: bool = False
    kind: Kind = "text"

    def listed(self) -> dict[str, Any]:
        """As it stands in `listParams`."""
        return {
            "name": self.name,
            "require": self.require,
            "type": "STRING",
            "maxLength": self.max_length,
            "minLength": 0,
            "acceptNull": self.accept_null,
        }


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A template as Zalo keeps it; a change of its status or quality is a new one under the same id."""

    template_id: str
    name: str
    params: tuple[Param, ...]
    tag: Tag = "TRANSACTION"
    timeout_ms: int = 7_200_000
    status: Status = "ENABLE"
    quality: Quality = "HIGH"
    is_night_limited: bool = False
    daily_quota: int | None = None
    price: int = 300
    created_ms: int = 1_767_225_600_000
    reason: str | None = None
    buttons: tuple[tuple[int, str, str], ...] = ((1, "Xem chi tiết", "https://example.com/orders"),)

    @property
    def number(self) -> int | str:
        """The id as `/template/all` writes it: an int, where it is a decimal."""
        return int(self.template_id) if self.template_id.isdecimal() else self.template_id

    def sample_data(self) -> dict[str, str]:
        """Data that a send takes."""
        return {param.name: param.sample for param in self.params}


def refusal_of_status(template: Template, *, is_development: bool) -> Refusal | None:
    """Why the template cannot be sent at all; one under review can be, in development mode."""
    match template.status:
        case "ENABLE":
            return None
        case "DELETE":
            return Refusal(-109)
        case "DISABLE" if template.quality == "LOW":
            return Refusal(-146)
        case "PENDING_REVIEW" if is_development:
            return None
        case _:
            return Refusal(-131)


def refusal_of_data(template: Template, data: Mapping[str, Any]) -> Refusal | None:
    """What is wrong with the data of a send: the first fault by the template's order, then extra keys."""
    expected = 0
    for param in template.params:
        if param.name not in data:
            if param.require:
                return Refusal(-1122, f"template data {param.name} is missing")
            continue
        expected += 1
        if refusal := _refusal_of_value(param, data[param.name]):
            return refusal
    if expected < len(data):
        return Refusal(-112)
    return None


def _refusal_of_value(param: Param, value: Any) -> Refusal | None:
    if value is None or value == "":
        return None if param.accept_null else Refusal(-1122, f"template data {param.name} is missing")
    if not isinstance(value, str):
        if not isinstance(value, int | float) or isinstance(value, bool):
            return Refusal(-112)
        value = str(value)
    if len(value) > param.max_length:
        return Refusal(-1121, f"template data {param.name} is break max length")
    if param.kind != "text" and not _FORMATS[param.kind].fullmatch(value):
        return Refusal(-1124, f"template data {param.name} has wrong format")
    return None
