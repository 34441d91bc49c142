"""The Litestar application: every route, and what becomes of calls that no route takes."""

from collections.abc import Sequence
from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send

from gateway.core.errors import GatewayError, InvalidRequest, MethodNotAllowed, NotFound, Unauthenticated

from . import problems
from .accounts import accounts_handlers
from .callbacks import callbacks_handlers
from .consent import consent_handler
from .doors import JSON, Answer, Doors, Headers, answer_of, answer_of_error
from .events import events_handlers
from .health import health_handlers, live_handler
from .mappings import mappings_handlers
from .messages import messages_handlers
from .openapi import document
from .orders import orders_handlers
from .webhooks import webhook_handlers


def make_app(doors: Doors, *, has_public_door: bool) -> Litestar:
    """Our door for services and operators, and also for Zalo unless that has a door of its own."""
    routes: list[ControllerRouterHandler] = [
        *events_handlers(doors),
        *messages_handlers(doors),
        *orders_handlers(doors),
        *accounts_handlers(doors),
        *callbacks_handlers(doors),
        *mappings_handlers(doors),
        *health_handlers(doors),
        _schema_handler(),
    ]
    if not has_public_door:
        routes += _public_handlers(doors)
    return _app(doors, routes)


def make_public_app(doors: Doors) -> Litestar:
    """The door that may face the internet: only what Zalo calls, and whom it sends; no key is told from another."""
    return _app(doors, _public_handlers(doors), asks_for_keys=False)


def _public_handlers(doors: Doors) -> list[ControllerRouterHandler]:
    return [*webhook_handlers(doors), consent_handler(doors), live_handler()]


def _schema_handler() -> Any:
    body = problems.encode(document())

    @get("/schema/openapi.json")
    async def schema() -> Response[bytes]:
        return Response(body, media_type=JSON)

    return schema


def _app(doors: Doors, routes: Sequence[ControllerRouterHandler], *, asks_for_keys: bool = True) -> Litestar:
    def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
        if asks_for_keys:
            try:
                doors.check_key(request.scope)
            except Unauthenticated as unknown:
                return _response(answer_of_error(unknown))
        if isinstance(error, MethodNotAllowedException):
            refusal = MethodNotAllowed("this path does not take that method")
            return _response(
                answer_of_error(refusal, **{name.lower(): it for name, it in (error.headers or {}).items()})
            )
        if error.status_code == 404:
            return _response(answer_of_error(NotFound("there is no such path")))
        return _response(answer_of_error(InvalidRequest("a parameter of the call cannot be read")))

    async def before_request(request: Request[Any, Any, Any]) -> None:
        if request.method == "OPTIONS":  # which no handler of ours answers
            doors.check_key(request.scope)

    def on_error(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        return _response(answer_of(error, doors.observer))

    app = Litestar(
        route_handlers=routes,
        logging_config=None,  # the process's logging is telemetry's
        openapi_config=None,  # ours is made by http/openapi.py, which knows the raw handlers too
        before_request=before_request,
        exception_handlers={
            HTTPException: on_http_error,
            Exception: on_error,
        },
    )
    app.asgi_handler = _gapless(doors, app.asgi_handler)
    return app


def _gapless(doors: Doors, served: ASGIApp) -> ASGIApp:
    """The same, but a path under /v1 with an empty segment leads nowhere: routing would pass over the segment."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if not _has_gap(scope["path"]):
            await served(scope, receive, send)
            return
        refusal: GatewayError = NotFound("there is no such path: a part of it is empty, where an id may belong")
        try:
            doors.caller_of(Headers(scope["headers"]))
        except Unauthenticated as unknown:
            refusal = unknown
        await answer_of_error(refusal).send(send)

    return serve


def _has_gap(path: str) -> bool:
    _, *segments = path.split("/")
    return "" in segments and next(filter(None, segments), "") == "v1"


def _response(answer: Answer) -> Response[bytes]:
    return Response(answer.body, status_code=answer.status, media_type=answer.media_type, headers=answer.headers)
