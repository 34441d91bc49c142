"""The OpenAPI document's part on accounts."""

from typing import Any, Final

from .openapi_parts import KEY, REF, json_body, parameter, refusals

_ACCOUNT: Final = {**parameter("account", "path", "The account's name in the configuration"), "required": True}


def account_paths() -> dict[str, Any]:
    """What operators ask of accounts, and do to them."""
    return {
        "/v1/accounts": {"get": _list()},
        "/v1/accounts/{account}/pause": {
            "post": _order(
                "pauseAccount",
                "Stop an account, or one template or type of it",
                "Its messages wait as `queued` with reason `operator` and burn no attempts. What is under way ends.",
            )
        },
        "/v1/accounts/{account}/resume": {
            "post": _order(
                "resumeAccount",
                "Let it go again",
                "Ends whatever holds exactly this: an operator's pause, or one that Zalo's answers brought. An "
                "account without a working grant is answered with 409 and the command that cures it.",
            )
        },
    }


def _list() -> dict[str, Any]:
    return {
        "tags": ["accounts"],
        "operationId": "listAccounts",
        "summary": "How each Official Account is: token, quota, queue, pause, and what Zalo told last",
        "description": "For operators.",
        "security": KEY,
        "responses": {
            "200": {"description": "Every account", **json_body("AccountList")},
            **refusals(401, 403, 405, 503),
        },
    }


def _order(name: str, summary: str, description: str) -> dict[str, Any]:
    shape = {"$ref": REF.format(name="Pause")}
    body = {"content": {"application/json": {"schema": shape, "example": {"note": "why"}}}}
    return {
        "tags": ["accounts"],
        "operationId": name,
        "summary": summary,
        "description": f"{description} For operators. An empty body: the whole account.",
        "security": KEY,
        "parameters": [_ACCOUNT],
        "requestBody": body,
        "responses": {
            "200": {"description": "The account as it is now", **json_body("AccountView")},
            **refusals(400, 401, 403, 404, 405, 409, 413, 503),
        },
    }
