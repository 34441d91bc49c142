"""The OpenAPI 3.1 document of our door.

Schemas come from the Structs that are really encoded; paths are written here, next to one another, because the
calls that matter most are raw ASGI and no framework could describe their headers and media types.
"""

from typing import Any

import msgspec

from gateway import __version__
from gateway.core.view import MessageView, MessageWithTimeline, Status
from gateway.orders import Report

from . import openapi_callbacks
from .accounts import AccountList, AccountView, Pause
from .batches import BatchView
from .health import Readiness
from .mappings import MappingsView
from .openapi_accounts import account_paths
from .openapi_orders import order_paths
from .openapi_parts import (
    EVENT_SCHEMA,
    KEY,
    REF,
    attribute_headers,
    event_body,
    header,
    json_body,
    parameter,
    refusals,
)
from .orders import Count, Noted, OrderToMany, Settlement
from .problems import Problem
from .views import MessagePage, Preview


def document() -> dict[str, Any]:
    """The whole document, the same at every call."""
    _, schemas = msgspec.json.schema_components(
        [
            *(MessageView, MessageWithTimeline, MessagePage, BatchView, MappingsView, Preview, Problem),
            *(AccountList, AccountView, Pause),
            Readiness,
            *(Noted, Settlement, OrderToMany, Count, Report),
            *openapi_callbacks.SHAPES,
        ],
        ref_template=REF,
    )
    schemas["Event"] = EVENT_SCHEMA
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ZNS gateway",
            "version": __version__,
            "description": "Post a domain event; the customer gets a Zalo message; you learn what became of it.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1:8080"}],
        "tags": [
            {"name": "events"},
            {"name": "messages"},
            {"name": "accounts"},
            {"name": "callbacks"},
            {"name": "mappings"},
            {"name": "zalo"},
            {"name": "health"},
        ],
        "paths": {
            "/v1/events": {"post": _post_event()},
            "/v1/events/preview": {"post": _preview_event()},
            "/v1/messages": {"get": _list_messages()},
            "/v1/messages/{tracking_id}": {"get": _show_message()},
            **order_paths(),
            **account_paths(),
            "/v1/callbacks/replay": {"post": openapi_callbacks.replay_callbacks()},
            "/v1/mappings": {"get": _list_mappings()},
            "/webhooks/zalo/{account}": {"post": _webhook()},
            "/oauth/zalo/callback": {"get": _callback()},
            "/livez": {"get": _probe("livez", "The process answers", status={"const": "ok"})},
            "/readyz": {"get": _readyz()},
            "/metrics": {"get": _metrics()},
            "/schema/openapi.json": {"get": _probe("schema", "This document")},
        },
        "webhooks": openapi_callbacks.webhooks(),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "callerKey": {"type": "http", "scheme": "bearer", "description": "A caller key (`key new NAME`)"}
            },
        },
    }


def _post_event() -> dict[str, Any]:
    shown = json_body("MessageView")
    replayed = {
        "Idempotency-Replayed": header("`true` when the event had been here before; nothing was sent again")
    }
    applied = {"Preference-Applied": header("What of `Prefer` was honoured")}
    return {
        "tags": ["events"],
        "operationId": "postEvent",
        "summary": "Notify a customer of an event, or customers of many",
        "description": (
            "Durable before it is answered, and sent at most once however often the same event is posted. Waits for "
            "Zalo's answer up to `server.wait` unless `Prefer` says otherwise. CloudEvents 1.0: structured, plain "
            "JSON of the same shape, binary (`ce-*` headers, percent-encoded; the body is `data`), or a batch: each "
            "of its events is decided on its own, all accepted ones are durable before the answer, and it never "
            "waits for Zalo."
        ),
        "security": KEY,
        "parameters": [
            parameter("Idempotency-Key", "header", "A name of your own for the event", maxLength=255),
            parameter("Prefer", "header", "`wait=N` (seconds, 60 at most) or `respond-async`"),
            *attribute_headers(),
        ],
        "requestBody": event_body(may_be_many=True),
        "responses": {
            "200": {
                "description": "Sent, delivered, undelivered or skipped",
                "headers": {**replayed, **applied},
                **shown,
            },
            "202": {
                "description": (
                    "Durable; queued, being sent, or not known whether it was sent. Of a batch: the result of each "
                    "event, in the order given"
                ),
                "headers": {"Location": header("Where to ask what became of it"), **replayed, **applied},
                **json_body("MessageView", "BatchView"),
            },
            **refusals(400, 401, 403, 405, 413, 415, 422, 429, 503),
        },
    }


