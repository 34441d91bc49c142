"""The OpenAPI document's part on what operators do to messages."""

from typing import Any, Final

from gateway.core.orders import Order, statuses_for

from .openapi_parts import KEY, REF, header, json_body, parameter, refusals

_TRACKING_ID: Final = {**parameter("tracking_id", "path", "The message's tracking_id"), "required": True}


def order_paths() -> dict[str, Any]:
    """What operators order of one message, and of many."""
    return {
        "/v1/messages/{tracking_id}/cancel": {
            "post": _one(
                "cancelMessage",
                "Cancel a queued message",
                "A second try that has not begun is given up: the message is `unknown` or `undelivered` again.",
                _body("Noted"),
            )
        },
        "/v1/messages/{tracking_id}/resend": {
            "post": _one(
                "resendMessage",
                "Send a message once more",
                "Fills it again from its event by the mapping in force, and starts its expiry anew. The customer may get "
                "a second message if it was `unknown`. A 422 says why the mapping refuses the event now; then nothing "
                "has changed.",
                _body("Noted"),
                422,
            )
        },
        "/v1/messages/{tracking_id}/settle": {
            "post": _one(
                "settleMessage",
                "Say what became of an unknown message",
                "For what a person has found out at Zalo.",
                _body("Settlement", {"status": "delivered", "note": "Zalo's console has it"}, required=True),
            )
        },
        "/v1/messages/cancel": {"post": _many("cancel")},
        "/v1/messages/resend": {"post": _many("resend")},
    }


def _one(name: str, summary: str, description: str, body: dict[str, Any], *further: int) -> dict[str, Any]:
    return {
        "tags": ["messages"],
        "operationId": name,
        "summary": summary,
        "description": f"{description} For operators.",
        "security": KEY,
        "parameters": [_TRACKING_ID],
        "requestBody": body,
        "responses": {
            "202": {
                "description": "The message as it is now",
                "headers": {"Location": header("Where to ask what became of it")},
                **json_body("MessageView"),
            },
            **refusals(400, 401, 403, 404, 405, 409, 413, *further, 503),
        },
    }


def _many(order: Order) -> dict[str, Any]:
    allowing = ", ".join(f"`{status}`" for status in sorted(statuses_for(order)))
    return {
        "tags": ["messages"],
        "operationId": f"{order}Messages",
        "summary": f"{order.capitalize()} every message that the filters of the list find",
        "description": (
            f"Of what they find, those that are {allowing}. Ask with `dry_run` first: if there are more or fewer than "
            "`expect`, nothing is done. Goes on when the client goes away. For operators."
        ),
        "security": KEY,
        "requestBody": _body("OrderToMany", {"type": "order.paid", "dry_run": True}, required=True),
        "responses": {
            "200": {"description": "Of a dry run: how many it would be", **json_body("Count")},
            "202": {
                "description": "What became of them; `refused` has the first hundred of those that nothing was done to",
                **json_body("Report"),
            },
            **refusals(400, 401, 403, 405, 409, 413, 503),
        },
    }


def _body(name: str, example: dict[str, Any] | None = None, *, required: bool = False) -> dict[str, Any]:
    schema = {"$ref": REF.format(name=name)}
    content = {"schema": schema, "example": example or {"note": "why"}}
    return {"required": required, "content": {"application/json": content}}
