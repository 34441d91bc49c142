"""What the OpenAPI document says of callbacks: how to have them posted once more, and what arrives."""

from typing import Any, Final

from gateway.core.callback import TOLD

from .callbacks import ReplayRequest, ReplayView
from .openapi_parts import KEY, REF, json_body, parameter, refusals

SHAPES: Final = (ReplayRequest, ReplayView)

_MESSAGE_TYPES: Final = [f"message.{status}" for status in sorted(TOLD)]
_OPERATOR_TYPES: Final = [
    "account.paused",
    "account.resumed",
    "feedback.received",
    "quota.changed",
    "template.changed",
]


def replay_callbacks() -> dict[str, Any]:
    """The call that posts callbacks once more."""
    moment = "2026-11-23T08:00:00Z"
    return {
        "tags": ["callbacks"],
        "operationId": "replayCallbacks",
        "summary": "Have callbacks posted once more",
        "description": (
            "Those with these ids (each a `webhook-id`), or those made from `since` on and before `until`; also those "
            "that were taken. They are tried for a day from now on. A sender's own; an operator's: everybody's, or "
            "those of one `caller`."
        ),
        "security": KEY,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": REF.format(name="ReplayRequest")},
                    "example": {"since": moment, "until": moment.replace("T08", "T09")},
                }
            },
        },
        "responses": {
            "202": {"description": "How many are posted once more", **json_body("ReplayView")},
            **refusals(400, 401, 403, 405, 413, 503),
        },
    }


def webhooks() -> dict[str, Any]:
    """What is posted to the URL in a caller's `callback`."""
    account = {"type": "object", "required": ["account"], "properties": {"account": {"type": "string"}}}
    told = "Told to the caller of a message that has come to a new status"
    return {
        "message": {"post": _arrival("message", told, _MESSAGE_TYPES, {"$ref": REF.format(name="MessageView")})},
        "account": {"post": _arrival("account", "Told to operators of an account", _OPERATOR_TYPES, account)},
    }


def _arrival(name: str, summary: str, types: list[str], data: dict[str, Any]) -> dict[str, Any]:
    body = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"enum": types},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": data,
        },
    }
    headers = {
        "webhook-id": "The same at every try",
        "webhook-timestamp": "When this try was signed, in Unix seconds",
        "webhook-signature": "`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`; one for each secret, with spaces between them",
    }
    return {
        "tags": ["callbacks"],
        "operationId": f"{name}Callback",
        "summary": summary,
        "description": "Standard Webhooks. At least once, in no order: trust `data.updated_at`.",
        "parameters": [{**parameter(it, "header", text), "required": True} for it, text in headers.items()],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "2XX": {"description": "Taken; it is not posted again"},
            "410": {"description": "Nothing more is posted until the gateway reloads"},
            "default": {"description": "Posted again, for a day; `Retry-After` is obeyed"},
        },
    }
