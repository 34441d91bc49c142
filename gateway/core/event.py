"""An Event: what a caller says happened, read from CloudEvents 1.0."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .errors import Fault, MalformedEvent, pointer

MAX_ATTRIBUTE_LENGTH: Final = 255
_KNOWN: Final = frozenset({"specversion", "id", "source", "type", "time", "subject", "data", "datacontenttype"})


class Event(msgspec.Struct, frozen=True):
    """What a caller says happened. `extensions` are the attributes that CloudEvents does not name itself."""

    id: str
    source: str
    type: str
    data: dict[str, Any]
    time: str | None = None
    subject: str | None = None
    extensions: dict[str, Any] = {}

    def names(self) -> dict[str, Any]:
        """What an expression of a mapping may name; an absent attribute is absent, not null."""
        names: dict[str, Any] = dict(self.extensions)
        names.update(id=self.id, source=self.source, type=self.type, data=self.data)
        if self.time is not None:
            names["time"] = self.time
        if self.subject is not None:
            names["subject"] = self.subject
        return names


def read_event(document: Any, *, default_source: str, needs_specversion: bool) -> Event:
    """The Event in a structured CloudEvent; raises MalformedEvent with every fault that was found.

    `default_source` stands in for a missing `source` where the media type allows that; a missing `specversion`
    is a fault only when `needs_specversion`.
    """
    if not isinstance(document, dict):
        raise MalformedEvent("the body must be a JSON object", errors=[Fault("", "must be a JSON object")])
    faults: list[Fault] = []
    # CloudEvents' JSON format lets an attribute that is not there be written as null.
    document = {name: value for name, value in document.items() if value is not None}
    version = document.get("specversion", None if needs_specversion else "1.0")
    if version != "1.0":
        faults.append(Fault("/specversion", 'must be "1.0"'))
    if "data_base64" in document:
        faults.append(Fault("/data_base64", "binary data is not taken; send a JSON object in `data`"))
    source = _text(document, "source", faults, default=None if needs_specversion else default_source)
    event_id = _text(document, "id", faults)
    event_type = _text(document, "type", faults)
    time = _optional_text(document, "time", faults)
    subject = _optional_text(document, "subject", faults)
    if "datacontenttype" in document and not is_json(document["datacontenttype"]):
        faults.append(Fault("/datacontenttype", "must be a JSON media type"))
    data = document.get("data")
    if not isinstance(data, dict):
        faults.append(Fault("/data", "must be a JSON object" if "data" in document else "is required"))
    if faults or not isinstance(data, dict):
        raise MalformedEvent(f"{len(faults)} fault(s) in the event, see `errors`", errors=faults)
    extensions = {name: value for name, value in document.items() if name not in _KNOWN}
    return Event(event_id, source, event_type, data, time, subject, extensions)


def _text(document: Mapping[str, Any], name: str, faults: list[Fault], *, default: str | None = None) -> str:
    value = document.get(name, default)
    if value is None:
        faults.append(Fault(pointer(name), "is required"))
    elif not isinstance(value, str) or not value:
        faults.append(Fault(pointer(name), "must be a non-empty string"))
    elif len(value) > MAX_ATTRIBUTE_LENGTH:
        faults.append(Fault(pointer(name), f"is longer than {MAX_ATTRIBUTE_LENGTH} characters"))
    elif not value.isprintable() and has_controls(value):
        faults.append(Fault(pointer(name), "must not hold control characters"))
    else:
        return value
    return ""


def _optional_text(document: Mapping[str, Any], name: str, faults: list[Fault]) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        faults.append(Fault(pointer(name), "must be a non-empty string"))
        return None
    return value


def has_controls(text: str) -> bool:
    """True if `text` has a C0 or C1 control character, which no attribute and no log line may hold."""
    return any(character < " " or "\x7f" <= character <= "\x9f" for character in text)


def is_json(media_type: object) -> bool:
    """True if this names JSON, or a kind of JSON."""
    if not isinstance(media_type, str):
        return False
    bare = media_type.partition(";")[0].strip().lower()
    return bare == "application/json" or (bare.startswith("application/") and bare.endswith("+json"))
