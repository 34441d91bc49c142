"""The OpenAPI 3.1 document of our door.

Schemas come from the Structs that are really encoded; paths are written here, next to one another, because the
calls that matter most are raw ASGI and no framework could describe their headers and media types.
"""

from typing import Any, Final

import msgspec

from gateway import __version__
from gateway.core import errors

from .events import PLAIN, STRUCTURED
from .problems import MEDIA_TYPE, STATUSES, Problem
from .views import MessagePage, MessageView, MessageWithTimeline, Preview, Status

_REF: Final = "#/components/schemas/{name}"
_KEY: Final[list[dict[str, list[str]]]] = [{"callerKey": []}]

_EVENT_SCHEMA: Final[dict[str, Any]] = {
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
_EXAMPLE: Final[dict[str, Any]] = {
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


def document() -> dict[str, Any]:
    """The whole document, the same at every call."""
    _, schemas = msgspec.json.schema_components(
        [MessageView, MessageWithTimeline, MessagePage, Preview, Problem], ref_template=_REF
    )
    schemas["Event"] = _EVENT_SCHEMA
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ZNS gateway",
            "version": __version__,
            "description": "Post a domain event; the customer gets a Zalo message; you learn what became of it.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1:8080"}],
        "tags": [{"name": "events"}, {"name": "messages"}, {"name": "zalo"}, {"name": "health"}],
        "paths": {
            "/v1/events": {"post": _post_event()},
            "/v1/events/preview": {"post": _preview_event()},
            "/v1/messages": {"get": _list_messages()},
            "/v1/messages/{tracking_id}": {"get": _show_message()},
            "/webhooks/zalo/{account}": {"post": _webhook()},
            "/livez": {"get": _probe("livez", "The process answers")},
            "/readyz": {"get": _readyz()},
            "/metrics": {"get": _metrics()},
            "/schema/openapi.json": {"get": _probe("schema", "This document")},
        },
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "callerKey": {"type": "http", "scheme": "bearer", "description": "A caller key (`key new NAME`)"}
            },
        },
    }


def _post_event() -> dict[str, Any]:
    shown = _json("MessageView")
    replayed = {
        "Idempotency-Replayed": _header("`true` when the event had been here before; nothing was sent again")
    }
    applied = {"Preference-Applied": _header("What of `Prefer` was honoured")}
    return {
        "tags": ["events"],
        "operationId": "postEvent",
        "summary": "Notify a customer of an event",
        "description": (
            "Durable before it is answered, and sent at most once however often the same event is posted. Waits for "
            "Zalo's answer up to `server.wait` unless `Prefer` says otherwise."
        ),
        "security": _KEY,
        "parameters": [
            _parameter("Idempotency-Key", "header", "A name of your own for the event", maxLength=255),
            _parameter("Prefer", "header", "`wait=N` (seconds, 60 at most) or `respond-async`"),
        ],
        "requestBody": _event_body(),
        "responses": {
            "200": {
                "description": "Sent, delivered, undelivered or skipped",
                "headers": {**replayed, **applied},
                **shown,
            },
            "202": {
                "description": "Durable; queued, being sent, or not known whether it was sent",
                "headers": {"Location": _header("Where to ask what became of it"), **replayed, **applied},
                **shown,
            },
            **_problems(400, 401, 403, 405, 413, 415, 422, 429, 503),
        },
    }


def _preview_event() -> dict[str, Any]:
    return {
        "tags": ["events"],
        "operationId": "previewEvent",
        "summary": "See what would be sent",
        "description": "Fills the mapping and masks the result; sends and stores nothing.",
        "security": _KEY,
        "requestBody": _event_body(),
        "responses": {
            "200": {"description": "What Zalo would get; `faults` says why it would not", **_json("Preview")},
            **_problems(400, 401, 403, 405, 413, 415, 422, 429, 503),
        },
    }


