"""Callers are told, at least once, what became of their messages.

Each caller has a lane of its own: a dead or slow endpoint holds up nobody but itself.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from .core.callback import Callback, is_over, next_call
from .core.endpoint import GONE, HOPELESS_AFTER, Disabled, Standing, after_failure, is_taken
from .core.errors import Unavailable
from .ports import Called, Chance, Clock, Endpoint, Observer, Outbox, Replay

DEADLINE: Final = timedelta(seconds=12)
"""How long one call may take, the connection included."""

AT_ONCE: Final = 8
_MARGIN: Final = timedelta(seconds=5)
_LOOK_EVERY_S: Final = 0.5
_CURE: Final = "let the endpoint answer 2xx again, then reload: kill -HUP <pid of zns-gateway serve>"


class _Lane:
    """One caller: how its endpoint does, and the calls under way."""

    def __init__(self, caller: str) -> None:
        self.caller = caller
        self.standing = Standing()
        self.disabled: Disabled | None = None
        self.calls: set[asyncio.Task[None]] = set()
        self.wake = asyncio.Event()
        self.has_more = False  # something may be due that there was no room for


class Callbacks:
    """Calls the endpoints of callers with what is due, tries again, and gives up on what cannot be told."""

    def __init__(
        self,
        outbox: Outbox,
        endpoint: Endpoint,
        callers: Iterable[str],
        clock: Clock,
        chance: Chance,
        observer: Observer,
        *,
        at_once: int = AT_ONCE,
    ) -> None:
        self._outbox = outbox
        self._endpoint = endpoint
        self._lanes = {caller: _Lane(caller) for caller in callers}
        self._clock = clock
        self._chance = chance
        self._observer = observer
        self._at_once = at_once
        self._stopping = asyncio.Event()

    @property
    def disabled(self) -> Mapping[str, Disabled]:
        """By caller, the endpoints that are called no more until a reload."""
        return {lane.caller: lane.disabled for lane in self._lanes.values() if lane.disabled is not None}

    def wake(self, caller: str) -> None:
        """A callback of this caller may be due now, if it has an endpoint at all."""
        if (lane := self._lanes.get(caller)) is not None:
            lane.wake.set()

    def reload(self) -> None:
        """Every endpoint is called again, as if it had never failed."""
        for lane in self._lanes.values():
            if lane.disabled is not None:
                self._observer.fact("endpoint-enabled", caller=lane.caller)
            lane.standing, lane.disabled = Standing(), None
            lane.wake.set()

    async def replay(self, replay: Replay) -> int:
        """The callbacks that are meant are posted again, from now on for a day; how many those are."""
        count = await self._outbox.replay_callbacks(replay, self._clock())
        self._observer.fact("callbacks-replayed", caller=replay.caller, count=count)
        for caller in self._lanes if replay.caller is None else (replay.caller,):
            self.wake(caller)
        return count

    async def run(self) -> None:
        """Calls what is due, until `drain`; one bad turn of the store does not end it."""
        async with asyncio.TaskGroup() as lanes:
            for lane in self._lanes.values():
                lanes.create_task(self._serve(lane))
            while not self._stopping.is_set():
                await self._look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._stopping.wait()

    async def drain(self) -> None:
        """Nothing new is called, and what was under way is settled, at most `DEADLINE` and a little later.

        What had only just been taken is left for whoever looks next, as after a crash.
        """
        self._stopping.set()
        for lane in self._lanes.values():
            lane.wake.set()
        calls = {call for lane in self._lanes.values() for call in lane.calls}
        if not calls:
            return
        _, late = await asyncio.wait(calls, timeout=(DEADLINE + _MARGIN).total_seconds())
        for call in late:
            call.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    # -- what is due --

    async def _look(self) -> None:
        """Every lane of which something is due knows it; one look for all, since most have nothing to do."""
        try:
            for caller in await self._outbox.due_callers(self._clock()):
                self.wake(caller)
        except Unavailable as error:
            self._miss("look-for-callbacks", error)
        except Exception as error:  # noqa: BLE001 - callbacks that nobody looks for any more are never made
            self._observer.fact("turn-failed", error=error)

    async def _serve(self, lane: _Lane) -> None:
        while not self._stopping.is_set():
            await lane.wake.wait()
            lane.wake.clear()
            try:
                await self._turn(lane)
            except Unavailable as error:
                self._miss("take-callbacks", error)
            except Exception as error:  # noqa: BLE001 - as above
                self._observer.fact("turn-failed", error=error)

    async def _turn(self, lane: _Lane) -> None:
        """As much as there is room for is under way; where that was not all, each call that ends wakes the lane."""
        now = self._clock()
        room = lane.standing.room(self._at_once, now) - len(lane.calls)
        lane.has_more = room <= 0
        if self._stopping.is_set() or lane.disabled is not None or lane.has_more:
            return
        until = now + DEADLINE + _MARGIN
        taken = await self._outbox.take_callbacks(lane.caller, now, until=until, limit=room)
        lane.has_more = len(taken) == room
        if self._stopping.is_set():
            return
        for callback in taken:
            call = asyncio.create_task(self._tell(lane, callback, until), name=f"callback {callback.id}")
            lane.calls.add(call)
            call.add_done_callback(lambda ended: self._end(lane, ended))

    def _end(self, lane: _Lane, call: asyncio.Task[None]) -> None:
        lane.calls.discard(call)
        if lane.has_more:
            lane.wake.set()
        if not call.cancelled() and (error := call.exception()) is not None:
            self._observer.fact("turn-failed", error=error)

    # -- one callback --

    async def _tell(self, lane: _Lane, callback: Callback, until: datetime) -> None:
        """One call, and what comes of it."""
        now = self._clock()
        if now >= until - DEADLINE:
            return  # we stood still for so long that another process might have it before our call ends
        if is_over(callback, now):
            await self._settle(callback, None, until)
            self._note(callback, "given-up", None)
            return
        called = await self._endpoint.call(callback, now)
        now = self._clock()
        if is_taken(called.status):
            outcome, next_at = "delivered", None
            self._succeed(lane)
        elif called.status == GONE:
            outcome, next_at = "gone", now
            self._disable(lane, now, "it answered 410 Gone")
        else:
            chance, retry_after_s = self._chance(), called.retry_after_s
            next_at = next_call(callback, now, retry_after_s=retry_after_s, chance=chance)
            outcome = "given-up" if next_at is None else "failed"
            self._fail(lane, now, called)
        await self._settle(callback, next_at, until)
        self._note(callback, outcome, called)

    async def _settle(self, callback: Callback, next_at: datetime | None, until: datetime) -> None:
        """What came of the call is stored; if that cannot be, the callback comes again when its time is up."""
        try:
            await self._outbox.settle_callback(callback.id, taken_until=until, next_at=next_at)
        except Unavailable as error:
            self._miss("settle-callback", error)

    # -- the endpoint --

    def _succeed(self, lane: _Lane) -> None:
        if lane.standing.is_failing:
            self._observer.fact("endpoint-recovered", caller=lane.caller)
        lane.standing = Standing()

    def _fail(self, lane: _Lane, now: datetime, called: Called) -> None:
        was_failing = lane.standing.is_failing
        lane.standing = after_failure(lane.standing, now, retry_after_s=called.retry_after_s)
        if lane.standing.is_failing and not was_failing:
            self._observer.fact("endpoint-failing", caller=lane.caller, cause=_cause(called))
        if lane.standing.is_hopeless(now):
            hours = HOPELESS_AFTER // timedelta(hours=1)
            self._disable(lane, now, f"it has taken nothing for {hours} hours; the last time: {_cause(called)}")

    def _disable(self, lane: _Lane, now: datetime, cause: str) -> None:
        if lane.disabled is None:
            lane.disabled = Disabled(now, cause)
            self._observer.fact("endpoint-disabled", caller=lane.caller, cause=cause, cure=_CURE)

    # -- what happened --

    def _note(self, callback: Callback, outcome: str, called: Called | None) -> None:
        """One fact a callback that was taken: `called` is None if its day was over before it could be."""
        self._observer.fact(
            "called",
            caller=callback.caller,
            outcome=outcome,
            callback=callback.id,
            type=callback.type,
            tries=callback.tries,
            status=None if called is None else called.status,
            cause="its day is over" if called is None else _cause(called),
        )

    def _miss(self, doing: str, error: Unavailable) -> None:
        self._observer.fact("store-unavailable", doing=doing, cause=str(error.__cause__ or error))


def _cause(called: Called) -> str:
    return called.cause if called.status is None else f"HTTP {called.status}"
