"""A gateway's life: what is known before it serves, what works by itself, in which order it comes to rest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.config import Loaded
from gateway.storage import SqliteStore
from gateway.telemetry import Telemetry

from .from_settings import now
from .parts import Parts


class Gateway(Parts):
    """A gateway: its doors, and everything behind them that runs and must be brought to rest."""

    async def prepare(self) -> None:
        """What the store holds is known, and what dead processes left open is concluded."""
        await self.gates.reload(now())
        await self.tokens.look()
        await self.dispatch.recover()
        await self.watch.look()

    async def run(self) -> None:
        """Everything that works by itself works, until `aclose`."""
        works = (
            self.backlog.run,
            self.receipts.run,
            self.silence.run,
            self.quotas.run,
            self.callbacks.run,
            self.watch.run,
            self.mappings.run,
        )
        await asyncio.gather(*(work() for work in works))

    def reload(self) -> None:
        """The files are looked at again, and every endpoint is called again."""
        self.mappings.ask()
        self.callbacks.reload()

    async def drain(self) -> None:
        """Nothing new is accepted, every request under way has its outcome recorded, nobody waits any more."""
        self.tokens.stop()
        self.silence.stop()
        self.quotas.stop()
        await self.intake.drain()
        await self.orders.drain()
        await self.backlog.drain()
        await self.dispatch.drain()
        self.waiting.close()

    async def aclose(self) -> None:
        """Drained, and no connection is open any more."""
        await self.drain()
        self.receipts.stop()
        self.watch.stop()
        self.mappings.stop()
        await self.callbacks.drain()
        await self.logins.aclose()
        await self.tokens.aclose()
        await self.endpoints.aclose()
        await self.zalo.aclose()


@asynccontextmanager
async def running(loaded: Loaded, telemetry: Telemetry, store: SqliteStore) -> AsyncIterator[Gateway]:
    """A gateway that works for as long as the context lasts, and has drained after it."""
    gateway = Gateway(loaded, telemetry, store)
    works: list[asyncio.Task[None]] = []
    try:
        await gateway.prepare()
        works.append(asyncio.create_task(gateway.run()))
        yield gateway
    finally:
        await gateway.aclose()
        await asyncio.gather(*works)
