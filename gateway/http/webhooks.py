"""`POST /webhooks/zalo/{account}`: Zalo's events, stored before they are answered."""

from typing import Any, Final

from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from gateway.core.errors import GatewayError, MethodNotAllowed, Unauthenticated

from .doors import Answer, Disconnected, Doors, answer_of_error, answer_of_surprise, headers_in, read_body

MAX_BODY: Final = 64 * 1024


def webhook_handlers(doors: Doors) -> list[ASGIRouteHandler]:
    """One handler an account: Litestar gives raw handlers no path parameters, and the accounts are known."""
    return [_handler(doors, account) for account in sorted(doors.accounts)]


def _handler(doors: Doors, account: str) -> ASGIRouteHandler:
    @asgi(f"/webhooks/zalo/{account}", copy_scope=False)
    async def receive_webhook(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await _receive(doors, account, scope, receive)
        except GatewayError as error:
            answer = answer_of_error(error)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - Zalo tries again after anything but a 200
            answer = answer_of_surprise(error, doors.observer)
        await answer.send(send)

    return receive_webhook


async def _receive(doors: Doors, account: str, scope: Any, receive: Receive) -> Answer:
    if scope["method"] != "POST":
        raise MethodNotAllowed("only POST")
    headers = headers_in(scope)
    body = await read_body(headers, receive, MAX_BODY)
    signature, server = headers.get(b"x-zevent-signature"), headers.get(b"x-zevent-server")
    if not await doors.receipts.take(account, signature, server, body):
        raise Unauthenticated("the signature is not Zalo's, or no webhook secret is configured for the account")
    return Answer(200, b"{}")
