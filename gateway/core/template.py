"""A Template: what Zalo approved, read from a snapshot, and whether values keep to it."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from .errors import CannotStart, Fault, pointer
from .values import Refusal, nfc

_LONGEST_TIMEOUT_MS: Final = 30 * 24 * 3600 * 1000
_UNSENDABLE: Final = frozenset({"REJECT", "DISABLE", "DELETE"})


class Param(msgspec.Struct, frozen=True):
    """One parameter and its limits in characters of NFC text; `max_length` None is no limit."""

    name: str
    required: bool = False
    max_length: int | None = None
    min_length: int = 0
    accepts_null: bool = False
    type: str = "STRING"


class Template(msgspec.Struct, frozen=True):
    """One snapshot. Text that Zalo left out is "", `timeout` None means that Zalo said none."""

    id: str
    name: str = ""
    status: str = ""
    tag: str = ""
    quality: str = ""
    timeout: timedelta | None = None
    params: tuple[Param, ...] = ()
    price: str = ""
    preview_url: str = ""
    reason: str = ""

    @property
    def is_sendable(self) -> bool:
        """False if Zalo rejected, disabled or deleted it; one in review can be sent in development mode."""
        return self.status.upper() not in _UNSENDABLE


class UnreadableTemplate(CannotStart):
    """A snapshot is not the `data` of `/template/info/v2`. `line` counts from 1."""

    def __init__(self, detail: str, *, line: int = 1) -> None:
        super().__init__(detail)
        self.line = line


def read_template(raw: bytes) -> Template:
    """The Template in the `data` of `/template/info/v2`; raises UnreadableTemplate.

    Takes ids and prices as numbers or text, and does without any field but `listParams`, since Zalo's own
    answers differ there. Source: zalo-api §4.
    """
    try:
        document = json.loads(raw.decode())
    except UnicodeDecodeError:
        raise UnreadableTemplate("is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise UnreadableTemplate(f"is not JSON: {error.msg}", line=error.lineno) from None
    except (ValueError, RecursionError):
        raise UnreadableTemplate("is not JSON that can be read") from None
    if not isinstance(document, dict):
        raise UnreadableTemplate("is not a JSON object")
    listed = document.get("listParams")
    if not isinstance(listed, list):
        raise UnreadableTemplate("has no `listParams`, which the `data` of /template/info/v2 has")
    params = tuple(_param(entry, place) for place, entry in enumerate(listed))
    if len({param.name for param in params}) < len(params):
        raise UnreadableTemplate("names a parameter twice in `listParams`")
    return Template(
        id=_text(document.get("templateId")),
        name=_text(document.get("templateName")),
        status=_text(document.get("status")),
        tag=_text(document.get("templateTag")),
        quality=_text(document.get("templateQuality")),
        timeout=_timeout(document.get("timeout")),
        params=params,
        price=_text(document.get("price")),
        preview_url=_text(document.get("previewUrl")),
        reason=_text(document.get("reason")),
    )


def check_params(template: Template, data: Mapping[str, str]) -> list[Fault]:
    """Every way in which `data` breaks the template's limits, at `/template_data/<name>`.

    Lengths are those of NFC.
    """
    faults = []
    known = 0
    for param in template.params:
        value = data.get(param.name)
        if value is not None:
            known += 1
            wrong = wrong_with(param, value)
        else:
            wrong = f"is required by template {template.id}" if param.required else None
        if wrong is not None:
            faults.append(Fault(pointer("template_data", param.name), wrong))
    if known < len(data):
        names = {param.name for param in template.params}
        faults += [
            Fault(pointer("template_data", name), f"is not a parameter of template {template.id}")
            for name in data
            if name not in names
        ]
    return faults


def wrong_with(param: Param, value: str) -> str | None:
    """What keeps the text from being a value of this parameter; None if nothing does.

    It does not quote the text.
    """
    try:
        length = len(value) if value.isascii() else len(nfc(value))
    except Refusal as refusal:
        return refusal.detail
    if length == 0 and (param.accepts_null or param.required):
        return None if param.accepts_null else f"{param.name} must not be empty"
    if param.max_length is not None and length > param.max_length:
        return f"{param.name} has {length} characters, the template takes at most {param.max_length}"
    if length < param.min_length:
        return f"{param.name} has {length} characters, the template takes at least {param.min_length}"
    return None


def _param(entry: Any, place: int) -> Param:
    if not isinstance(entry, dict) or not _text(entry.get("name")):
        raise UnreadableTemplate(f"`listParams[{place}]` has no name")
    return Param(
        name=_text(entry.get("name")),
        required=_truth(entry.get("require")),
        max_length=_whole(entry.get("maxLength")) or None,
        min_length=_whole(entry.get("minLength")),
        accepts_null=_truth(entry.get("acceptNull")),
        type=_text(entry.get("type")) or "STRING",
    )


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _truth(value: Any) -> bool:
    return value.strip().lower() == "true" if isinstance(value, str) else value is True or value == 1


def _whole(value: Any) -> int:
    """The number, or 0 for anything that is none; far beyond any limit of Zalo's is no limit either."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(10**12)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 10**12:
        return 0
    return int(value)


def _timeout(value: Any) -> timedelta | None:
    milliseconds = _whole(value)
    return timedelta(milliseconds=milliseconds) if 0 < milliseconds <= _LONGEST_TIMEOUT_MS else None