def _list_messages() -> dict[str, Any]:
    time = {"format": "date-time"}
    return {
        "tags": ["messages"],
        "operationId": "listMessages",
        "summary": "List messages, or follow their changes",
        "description": (
            "Newest accepted first. With `updated_after` it is a feed: oldest change first, in commit order, always "
            "with a cursor to go on from, each change at least once. A sender sees its own messages, an operator all."
        ),
        "security": _KEY,
        "parameters": [
            _parameter("status", "query", "Only this status", enum=list(Status.__args__)),  # type: ignore[attr-defined]  # a Literal has them
            _parameter("type", "query", "Only this event type"),
            _parameter("phone", "query", "Only this phone number, in any form"),
            _parameter("event_id", "query", "Only this event id"),
            _parameter("caller", "query", "Only this caller (operators)"),
            _parameter("since", "query", "Accepted at or after", **time),
            _parameter("until", "query", "Accepted before", **time),
            _parameter("updated_after", "query", "The feed of changes after this time", **time),
            {
                "name": "limit",
                "in": "query",
                "description": "How many at most",
                "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
            },
            _parameter("cursor", "query", "`next_cursor` of the page before"),
        ],
        "responses": {"200": {"description": "One page", **_json("MessagePage")}, **_problems(400, 401, 405, 503)},
    }


def _show_message() -> dict[str, Any]:
    return {
        "tags": ["messages"],
        "operationId": "showMessage",
        "summary": "What became of one message",
        "security": _KEY,
        "parameters": [{**_parameter("tracking_id", "path", "The message's tracking_id"), "required": True}],
        "responses": {
            "200": {"description": "The message with its timeline", **_json("MessageWithTimeline")},
            **_problems(401, 404, 405, 503),
        },
    }


def _webhook() -> dict[str, Any]:
    return {
        "tags": ["zalo"],
        "operationId": "receiveWebhook",
        "summary": "Where Zalo tells of deliveries",
        "parameters": [
            {**_parameter("account", "path", "The account's name in the configuration"), "required": True},
            _parameter("X-ZEvent-Signature", "header", "`mac=` and the hex SHA-256 of contract §5"),
        ],
        "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": {"description": "Stored, or Zalo's empty probe"},
            **_problems(401, 404, 405, 413, 503),
        },
    }


def _readyz() -> dict[str, Any]:
    return {
        **_probe("readyz", "Events can be accepted"),
        "parameters": [_parameter("verbose", "query", "Given at all: list each check")],
        "responses": {"200": {"description": "Events can be accepted"}, "503": {"description": "They cannot"}},
    }


def _metrics() -> dict[str, Any]:
    return {
        "tags": ["health"],
        "operationId": "metrics",
        "summary": "Every number, as Prometheus text",
        "responses": {
            "200": {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}}
        },
    }


def _probe(name: str, summary: str) -> dict[str, Any]:
    return {
        "tags": ["health"],
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": {"application/json": {"schema": {"type": "object"}}}}
        },
    }


def _event_body() -> dict[str, Any]:
    schema = {"schema": {"$ref": _REF.format(name="Event")}}
    plain = {**schema, "example": _EXAMPLE}
    structured = {**schema, "example": {"specversion": "1.0", **_EXAMPLE}}
    return {"required": True, "content": {PLAIN: plain, STRUCTURED: structured}}


def _problems(*statuses: int) -> dict[str, Any]:
    """The problem answers with these statuses, each with the codes that it may carry."""
    answers: dict[str, Any] = {}
    for status in statuses:
        codes = [kind.code for kind, row in STATUSES.items() if row.status == status]
        described = ", ".join(f"`{code}`" for code in codes)
        if status == 422:
            described += ", `expired`, `cancelled`, or the code of what Zalo refused for good"
        answer: dict[str, Any] = {
            "description": described,
            "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}},
        }
        if status in (STATUSES[errors.TooManyRequests].status, STATUSES[errors.NotAccepted].status):
            answer["headers"] = {"Retry-After": _header("Seconds to wait before the same call")}
        answers[str(status)] = answer
    return answers


def _json(name: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": _REF.format(name=name)}}}}


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _parameter(name: str, place: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "description": description, "schema": {"type": "string", **schema}}
