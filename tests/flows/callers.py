"""Callers that are told: an outbox that can fail, and endpoints that answer what they are told to."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from gateway.core.callback import Callback
from gateway.core.errors import Unavailable
from gateway.ports import Called, Clock
from gateway.storage.memory_outbox import MemoryOutbox

from .stage import NOON

T = TypeVar("T")

TAKEN = Called(200)
REFUSED = Called(None, "refused")
SILENCE_S = 12.0
"""How long an endpoint that never answers is waited for."""


class Shelf(MemoryOutbox):
    """The Outbox of the MemoryStore. `fails` names the operations that fail from now on; `loses` those done unconfirmed."""

    def __init__(self) -> None:
        super().__init__(())
        self.fails: set[str] = set()
        self.loses: set[str] = set()
        self.counts: dict[str, int] = {}
        self.opening: asyncio.Event | None = None

    def put(self, caller: str, now: datetime, *, count: int = 1) -> list[str]:
        """New callbacks for the caller are due now; their ids."""
        ids = [f"{caller}-{len(self._callbacks) + number}" for number in range(count)]
        self._put(Callback(id_, caller, "message.sent", now, f'{{"id":"{id_}"}}'.encode()) for id_ in ids)
        return ids

    def kept(self, id_: str) -> Callback:
        return self._callbacks[id_].callback

    @property
    def pending(self) -> dict[str, datetime]:
        """When each callback is due that has not ended."""
        return {id_: it.due_at for id_, it in self._callbacks.items() if it.due_at is not None}

    async def due_callers(self, now: datetime) -> Collection[str]:
        return await self._do("due_callers", super().due_callers(now))

    async def take_callbacks(
        self, caller: str, now: datetime, *, until: datetime, limit: int
    ) -> Sequence[Callback]:
        return await self._do("take_callbacks", super().take_callbacks(caller, now, until=until, limit=limit))

    async def settle_callback(self, callback_id: str, *, taken_until: datetime, next_at: datetime | None) -> None:
        step = super().settle_callback(callback_id, taken_until=taken_until, next_at=next_at)
        await self._do("settle_callback", step)

    async def _do(self, name: str, step: Coroutine[Any, Any, T]) -> T:
        self.counts[name] = self.counts.get(name, 0) + 1
        try:
            await asyncio.sleep(0)
            if self.opening is not None:
                await self.opening.wait()
            if name in self.fails:
                raise Unavailable(f"{name} fails")
        except BaseException:
            step.close()
            raise
        result = await step
        await asyncio.sleep(0)
        if name in self.loses:
            raise Unavailable(f"{name} is not confirmed")
        return result


class Call(msgspec.Struct):
    """One call of an endpoint; `ended_at` is None while it is under way."""

    callback: Callback
    at: datetime
    ended_at: datetime | None = None
    answer: Called | None = None


Rule = Callable[[Callback], Called | None]
"""What an endpoint answers; None: it never does, and the client gives up after a while."""


class Endpoints:
    """The Endpoint of every caller: takes all, unless a rule says otherwise; remembers every call."""

    def __init__(self, clock: Clock, log: list[Call] | None = None) -> None:
        self.clock = clock
        self.rules: dict[str, Rule] = {}
        self.takes_s = 0.05
        self.calls: list[Call] = log if log is not None else []
        self.most: dict[str, int] = {}
        self._under_way: dict[str, int] = {}

    async def call(self, callback: Callback, now: datetime) -> Called:
        call = Call(callback, now)
        self.calls.append(call)
        caller = callback.caller
        self._under_way[caller] = self._under_way.get(caller, 0) + 1
        self.most[caller] = max(self.most.get(caller, 0), self._under_way[caller])
        try:
            rule = self.rules.get(caller)
            answer = TAKEN if rule is None else rule(callback)
            await asyncio.sleep(SILENCE_S if answer is None else self.takes_s)
            call.answer = Called(None, "timed-out") if answer is None else answer
            return call.answer
        finally:
            call.ended_at = self.clock()
            self._under_way[caller] -= 1

    def of(self, id_: str) -> list[Call]:
        """The calls with this callback."""
        return [call for call in self.calls if call.callback.id == id_]

    def ages(self, id_: str) -> list[float]:
        """When it was called, in seconds after noon."""
        return [(call.at - NOON) / timedelta(seconds=1) for call in self.of(id_)]
