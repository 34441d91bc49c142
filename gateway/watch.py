"""Looks at the whole now and then: how much waits, which account has stopped, what has outlived its retention."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from .core.errors import Unavailable
from .ports import Clock, Depth, Ledger, Observer, Outbox, Untold

SHORTEST_RETENTION: Final = timedelta(days=7)  # the identity of an event is kept at least so long
_LOOK_EVERY_S: Final = 1.0
_SWEEP_EVERY: Final = timedelta(minutes=1)

Note = Callable[[Sequence[Depth], Sequence[Untold], datetime], None]


class Watch:
    """Keeps the numbers true and the store from growing without end."""

    def __init__(
        self,
        ledger: Ledger,
        outbox: Outbox,
        announce: Callable[[], Awaitable[None]],
        note: Note,
        clock: Clock,
        observer: Observer,
        *,
        max_queued: int,
        retention: timedelta,
        receipts_kept_for: timedelta,
    ) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._announce = announce
        self._note = note
        self._clock = clock
        self._observer = observer
        self._max_queued = max_queued
        self._retention = max(retention, SHORTEST_RETENTION)
        self._receipts_kept_for = receipts_kept_for
        self._queued = 0
        self._swept_at: datetime | None = None
        self._stopping = asyncio.Event()

    def is_full(self) -> bool:
        """True while as many messages are queued as may be."""
        return self._queued >= self._max_queued

    def count(self) -> None:
        """One more message is queued since the last look, or about to be."""
        self._queued += 1

    def discount(self) -> None:
        """One that was counted is not queued after all."""
        self._queued = max(0, self._queued - 1)

    async def look(self) -> None:
        """The numbers, and the limit, go by how it is now."""
        depths = await self._ledger.depths()
        self._queued = sum(depth.count for depth in depths)
        self._note(depths, await self._outbox.untold(), self._clock())

    async def run(self) -> None:
        """Looks every second and sweeps every minute, until `stop`."""
        while not self._stopping.is_set():
            try:
                await self.look()
                await self._announce()
                await self._sweep()
            except Unavailable as error:
                self._observer.fact("store-unavailable", doing="watch", cause=str(error.__cause__ or error))
            except Exception as error:  # noqa: BLE001 - the numbers must not go stale for one bad look
                self._observer.fact("turn-failed", error=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._stopping.wait()

    def stop(self) -> None:
        """`run` ends."""
        self._stopping.set()

    async def _sweep(self) -> None:
        now = self._clock()
        if self._swept_at is not None and now < self._swept_at + _SWEEP_EVERY:
            return
        self._swept_at = now
        final_before, receipts_before = now - self._retention, now - self._receipts_kept_for
        count = await self._ledger.sweep(now, final_before=final_before, receipts_before=receipts_before)
        if count:
            self._observer.fact("swept", count=count)
