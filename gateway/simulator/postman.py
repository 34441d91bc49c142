"""Posts what is due: the only part of the simulator that calls out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from gateway.simulator import ledger
from gateway.simulator.line import Lines
from gateway.simulator.webhooks import MOST_UNDER_WAY, Event
from gateway.simulator.zalo import Zalo

ANSWER_WITHIN_S: Final = 2.0
"""Zalo's own limit, in real time."""
CARRIERS: Final = 64
SHORTEST_NAP_S: Final = 0.002


class Postman:
    """Carries events to the webhook address, while it is on duty."""

    def __init__(self, zalo: Zalo) -> None:
        """Off duty."""
        self._zalo = zalo
        self._sooner = asyncio.Event()
        self._waiting: asyncio.Queue[Event] = asyncio.Queue()
        self._lines = Lines()

    @contextlib.asynccontextmanager
    async def on_duty(self) -> AsyncIterator[None]:
        """Inside, what is due is posted; afterwards nothing is under way."""
        zalo = self._zalo
        zalo.deliveries.agenda.on_sooner = self._sooner.set
        zalo.post_now = self.post
        tasks = [asyncio.create_task(self._watch())]
        tasks += [asyncio.create_task(self._carry()) for _ in range(CARRIERS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._lines.close()

    async def post(self, event: Event) -> None:
        """The event was posted once, if there is an address, and the answer noted."""
        url = self._zalo.deliveries.url
        if url is None:
            return
        at = self._zalo.clock.wall()
        status: int | None = None
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                status = await self._lines.post(url, event.headers(), event.body)
        except (OSError, EOFError, ValueError, IndexError):
            status = None
        self._zalo.ledger.posts.add(
            ledger.Post(at, event.event_name, event.msg_id, event.tracking_id, status, event.num_retry)
        )
        self._zalo.deliveries.answered(event, status)

    async def _watch(self) -> None:
        deliveries, clock = self._zalo.deliveries, self._zalo.clock
        while True:
            for event in deliveries.due():
                if self._waiting.qsize() < MOST_UNDER_WAY:
                    self._waiting.put_nowait(event)
            self._sooner.clear()
            due = deliveries.agenda.next_due()
            nap_s = None if due is None else max(SHORTEST_NAP_S, (due - clock.elapsed()) / clock.scale)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._sooner.wait(), nap_s)

    async def _carry(self) -> None:
        while True:
            await self.post(await self._waiting.get())
