"""`POST /webhooks/zalo/{account}`: Zalo's events, stored before they are answered."""

from typing import Final

from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from gateway.core.errors import Unauthenticated

from .doors import Answer, Doors, Headers, answer_of_error, read_body, serve_post

MAX_BODY_BYTES: Final = 64 * 1024


def webhook_handlers(doors: Doors) -> list[ASGIRouteHandler]:
    """One handler an account: Litestar gives raw handlers no path parameters, and the accounts are known."""
    return [_handler(doors, account) for account in sorted(doors.accounts)]


def _handler(doors: Doors, account: str) -> ASGIRouteHandler:
    async def take(_: Doors, headers: Headers, receive: Receive) -> Answer:
        body = await read_body(headers, receive, MAX_BODY_BYTES)
        signature, server = headers.get(b"x-zevent-signature"), headers.get(b"x-zevent-server")
        if not await doors.receipts.take(account, signature, server, body):
            forged = Unauthenticated(
                "the signature is not Zalo's, or no webhook secret is configured for the account"
            )
            return answer_of_error(forged, **{"www-authenticate": "X-ZEvent-Signature"})
        return Answer(200, b"{}")

    @asgi(f"/webhooks/zalo/{account}", copy_scope=False)
    async def receive_webhook(scope: Scope, receive: Receive, send: Send) -> None:
        await serve_post(doors, scope, receive, send, take)

    return receive_webhook
