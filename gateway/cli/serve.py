"""`serve` and `simulator`: the processes that stay."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from typing import Any, Final

import click
import uvicorn
import uvloop

from gateway.config import Loaded
from gateway.core.errors import CannotStart
from gateway.core.grant import Rotated
from gateway.simulator import Simulator
from gateway.storage import SqliteStore, open_store
from gateway.telemetry import Telemetry, quiet_libraries
from gateway.tokens import adopt
from gateway.wiring import now, running
from gateway.zalo.wire import read_grant

from .simulated import caller_key, load_simulated
from .terminal import Asking, err, out, pretty, with_config

_GRACE_S: Final = 5  # for answers that are ready; whoever has not taken his by then is cut off
_BACKLOG: Final = 2048


class _Server(uvicorn.Server):
    """A uvicorn server whose signals are ours, since several run in one loop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """One HTTP server on one address."""

    def __init__(self, app: Any, listening: socket.socket, *, has_lifespan: bool = False) -> None:
        self._socket = listening
        self.url = "http://{}:{}".format(*_shown(listening.getsockname()))
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on" if has_lifespan else "off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._server = _Server(config)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answers for as long as the context lasts, then finishes what it has begun."""
        task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        try:
            while not self._server.started:
                if task.done():
                    raise CannotStart(f"the server on {self.url} could not start")
                await asyncio.sleep(0.005)
            yield
        finally:
            self._server.should_exit = True
            await task
            self._socket.close()


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there; raises CannotStart."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror}; choose another port") from error
    listening.listen(_BACKLOG)
    return listening


def _shown(address: tuple[Any, ...]) -> tuple[str, int]:
    host, port = address[0], address[1]
    return (f"[{host}]" if ":" in host else host), port


@asynccontextmanager
async def simulating(port: int = 0, *, is_realistic: bool = False) -> AsyncIterator[tuple[Simulator, str]]:
    """A simulator that answers at the URL that comes with it."""
    simulated = Simulator(realistic=is_realistic)
    listener = Listener(simulated.app, bound("127.0.0.1", port), has_lifespan=True)
    async with listener.serving():
        try:
            yield simulated, listener.url
        finally:
            simulated.hang_up()


@asynccontextmanager
async def serving(loaded: Loaded, store: SqliteStore, *, log_level: str) -> AsyncIterator[str]:
    """A gateway that answers at the URL that comes with it, and has drained after the context."""
    telemetry = Telemetry(level=log_level)
    server = loaded.settings.server
    async with AsyncExitStack() as stack:
        # Before anything runs: a gateway without a door must not begin to send.
        door = stack.enter_context(closing(bound(server.host, server.port)))
        public = (
            stack.enter_context(closing(bound(server.host, server.public_port))) if server.public_port else None
        )
        gateway = await stack.enter_async_context(running(loaded, telemetry, store))
        listener = Listener(gateway.app, door)
        if gateway.public_app is not None and public is not None:
            await stack.enter_async_context(Listener(gateway.public_app, public).serving())
        await stack.enter_async_context(listener.serving())
        # Drained while the doors still answer: who comes now is told to come back, not cut off.
        stack.push_async_callback(gateway.drain)
        stack.callback(telemetry.fact, "stopping")
        telemetry.fact("listening", url=listener.url)
        yield listener.url


async def authorise(loaded: Loaded, store: SqliteStore, simulated: Simulator) -> None:
    """Every account has a fresh grant of the simulator's."""
    for account in loaded.settings.accounts:
        grant = simulated.credentials()["grant"]
        pair = read_grant(200, pretty(grant).encode(), "")
        if not isinstance(pair, Rotated):
            raise CannotStart("the simulator gave no usable grant")
        await adopt(store, account, pair, now(), may_replace=True)


@click.command()
@with_config
@click.option(
    "--simulator", "is_simulated", is_flag=True, help="Start the built-in Zalo simulator beside it, authorised."
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.pass_obj
def serve(asking: Asking, is_simulated: bool, log_level: str) -> None:
    """Run the gateway.

    Prints `listening on http://…` when it answers. SIGTERM: no new events, those under way are finished.

    \b
    Examples:
      zns-gateway serve
      zns-gateway serve --simulator          # try it: no Zalo account, no variables needed
    """
    with uvloop_runner() as runner:
        runner.run(_serve_simulated(asking, log_level) if is_simulated else _serve(asking, log_level))


async def _serve(asking: Asking, log_level: str) -> None:
    loaded = asking.load()
    settings = loaded.settings
    store = await open_store(settings.store.url, settings.sealing_keys(), is_simulated=settings.zalo.is_simulated)
    try:
        async with serving(loaded, store, log_level=log_level) as url:
            out.print(f"listening on {url}", markup=False)
            await _stop_signal()
    finally:
        await store.aclose()


async def _serve_simulated(asking: Asking, log_level: str) -> None:
    async with simulating() as (simulated, simulator_url):
        loaded = load_simulated(asking.config, simulated.credentials(), simulator_url)
        settings = loaded.settings
        store = await open_store(settings.store.url, settings.sealing_keys(), is_simulated=True)
        try:
            await authorise(loaded, store, simulated)
            async with serving(loaded, store, log_level=log_level) as url:
                simulated.webhook_to(f"{url}/webhooks/zalo/{next(iter(settings.accounts))}")
                out.print(f"simulator on {simulator_url}", markup=False)
                for caller in settings.callers:
                    out.print(f"caller {caller}: Authorization: Bearer {caller_key(caller)}", markup=False)
                out.print(f"listening on {url}", markup=False)
                await _stop_signal()
        finally:
            await store.aclose()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=9100, show_default=True, help="0 picks a free one.")
@click.option("--realistic", is_flag=True, help="Receipts come after 3 to 10 s, not 0.5 s.")
@click.option("--webhook", help="Where webhooks go; POST /__sim/webhook changes it.")
def simulator(host: str, port: int, realistic: bool, webhook: str | None) -> None:
    """Run the Zalo simulator alone.

    `GET /__sim/credentials` gives everything that a gateway needs to use it; docs/simulator.md tells the rest.
    """

    async def simulate() -> None:
        simulated = Simulator(realistic=realistic)
        simulated.webhook_to(webhook)
        listener = Listener(simulated.app, bound(host, port), has_lifespan=True)
        async with listener.serving():
            out.print(f"listening on {listener.url}", markup=False)
            await _stop_signal()
            simulated.hang_up()

    with uvloop_runner() as runner:
        runner.run(simulate())


@contextmanager
def uvloop_runner() -> Iterator[asyncio.Runner]:
    """Runs coroutines on uvloop; libraries' own logging is kept to warnings, as JSON lines."""
    quiet_libraries(sys.stderr.buffer)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


async def _stop_signal() -> None:
    """Somebody wants this process to end; a second signal ends it at once."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop(name: str) -> None:
        if stopped.is_set():
            os._exit(130)
        if err.is_terminal:  # elsewhere standard error is the log, one JSON object a line
            err.print(f"{name}: finishing what is under way; again to end at once", style="faint")
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)
    with contextlib.suppress(asyncio.CancelledError):
        await stopped.wait()
