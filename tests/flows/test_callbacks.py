"""Callers are told, at least once and for a day; whoever cannot be told keeps nobody else waiting."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from gateway.callbacks import AT_ONCE, DEADLINE, Callbacks
from gateway.core.callback import LIFE, Callback
from gateway.ports import Called, Replay

from .callers import REFUSED, TAKEN, Endpoints, Shelf
from .stage import HOUR, NOON, SECOND, Clock, Notes, settled, until

DAY_S = LIFE.total_seconds()


class Post:
    """One process that tells callers. Two on one shelf are two processes."""

    def __init__(self, *callers: str, beside: "Post | None" = None, chance: float = 0.5) -> None:
        self.clock: Clock = beside.clock if beside else Clock()
        self.shelf: Shelf = beside.shelf if beside else Shelf()
        self.endpoints: Endpoints = beside.endpoints if beside else Endpoints(self.clock)
        self.notes = Notes()
        self.chance = chance
        self.callbacks = Callbacks(
            self.shelf, self.endpoints, callers or ("a",), self.clock, lambda: self.chance, self.notes
        )

    def put(self, caller: str = "a", count: int = 1) -> list[str]:
        return self.shelf.put(caller, self.clock(), count=count)

    def outcomes(self) -> list[str]:
        return [about["outcome"] for about in self.notes.named("called")]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.callbacks.run())
        try:
            yield
        finally:
            await self.callbacks.drain()
            await task


async def told(it: Post, id_: str, patience_s: float = 600) -> None:
    """The callback waits no more."""
    await until(lambda: id_ not in it.shelf.pending, patience_s)


async def pass_time(it: Post, by: timedelta) -> None:
    """So much time has passed, and whatever was due in it has had its turn: from one due moment to the next."""
    end = it.clock() + by
    await asyncio.sleep(1)
    while it.clock() < end:
        due = [at for at in it.shelf.pending.values() if at > it.clock()]
        it.clock.turn(max(timedelta(), min([*due, end]) - it.clock()))
        await asyncio.sleep(1)


def always(answer: Called | None) -> Callable[[Callback], Called | None]:
    return lambda _: answer


def in_turn(*answers: Called | None) -> Callable[[Callback], Called | None]:
    left = list(answers)
    return lambda _: left.pop(0) if left else TAKEN


# -- one callback --


@pytest.mark.parametrize("status", [200, 202, 204, 299])
async def test_any_2xx_ends_a_callback(status: int) -> None:
    it = Post()
    it.endpoints.rules["a"] = always(Called(status))
    (id_,) = it.put()
    async with it.running():
        await pass_time(it, 2 * LIFE)
    assert len(it.endpoints.of(id_)) == 1
    assert it.outcomes() == ["delivered"]
    assert it.shelf.pending == {}


@pytest.mark.parametrize("status", [None, 100, 199, 300, 301, 307, 400, 404, 409, 429, 500, 503])
async def test_any_other_answer_or_none_is_tried_again_within_ten_seconds_with_the_same_bytes(
    status: int | None,
) -> None:
    for chance in (0.0, 0.5, 0.999):
        it = Post(chance=chance)
        it.endpoints.rules["a"] = in_turn(Called(status, "lost"))
        start = (it.clock() - NOON) / SECOND
        (id_,) = it.put()
        async with it.running():
            await told(it, id_)
        first, second = it.endpoints.of(id_)
        assert timedelta() < second.at - first.at <= timedelta(seconds=10)
        assert it.endpoints.ages(id_)[0] - start < 1
        assert (first.callback.id, first.callback.body) == (second.callback.id, second.callback.body)
        assert it.outcomes() == ["failed", "delivered"]


async def test_one_that_is_never_taken_is_tried_ever_more_rarely_for_a_day_to_its_very_end() -> None:
    it = Post()
    bad = it.put(count=2)[0]
    it.endpoints.rules["a"] = lambda callback: Called(500) if callback.id == bad else TAKEN
    async with it.running():
        await pass_time(it, 2 * LIFE)
    ages = it.endpoints.ages(bad)
    gaps = [after - before for before, after in pairwise(ages)]
    assert 30 <= len(ages) <= 50
    assert all(after >= before - 3 for before, after in pairwise(gaps[:-1]))
    assert max(gaps) <= 3600
    assert DAY_S - 600 < ages[-1] < DAY_S
    assert it.outcomes() == ["failed", "delivered"] + ["failed"] * (len(ages) - 2) + ["given-up"]
    assert it.callbacks.disabled == {}


async def test_retry_after_is_obeyed_also_where_it_is_later_than_our_own_time() -> None:
    it = Post()
    it.endpoints.rules["a"] = in_turn(Called(503, retry_after_s=3600), Called(503, retry_after_s=0))
    (id_,) = it.put()
    async with it.running():
        await pass_time(it, 2 * HOUR)
    ages = it.endpoints.ages(id_)
    assert 3600 <= ages[1] - ages[0] < 3602
    assert ages[2] - ages[1] > 2, "sooner than our own time it is not tried either"


async def test_one_that_may_be_tried_only_after_its_day_is_given_up_at_once() -> None:
    it = Post()
    it.endpoints.rules["a"] = always(Called(503, retry_after_s=86_400))
    (id_,) = it.put()
    async with it.running():
        await told(it, id_, 5)
    assert it.outcomes() == ["given-up"]


async def test_a_day_counts_from_the_first_try_and_what_could_not_be_tried_is_not_given_up() -> None:
    it = Post()
    (id_,) = it.put()
    it.clock.turn(3 * LIFE)
    async with it.running():
        await told(it, id_, 5)
    assert it.outcomes() == ["delivered"]


# -- 410, and endpoints that fail for long --


async def test_410_ends_every_call_until_a_reload_and_nothing_is_lost() -> None:
    it = Post()
    it.endpoints.rules["a"] = always(Called(410))
    it.put()
    async with it.running():
        await until(lambda: bool(it.callbacks.disabled))
        later = it.put(count=20)
        it.callbacks.wake("a")
        await asyncio.sleep(60)
        it.clock.turn(HOUR)
        await asyncio.sleep(60)
        assert len(it.endpoints.calls) == 1
        assert len(it.shelf.pending) == 21
        assert it.callbacks.disabled["a"].cause == "it answered 410 Gone"
        assert it.callbacks.disabled["a"].since < it.clock() - HOUR + SECOND
        it.endpoints.rules["a"] = always(TAKEN)
        it.callbacks.reload()
        await told(it, later[-1], 10)
    assert it.shelf.pending == {}
    assert it.callbacks.disabled == {}
    (fact,) = it.notes.named("endpoint-disabled")
    assert fact["caller"] == "a"
    assert "410" in fact["cause"]
    assert "reload" in fact["cure"]
    assert it.outcomes()[0] == "gone"
    assert [about["caller"] for about in it.notes.named("endpoint-enabled")] == ["a"]


async def test_what_was_tried_before_and_whose_day_is_over_at_the_reload_is_given_up_without_a_call() -> None:
    it = Post()
    it.endpoints.rules["a"] = always(Called(410))
    (tried,) = it.put()
    async with it.running():
        await until(lambda: bool(it.callbacks.disabled))
        (untried,) = it.put()
        it.endpoints.rules["a"] = always(TAKEN)
        it.clock.turn(LIFE)
        await asyncio.sleep(1)
        it.callbacks.reload()
        await told(it, untried, 5)
    assert len(it.endpoints.of(tried)) == 1
    assert len(it.endpoints.of(untried)) == 1
    assert sorted(it.outcomes()) == ["delivered", "given-up", "gone"]
    assert it.shelf.pending == {}


async def test_an_endpoint_that_took_nothing_for_a_day_is_called_no_more_and_somebody_is_told() -> None:
    it = Post()
    it.endpoints.rules["a"] = always(REFUSED)
    it.put(count=20)
    async with it.running():
        await pass_time(it, LIFE - HOUR)
        assert it.callbacks.disabled == {}
        it.put(count=20)
        await pass_time(it, 2 * HOUR)
        count = len(it.endpoints.calls)
        await pass_time(it, LIFE)
        assert len(it.endpoints.calls) == count
    assert 24 * HOUR <= it.callbacks.disabled["a"].since - NOON < 25 * HOUR + 10 * SECOND
    (fact,) = it.notes.named("endpoint-disabled")
    assert fact["cause"] == "it has taken nothing for 24 hours; the last time: refused"


async def test_an_endpoint_that_takes_something_now_and_then_is_not_disabled() -> None:
    it = Post()
    async with it.running():
        for number in range(60):
            it.endpoints.rules["a"] = always(TAKEN if number % 20 == 19 else REFUSED)
            it.put(count=5)
            await pass_time(it, HOUR)
    assert it.callbacks.disabled == {}


async def test_a_failing_endpoint_gets_one_call_at_a_time_and_is_left_alone_in_between() -> None:
    """A dead host is called some hundred times an hour, however much waits for it, and is soon known to be alive again."""
    it = Post()
    it.endpoints.rules["a"] = always(REFUSED)
    it.put(count=2_000)
    async with it.running():
        await until(lambda: bool(it.notes.named("endpoint-failing")))
        await settled()
        it.endpoints.most.clear()
        await asyncio.sleep(300)
        assert it.endpoints.most["a"] == 1
        before = len(it.endpoints.calls)
        await asyncio.sleep(600)
        assert 15 < len(it.endpoints.calls) - before < 22
        it.endpoints.rules["a"] = always(TAKEN)
        it.endpoints.takes_s = 0.001
        await until(lambda: bool(it.notes.named("endpoint-recovered")), 40)
        await until(lambda: it.endpoints.most["a"] == AT_ONCE, 5)
        await until(lambda: len(it.shelf.pending) < 100, 30)


async def test_one_callback_that_is_never_taken_does_not_make_its_endpoint_a_failing_one() -> None:
    it = Post()
    bad = it.put()[0]
    it.endpoints.rules["a"] = lambda callback: Called(500) if callback.id == bad else TAKEN
    async with it.running():
        for _ in range(100):
            it.put()
            await asyncio.sleep(5)
    assert it.notes.named("endpoint-failing") == []


async def test_a_failing_endpoint_is_spared_for_as_long_as_it_asks_for_but_not_for_ever() -> None:
    it = Post()
    it.endpoints.rules["a"] = always(Called(429, retry_after_s=20))
    it.put(count=50)
    async with it.running():
        await asyncio.sleep(19)
        assert len(it.endpoints.calls) == AT_ONCE
        it.endpoints.rules["a"] = always(Called(429, retry_after_s=86_000))
        await asyncio.sleep(100)
        assert AT_ONCE + 2 < len(it.endpoints.calls) < AT_ONCE + 6


async def test_a_clock_that_is_set_back_does_not_keep_an_endpoint_waiting() -> None:
    it = Post()
    it.endpoints.rules["a"] = always(REFUSED)
    it.put(count=20)
    async with it.running():
        await asyncio.sleep(600)
        it.clock.turn(-HOUR)
        it.endpoints.rules["a"] = always(TAKEN)
        (id_,) = it.put()
        await told(it, id_, 60)


# -- who waits for whom --


async def test_a_caller_gets_so_many_calls_at_once_and_no_more() -> None:
    it = Post()
    it.endpoints.rules["a"] = always(TAKEN)
    it.endpoints.takes_s = 5
    it.put(count=5 * AT_ONCE)
    async with it.running():
        await until(lambda: not it.shelf.pending, 60)
        assert it.clock() - NOON < timedelta(seconds=5 * 5 + 2), (
            "each call that ends makes room for the next at once"
        )
    assert it.endpoints.most["a"] == AT_ONCE


@pytest.mark.parametrize("answer", [None, Called(500), REFUSED, Called(410)])
async def test_a_dead_caller_delays_no_other(answer: Called | None) -> None:
    it = Post("dead", "well")
    it.endpoints.rules["dead"] = always(answer)
    it.put("dead", count=1000)
    async with it.running():
        for _ in range(100):
            (id_,) = it.put("well")
            await told(it, id_, 1)
            await asyncio.sleep(7)
    assert it.endpoints.most["well"] == 1


async def test_what_is_woken_is_told_at_once() -> None:
    it = Post()
    async with it.running():
        await asyncio.sleep(0.1)
        it.put()
        it.callbacks.wake("a")
        it.callbacks.wake("nobody")
        await asyncio.sleep(0.1)
        assert it.outcomes() == ["delivered"]


async def test_callers_that_have_nothing_due_cost_one_look_together() -> None:
    it = Post(*(f"caller-{number}" for number in range(200)))
    it.put("caller-7")
    async with it.running():
        await asyncio.sleep(10)
    assert 19 <= it.shelf.counts["due_callers"] <= 22
    assert it.shelf.counts["take_callbacks"] == 1


# -- ends, deaths and other troubles --


async def test_drain_settles_what_is_under_way_and_begins_nothing() -> None:
    it = Post()
    it.endpoints.takes_s = 3
    it.put(count=2 * AT_ONCE)
    running = asyncio.create_task(it.callbacks.run())
    await until(lambda: len(it.endpoints.calls) == AT_ONCE)
    await it.callbacks.drain()
    await running
    assert it.outcomes() == ["delivered"] * AT_ONCE
    assert len(it.shelf.pending) == AT_ONCE
    assert it.clock() - NOON < timedelta(seconds=4)


async def test_drain_before_anything_ran_ends_at_once() -> None:
    it = Post()
    await it.callbacks.drain()
    await it.callbacks.run()
    assert it.clock() - NOON < SECOND


async def test_drain_ends_although_an_endpoint_and_the_store_never_answer() -> None:
    it = Post()
    it.endpoints.takes_s = 1e6
    it.put(count=2)
    running = asyncio.create_task(it.callbacks.run())
    await until(lambda: len(it.endpoints.calls) == 2)
    began = it.clock()
    await it.callbacks.drain()
    await running
    assert DEADLINE <= it.clock() - began <= DEADLINE + timedelta(seconds=6)
    assert len(it.shelf.pending) == 2


async def test_what_is_taken_while_we_stop_is_not_called_by_us_but_by_another() -> None:
    it = Post()
    (id_,) = it.put()
    running = asyncio.create_task(it.callbacks.run())
    it.callbacks.wake("a")
    it.shelf.opening = asyncio.Event()
    await settled()
    draining = asyncio.create_task(it.callbacks.drain())
    await settled()
    it.shelf.opening.set()
    await draining
    await running
    assert it.endpoints.calls == []
    other = Post(beside=it)
    async with other.running():
        await told(it, id_, 30)
    assert other.outcomes() == ["delivered"]


async def test_what_a_dead_process_had_under_way_is_told_by_another() -> None:
    it = Post()
    it.endpoints.rules["a"] = always(None)
    ids = it.put(count=3)
    running = asyncio.create_task(it.callbacks.run())
    await until(lambda: len(it.endpoints.calls) == 3)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.gather(running, return_exceptions=True)
    it.endpoints.rules["a"] = always(TAKEN)
    other = Post(beside=it)
    async with other.running():
        await asyncio.sleep(10)
        assert other.outcomes() == [], "the calls might still be under way"
        await told(it, ids[-1], 10)
    assert other.outcomes() == ["delivered"] * 3


async def test_two_processes_do_not_call_with_the_same_callback_at_once() -> None:
    it = Post()
    other = Post(beside=it)
    it.put(count=100)
    async with it.running(), other.running():
        await until(lambda: not it.shelf.pending, 60)
    assert len(it.endpoints.calls) == 100
    assert it.outcomes()
    assert other.outcomes()


@pytest.mark.parametrize("operation", ["due_callers", "take_callbacks"])
async def test_a_store_that_fails_is_asked_again(operation: str) -> None:
    it = Post()
    it.shelf.fails.add(operation)
    (id_,) = it.put()
    async with it.running():
        await asyncio.sleep(60)
        assert it.notes.named("store-unavailable")
        assert it.notes.named("turn-failed") == []
        it.shelf.fails.clear()
        await told(it, id_, 1)


async def test_what_could_not_be_settled_is_told_once_more_when_its_time_is_up() -> None:
    it = Post()
    it.shelf.fails.add("settle_callback")
    (id_,) = it.put()
    async with it.running():
        await until(lambda: bool(it.notes.named("store-unavailable")))
        it.shelf.fails.clear()
        await told(it, id_)
    ages = it.endpoints.ages(id_)
    assert 10 < ages[1] - ages[0] < 20


async def test_who_stood_still_during_a_call_leaves_the_callback_to_whom_may_have_it_now() -> None:
    it = Post()
    (id_,) = it.put()
    it.endpoints.rules["a"] = always(Called(500))
    async with it.running():
        await until(lambda: len(it.endpoints.calls) == 1)
        it.clock.turn(HOUR)
        await it.shelf.take_callbacks("a", it.clock(), until=it.clock() + HOUR, limit=1)  # another process
        await asyncio.sleep(60)
        assert len(it.endpoints.of(id_)) == 1


async def test_who_stood_still_before_a_call_does_not_make_it() -> None:
    it = Post()
    (id_,) = it.put()
    async with it.running():
        await until(lambda: it.shelf.counts.get("take_callbacks", 0) == 1)
        it.endpoints.calls.clear()
        (id_,) = it.put()
        it.shelf.opening = asyncio.Event()
        it.callbacks.wake("a")
        await settled()
        it.clock.turn(HOUR)
        it.shelf.opening.set()
        it.shelf.opening = None
        await settled()
        assert it.endpoints.of(id_) == []
        await told(it, id_, 5)


async def test_a_slip_of_ours_with_one_callback_keeps_no_other_from_being_told() -> None:
    it = Post()
    bad, good = it.put(count=2)

    def slip(callback: Callback) -> Called:
        if callback.id == bad:
            raise RuntimeError("a bug")
        return TAKEN

    it.endpoints.rules["a"] = slip
    async with it.running():
        await told(it, good, 5)
        await asyncio.sleep(60)
        (later,) = it.put()
        await told(it, later, 5)
        it.endpoints.rules["a"] = always(TAKEN)
        await told(it, bad, 30)
    assert it.notes.named("turn-failed")


async def test_a_slip_in_the_store_does_not_end_the_telling() -> None:
    it = Post()
    take, look = it.shelf.take_callbacks, it.shelf.due_callers

    async def slip(*_: object, **__: object) -> Any:
        raise RuntimeError("a bug")

    it.shelf.take_callbacks = it.shelf.due_callers = slip  # type: ignore[method-assign]
    async with it.running():
        (id_,) = it.put()
        it.callbacks.wake("a")
        await asyncio.sleep(5)
        assert len(it.notes.named("turn-failed")) > 2
        it.shelf.take_callbacks, it.shelf.due_callers = take, look  # type: ignore[method-assign]
        await told(it, id_, 1)


# -- once more --


async def test_what_is_replayed_is_told_at_once_and_for_a_day_again() -> None:
    it = Post("a", "b")
    it.endpoints.rules["a"] = always(Called(503, retry_after_s=86_400))
    mine, theirs = it.put("a")[0], it.put("b")[0]
    async with it.running():
        await told(it, mine, 5)
        await told(it, theirs, 5)
        it.clock.turn(2 * LIFE)
        it.endpoints.rules["a"] = in_turn(Called(500))
        assert await it.callbacks.replay(Replay(caller="a", ids=(mine, theirs, "unknown"))) == 1
        await asyncio.sleep(0.1)
        assert len(it.endpoints.of(mine)) == 2
        await told(it, mine, 10)
        assert await it.callbacks.replay(Replay(caller=None, ids=(mine, theirs))) == 2
        await asyncio.sleep(0.1)
    assert (len(it.endpoints.of(mine)), len(it.endpoints.of(theirs))) == (4, 2)
    assert it.notes.named("callbacks-replayed") == [{"caller": "a", "count": 1}, {"caller": None, "count": 2}]


# -- what is told of it --


async def test_a_fact_tells_what_became_of_each_call_and_nothing_of_what_was_posted() -> None:
    it = Post()
    it.endpoints.rules["a"] = in_turn(Called(None, "timed-out"), Called(404), TAKEN)
    (id_,) = it.put()
    async with it.running():
        await told(it, id_)
    common = {"caller": "a", "callback": id_, "type": "message.sent"}
    assert it.notes.named("called") == [
        {**common, "outcome": "failed", "tries": 1, "status": None, "cause": "timed-out"},
        {**common, "outcome": "failed", "tries": 2, "status": 404, "cause": "HTTP 404"},
        {**common, "outcome": "delivered", "tries": 3, "status": 200, "cause": "HTTP 200"},
    ]
    body = it.shelf.kept(id_).body.decode()
    assert body not in str(it.notes.facts)
    assert msgspec.json.decode(body)["id"] == id_
