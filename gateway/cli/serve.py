"""`serve` and `simulator`: the processes that stay."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager

import click
import uvloop

from gateway.config import Loaded
from gateway.core.errors import CannotStart
from gateway.core.grant import Rotated
from gateway.grants import adopt
from gateway.simulator import Simulator
from gateway.storage import SqliteStore, open_store
from gateway.telemetry import Telemetry, quiet_libraries
from gateway.wiring import now, running
from gateway.zalo.oauth import read_grant

from .descriptors import raise_descriptors
from .listener import Listener, bound
from .simulated import caller_key, load_simulated
from .terminal import Asking, err, out, pretty, with_config


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
async def serving(
    loaded: Loaded, store: SqliteStore, *, log_level: str, simulated: Simulator | None = None
) -> AsyncIterator[str]:
    """A gateway that answers at the URL that comes with it, and has drained after the context.

    Where a simulator is given, it has authorised the gateway, and calls the first account's webhook.
    """
    telemetry = Telemetry(level=log_level)
    server = loaded.settings.server
    async with AsyncExitStack() as stack:
        # Before anything else: a gateway without a door must neither begin to send nor take a grant from one that has.
        door = stack.enter_context(closing(bound(server.host, server.port)))
        public = (
            stack.enter_context(closing(bound(server.host, server.public_port))) if server.public_port else None
        )
        if simulated is not None:
            await _authorise(loaded, store, simulated)
        gateway = await stack.enter_async_context(running(loaded, telemetry, store))
        listener = facing_zalo = Listener(gateway.app, door)
        if gateway.public_app is not None and public is not None:
            facing_zalo = Listener(gateway.public_app, public)
            await stack.enter_async_context(facing_zalo.serving())
        await stack.enter_async_context(listener.serving())
        # Drained while the doors still answer: who comes now is told to come back, not cut off.
        stack.push_async_callback(gateway.drain)
        stack.callback(telemetry.fact, "stopping")
        stack.enter_context(_calling_on(signal.SIGHUP, gateway.reload))
        telemetry.fact("listening", url=listener.url)
        gc.collect()
        gc.freeze()  # what is here now stays: looking through it again and again would cost each message its share
        if simulated is not None:
            simulated.webhook_to(f"{facing_zalo.url}/webhooks/zalo/{next(iter(loaded.settings.accounts))}")
        yield listener.url


@contextmanager
def _calling_on(number: signal.Signals, callback: Callable[[], None]) -> Iterator[None]:
    """The signal means this for as long as the context lasts, and nothing after it."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(number, callback)
    try:
        yield
    finally:
        loop.add_signal_handler(number, lambda: None)  # not its default, which would end the process


async def _authorise(loaded: Loaded, store: SqliteStore, simulated: Simulator) -> None:
    """Every account has a fresh grant of the simulator's; raises CannotStart where another gateway uses the old ones."""
    if store.is_served:
        raise CannotStart(
            f"another gateway serves on the simulated store {loaded.settings.store.url}, and a new simulator would "
            "end its grant: stop it first, or set another store.url"
        )
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
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="The least serious lines that the log has; debug adds one for each accepted event.",
)
@click.pass_obj
def serve(asking: Asking, is_simulated: bool, log_level: str) -> None:
    """Run the gateway.

    Prints `listening on http://…` when it answers. SIGTERM: no new events, those under way are finished. SIGHUP:
    the mappings are loaded anew, as they are soon after a file has changed.
    """
    with uvloop_runner() as runner:
        runner.run(_serve_simulated(asking, log_level) if is_simulated else _serve(asking, log_level))


async def _serve(asking: Asking, log_level: str) -> None:
    loaded = asking.load()
    settings = loaded.settings
    store = await open_store(
        settings.store.url,
        settings.sealing_keys(),
        is_simulated=settings.zalo.is_simulated,
        told=settings.told(),
        serves=True,
    )
    try:
        with _stop_signal() as stopped:
            async with serving(loaded, store, log_level=log_level) as url:
                out.print(f"listening on {url}", markup=False)
                await stopped.wait()
    finally:
        await store.aclose()


async def _serve_simulated(asking: Asking, log_level: str) -> None:
    async with simulating() as (simulated, simulator_url):
        loaded = load_simulated(asking.config, simulated.credentials(), simulator_url)
        settings = loaded.settings
        store = await open_store(
            settings.store.url, settings.sealing_keys(), is_simulated=True, told=settings.told(), serves=True
        )
        try:
            with _stop_signal() as stopped:
                async with serving(loaded, store, log_level=log_level, simulated=simulated) as url:
                    out.print(f"simulator on {simulator_url}", markup=False)
                    for caller in settings.callers:
                        out.print(f"caller {caller}: Authorization: Bearer {caller_key(caller)}", markup=False)
                    out.print(f"listening on {url}", markup=False)
                    await stopped.wait()
        finally:
            await store.aclose()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 for every address.")
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
        with _stop_signal() as stopped:
            async with listener.serving():
                out.print(f"listening on {listener.url}", markup=False)
                await stopped.wait()
                simulated.hang_up()

    with uvloop_runner() as runner:
        runner.run(simulate())


@contextmanager
def uvloop_runner() -> Iterator[asyncio.Runner]:
    """Runs coroutines on uvloop; libraries' own logging is kept to warnings, as JSON lines."""
    raise_descriptors()
    quiet_libraries(sys.stderr.buffer)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@contextmanager
def _stop_signal() -> Iterator[asyncio.Event]:
    """The event is set when somebody wants this process to end; a second signal ends it at once."""
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
    yield stopped
