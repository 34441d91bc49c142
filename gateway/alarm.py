"""When the backlog has its next turn: every half second, and sooner where somebody knows of something to do."""

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Final

from .ports import Clock

TICK_S: Final = 0.5
_SHORTEST_S: Final = 0.01


class Alarm:
    """Wakes whoever waits, at the soonest of the moments that it was set to."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wake = asyncio.Event()
        self._soonest: datetime | None = None

    def at(self, moment: datetime | None) -> None:
        """The next turn comes no later than `moment`."""
        if moment is None or (self._soonest is not None and moment >= self._soonest):
            return
        self._soonest = moment
        if self._left_s() < TICK_S:
            self._wake.set()

    def begin(self) -> None:
        """A turn begins: what was to be done by now is being done."""
        if self._soonest is not None and self._soonest <= self._clock():
            self._soonest = None

    async def wait(self) -> None:
        """It is time for the next turn."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(TICK_S, max(_SHORTEST_S, self._left_s()))):
                await self._wake.wait()
        self._wake.clear()

    def _left_s(self) -> float:
        return TICK_S if self._soonest is None else (self._soonest - self._clock()).total_seconds()
