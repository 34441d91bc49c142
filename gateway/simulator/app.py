"""The simulator behind HTTP: a Litestar app whose every route is a plain function of the request."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, cast

from litestar import Litestar, asgi
from litestar.types import ASGIApp, LifeSpanReceive, LifeSpanScope, LifeSpanSend, Receive, Scope, Send

from gateway.simulator import business, control, routes
from gateway.simulator.clock import Clock
from gateway.simulator.codes import Refusal
from gateway.simulator.exchange import SERVER_SEND, Asked, Told, read, tell
from gateway.simulator.postman import Postman
from gateway.simulator.routes import Endpoint
from gateway.simulator.zalo import Zalo

_log: Final = logging.getLogger(__name__)
_PATH: Final = "zalo.simulator.path"


class _App(Litestar):
    """Litestar, with what it hides kept in the scope, and a short cut past its router for sends.

    The short cut takes a third off the cost of a send, and sends are what benchmarks are made of.
    """

    short_cuts: Mapping[str, ASGIApp] = {}

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        http = cast("dict[str, Any]", scope)
        if http["type"] == "http":
            http[SERVER_SEND], http[_PATH] = send, http["path"]
            if (serve := self.short_cuts.get(http["path"])) is not None:
                await serve(cast("Scope", scope), cast("Receive", receive), cast("Send", send))
                return
        await super().__call__(scope, receive, send)


class Simulator:
    """A Zalo to run: `app` is an ASGI app whose lifespan starts and stops what runs in the background."""

    def __init__(self, realistic: bool = False, seed: int | None = None, scale: float = 1.0) -> None:
        """Ready to be served; `seed` fixes tokens, message ids and the realistic delays."""
        self.zalo = Zalo(realistic=realistic, seed=seed, clock=Clock(scale))
        self._closing = asyncio.Event()
        served = {path: self._serving(path, call) for path, call in routes.endpoints(self.zalo).items()}
        app = _App(
            route_handlers=[
                *(asgi(path, copy_scope=False)(serve) for path, serve in served.items()),
                asgi("/", is_mount=True, copy_scope=False)(self._serve_rest),
            ],
            lifespan=[self._lifespan],
            openapi_config=None,
            logging_config=None,
        )
        app.short_cuts = {path: served[path] for path in routes.HOT}
        self.app: Litestar = app

    def credentials(self) -> dict[str, Any]:
        """What `GET /__sim/credentials` answers, with a fresh grant that is a chain of its own."""
        return self.zalo.credentials()

    def webhook_to(self, url: str | None) -> None:
        """Webhooks go there from now on; None stops them. `ValueError` if nothing can be posted there."""
        self.zalo.deliveries.url = control.webhook_url_of(url)

    def hang_up(self) -> None:
        """Connections that a fault keeps silent or slow are closed, now and from now on.

        To be called before the server is stopped, which would otherwise wait for them.
        """
        self._closing.set()

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        async with Postman(self.zalo).on_duty():
            yield

    def _serving(self, path: str, endpoint: Endpoint) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            await self._serve(endpoint, path, scope, receive, send)

        return serve

    async def _serve_rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = cast("dict[str, Any]", scope).get(_PATH, "/")
        await self._serve(lambda asked: routes.unknown(self.zalo, asked), path, scope, receive, send)

    async def _serve(self, endpoint: Endpoint, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        asked = await read(path, scope, receive)
        if asked is not None:
            await tell(_answer(endpoint, asked), scope, receive, send, self._closing)


def _answer(endpoint: Endpoint, asked: Asked) -> Told:
    """What the endpoint tells; a mistake of ours is logged, and told as -100 rather than as a 5xx."""
    try:
        return endpoint(asked)
    except Exception:  # noqa: BLE001  whatever comes in, the answer is Zalo's
        _log.exception("the simulator failed at %s", asked.path)
        return business.refused(Refusal(-100))
