"""What the OpenAPI document is put together from: the shapes of bodies, problems, headers and parameters."""

from typing import Any, Final

from gateway.core import errors

from .cloudevents import BATCH, PLAIN, STRUCTURED
from .problems import MEDIA_TYPE, STATUSES

REF: Final = "#/components/schemas/{name}"
KEY: Final[list[dict[str, list[str]]]] = [{"callerKey": []}]

EVENT_SCHEMA: Final[dict[str, Any]] = {
    "title": "Event",
    "description": "A CloudEvents 1.0 event. `specversion` and `source` may be left out in application/json.",
    "type": "object",
    "required": ["id", "type", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1, "maxLength": 255},
        "source": {"type": "string", "minLength": 1, "maxLength": 255},
        "type": {"type": "string", "minLength": 1, "maxLength": 255},
        "time": {"type": "string", "format": "date-time"},
        "subject": {"type": "string"},
        "datacontenttype": {"type": "string"},
        "data": {"type": "object"},
    },
    "additionalProperties": True,
}
EXAMPLE: Final[dict[str, Any]] = {
    "id": "evt-1",
    "source": "/checkout",
    "type": "order.paid",
    "time": "2026-11-23T08:00:00Z",
    "data": {
        "order_id": "DH-1001",
        "total": 1250000,
        "payment_method": "card",
        "customer": {"name": "Nguyễn Văn An", "phone": "0912345678"},
    },
}


ATTRIBUTES: Final = ("specversion", "id", "source", "type", "time", "subject")


def event_body(*, may_be_many: bool) -> dict[str, Any]:
    """What a request with an event holds, and where `may_be_many` a batch too."""
    event = {"$ref": REF.format(name="Event")}
    structured = {"specversion": "1.0", **EXAMPLE}
    content: dict[str, Any] = {
        PLAIN: {"schema": event, "example": EXAMPLE},
        STRUCTURED: {"schema": event, "example": structured},
    }
    if may_be_many:
        schema = {"type": "array", "items": event, "minItems": 1}
        content[BATCH] = {"schema": schema, "example": [structured]}
    return {"required": True, "content": content}


def attribute_headers() -> list[dict[str, Any]]:
    """The headers of binary mode; an extension attribute has one too, named alike."""
    return [
        parameter(
            f"ce-{name}",
            "header",
            "Given: binary mode, the body is the event's `data`"
            if name == "specversion"
            else f"Binary mode: `{name}`",
            **({"enum": ["1.0"]} if name == "specversion" else {}),
        )
        for name in ATTRIBUTES
    ]


def refusals(*statuses: int) -> dict[str, Any]:
    """The problem answers with these statuses, each with the codes that it may carry."""
    answers: dict[str, Any] = {}
    for status in statuses:
        codes = [kind.code for kind, row in STATUSES.items() if row.status == status]
        described = ", ".join(f"`{code}`" for code in codes)
        if status == 422:
            described += ", `expired`, `cancelled`, or the code of what Zalo refused for good"
        answer: dict[str, Any] = {
            "description": described,
            "content": {MEDIA_TYPE: {"schema": {"$ref": REF.format(name="Problem")}}},
        }
        if status in (STATUSES[errors.TooManyRequests].status, STATUSES[errors.NotAccepted].status):
            answer["headers"] = {"Retry-After": header("Seconds to wait before the same call")}
        answers[str(status)] = answer
    return answers


def json_body(*names: str) -> dict[str, Any]:
    """An answer in one of these shapes."""
    shapes = [{"$ref": REF.format(name=name)} for name in names]
    return {"content": {"application/json": {"schema": shapes[0] if len(shapes) == 1 else {"anyOf": shapes}}}}


def header(description: str) -> dict[str, Any]:
    """A header of an answer."""
    return {"description": description, "schema": {"type": "string"}}


def parameter(name: str, place: str, description: str, **schema: Any) -> dict[str, Any]:
    """A parameter in the path, the query or the headers; text, unless `schema` says otherwise."""
    return {"name": name, "in": place, "description": description, "schema": {"type": "string", **schema}}