def _preview_event() -> dict[str, Any]:
    return {
        "tags": ["events"],
        "operationId": "previewEvent",
        "summary": "See what would be sent",
        "description": "Fills the mapping and masks the result; sends and stores nothing.",
        "security": KEY,
        "parameters": attribute_headers(),
        "requestBody": event_body(may_be_many=False),
        "responses": {
            "200": {"description": "What Zalo would get; `faults` says why it would not", **json_body("Preview")},
            **refusals(400, 401, 403, 405, 413, 415, 422, 429, 503),
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
            "with a cursor to go on from, each change at least once; a cursor of another store or of a later state of it is "
            "refused: begin again with the time alone. A sender sees its own messages, an operator all."
        ),
        "security": KEY,
        "parameters": [
            parameter("status", "query", "Only this status", enum=list(Status.__args__)),  # type: ignore[attr-defined]  # a Literal has them
            parameter("type", "query", "Only this event type"),
            parameter("phone", "query", "Only this phone number, in any form"),
            parameter("event_id", "query", "Only this event id"),
            parameter("caller", "query", "Only this caller (operators)"),
            parameter("since", "query", "Accepted at or after", **time),
            parameter("until", "query", "Accepted before", **time),
            parameter("updated_after", "query", "The feed of changes after this time", **time),
            {
                "name": "limit",
                "in": "query",
                "description": "How many at most",
                "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
            },
            parameter("cursor", "query", "`next_cursor` of the page before"),
        ],
        "responses": {
            "200": {"description": "One page", **json_body("MessagePage")},
            **refusals(400, 401, 405, 503),
        },
    }


def _show_message() -> dict[str, Any]:
    return {
        "tags": ["messages"],
        "operationId": "showMessage",
        "summary": "What became of one message",
        "security": KEY,
        "parameters": [{**parameter("tracking_id", "path", "The message's tracking_id"), "required": True}],
        "responses": {
            "200": {"description": "The message with its timeline", **json_body("MessageWithTimeline")},
            **refusals(401, 404, 405, 503),
        },
    }


def _list_mappings() -> dict[str, Any]:
    return {
        "tags": ["mappings"],
        "operationId": "listMappings",
        "summary": "What is in force",
        "description": "A sender sees the types that it may send, an operator all.",
        "security": KEY,
        "responses": {
            "200": {"description": "The set in force", **json_body("MappingsView")},
            **refusals(401, 405),
        },
    }


def _webhook() -> dict[str, Any]:
    return {
        "tags": ["zalo"],
        "operationId": "receiveWebhook",
        "summary": "Where Zalo tells of deliveries",
        "parameters": [
            {**parameter("account", "path", "The account's name in the configuration"), "required": True},
            parameter("X-ZEvent-Signature", "header", "`mac=` and the hex SHA-256 of contract §5"),
        ],
        "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": {
                "description": "Stored, or Zalo's empty probe: an empty object",
                "content": {"application/json": {"schema": {"type": "object", "maxProperties": 0}}},
            },
            **refusals(401, 404, 405, 413, 503),
        },
    }


def _callback() -> dict[str, Any]:
    told = {
        200: "The account has its grant",
        400: "A parameter is missing, repeated or unreadable",
        403: "Zalo sent an error instead of a code",
        409: "Another Official Account, or the account has a working grant",
        410: "No login waits for this state",
        422: "Zalo refused the code",
        503: "Zalo or the store cannot be reached, or Zalo's answer was lost",
    }
    page = {"content": {"text/html": {"schema": {"type": "string"}}}}
    return {
        "tags": ["zalo"],
        "operationId": "finishLogin",
        "summary": "Where Zalo sends a person after the consent of `token login`",
        "description": "A page for people, in English and Vietnamese. Each state works once.",
        "parameters": [
            parameter("state", "query", "The state of the link"),
            parameter("code", "query", "The code that Zalo gives, once"),
            parameter("oa_id", "query", "The Official Account that consented"),
        ],
        "responses": {
            **{str(status): {"description": description, **page} for status, description in told.items()},
            **refusals(405),
        },
    }


def _readyz() -> dict[str, Any]:
    told = json_body("Readiness")
    return {
        "tags": ["health"],
        "operationId": "readyz",
        "summary": "Events can be accepted",
        "parameters": [parameter("verbose", "query", "Given at all: list each check")],
        "responses": {
            "200": {"description": "Events can be accepted", **told},
            "503": {"description": "They cannot", **told},
        },
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


def _probe(name: str, summary: str, **told: Any) -> dict[str, Any]:
    schema = {"type": "object", **({"required": list(told), "properties": told} if told else {})}
    return {
        "tags": ["health"],
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {"application/json": {"schema": schema}}}},
    }
