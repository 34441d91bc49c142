"""Several processes, a store that fails, endpoints that come and go, a clock that jumps ahead, and death at every await.

No callback is called with twice at once. Each is called until it was taken; none is given up before it was tried for a
day; and once all is well, nothing waits.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.callbacks import Callbacks
from gateway.core.callback import LIFE, Callback
from gateway.ports import Called, Replay

from .callers import REFUSED, TAKEN, Call, Endpoints, Shelf
from .stage import Clock, Notes, TimelessLoop

PROCESSES = 2
CALLERS = ("a", "b")
WHICH = st.integers(0, PROCESSES - 1)
CALLER = st.sampled_from(CALLERS)
ANSWERS: dict[str, Callable[[Callback], Called | None]] = {
    "takes": lambda _: TAKEN,
    "takes some": lambda callback: TAKEN if callback.id[-1] in "02468" else Called(500),
    "takes the second": lambda callback: TAKEN if callback.tries % 2 == 0 else Called(400),
    "fails": lambda _: REFUSED,
    "hangs": lambda _: None,
    "asks to wait": lambda _: Called(429, retry_after_s=30),
    "is gone": lambda _: Called(410),
}
MARGIN = timedelta(minutes=6)


class Processes(RuleBasedStateMachine):
    """Callbacks of two processes over one outbox, with everything that may go wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = TimelessLoop()
        self.clock = Clock(self.loop)
        self.shelf = Shelf()
        self.notes = Notes()
        self.answers = dict.fromkeys(CALLERS, "takes")
        self.calls: list[Call] = []
        self.posted: set[str] = set()
        self.wanted: dict[str, int] = {}
        self.lives: list[tuple[Callbacks, asyncio.Task[None]]] = [self.born() for _ in range(PROCESSES)]

    def born(self) -> tuple[Callbacks, "asyncio.Task[None]"]:
        endpoints = Endpoints(self.clock, self.calls)
        endpoints.rules = {caller: self.rule_of(caller) for caller in CALLERS}
        callbacks = Callbacks(self.shelf, endpoints, CALLERS, self.clock, lambda: 0.5, self.notes, at_once=3)
        return callbacks, self.loop.create_task(callbacks.run())

    def rule_of(self, caller: str) -> Callable[[Callback], Called | None]:
        def answer(callback: Callback) -> Called | None:
            return ANSWERS[self.answers[caller]](callback)

        return answer

    def go(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(step)

    async def quiet(self) -> None:
        """No call is under way."""
        while any(call.ended_at is None for call in self.calls):  # noqa: ASYNC110 - simulated time
            await asyncio.sleep(1)

    # -- what processes do --

    @rule(caller=CALLER, count=st.integers(1, 12), seconds=st.sampled_from([0.0, 0.6, 12]))
    def messages_change(self, caller: str, count: int, seconds: float) -> None:
        self.posted |= set(self.shelf.put(caller, self.clock(), count=count))
        self.time_passes(seconds)

    @rule(which=WHICH, seconds=st.sampled_from([0.0, 0.02, 0.3]))
    def a_process_dies_and_another_takes_its_place(self, which: int, seconds: float) -> None:
        callbacks, run = self.lives[which]
        mine = {run} | {call for lane in callbacks._lanes.values() for call in lane.calls}

        async def die() -> None:
            await asyncio.sleep(seconds)
            for task in mine | {call for lane in callbacks._lanes.values() for call in lane.calls}:
                task.cancel()
            await asyncio.gather(*mine, return_exceptions=True)

        self.go(die())
        self.lives[which] = self.born()

    @rule(which=WHICH)
    def a_process_is_stopped_and_started(self, which: int) -> None:
        callbacks, run = self.lives[which]

        async def stop() -> None:
            await callbacks.drain()
            await run
            assert not any(lane.calls for lane in callbacks._lanes.values())

        self.go(stop())
        self.lives[which] = self.born()

    @rule(which=WHICH)
    def a_process_reloads(self, which: int) -> None:
        self.lives[which][0].reload()

    @rule(caller=st.sampled_from([None, *CALLERS]))
    def somebody_replays_what_has_ended(self, caller: str | None) -> None:
        # What is under way would be called with once more beside that, and rightly so.
        ended = self.posted - self.shelf.pending.keys() or {"none"}
        count = self.go(self.lives[0][0].replay(Replay(caller=caller, ids=tuple(ended))))
        assert count == len([id_ for id_ in ended & self.posted if caller in (None, self.shelf.kept(id_).caller)])

    # -- what the world does --

    @rule(caller=CALLER, answer=st.sampled_from(sorted(ANSWERS)))
    def an_endpoint_changes(self, caller: str, answer: str) -> None:
        self.answers[caller] = answer
        self.messages_change(caller, 3, 12)

    @rule(
        name=st.sampled_from(["due_callers", "take_callbacks", "settle_callback"]),
        fault=st.sampled_from(["fails", "loses"]),
    )
    def the_store_goes_wrong(self, name: str, fault: str) -> None:
        getattr(self.shelf, fault).add(name)

    @rule()
    def the_store_is_well(self) -> None:
        self.shelf.fails.clear()
        self.shelf.loses.clear()

    @rule(seconds=st.sampled_from([0.6, 7, 20, 60]))
    def time_passes(self, seconds: float) -> None:
        self.go(asyncio.sleep(seconds))

    @rule(by=st.sampled_from([timedelta(minutes=1), timedelta(hours=2), LIFE]))
    def nobody_works_for_a_while(self, by: timedelta) -> None:
        async def rest() -> None:
            await self.quiet()
            self.clock.turn(by)

        self.go(rest())

    # -- what holds --

    @invariant()
    def no_callback_is_called_with_twice_at_once(self) -> None:
        latest: dict[str, Call] = {}
        for call in self.calls:
            before = latest.get(call.callback.id)
            assert before is None or (before.ended_at is not None and before.ended_at <= call.at)
            latest[call.callback.id] = call

    @invariant()
    def none_ends_that_was_neither_taken_nor_tried_for_a_day(self) -> None:
        taken = {call.callback.id for call in self.calls if call.answer is TAKEN}
        for id_ in self.posted - self.shelf.pending.keys() - taken:
            assert self.clock() >= self.shelf.kept(id_).since + LIFE - MARGIN

    @invariant()
    def nothing_goes_wrong_that_nobody_thought_of(self) -> None:
        assert self.notes.named("turn-failed") == []

    def teardown(self) -> None:
        self.the_store_is_well()
        self.answers = dict.fromkeys(CALLERS, "takes")

        async def end() -> None:
            for callbacks, _ in self.lives:
                callbacks.reload()
            await asyncio.sleep(30)
            self.clock.turn(timedelta(hours=2))  # longer than any delay of ours
            await asyncio.sleep(120)
            assert self.shelf.pending == {}
            for callbacks, run in self.lives:
                await callbacks.drain()
                await run

        self.go(end())
        self.no_callback_is_called_with_twice_at_once()
        self.none_ends_that_was_neither_taken_nor_tried_for_a_day()
        self.loop.close()


TestProcesses = Processes.TestCase
TestProcesses.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
