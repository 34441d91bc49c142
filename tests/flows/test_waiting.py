"""Who waits for a message is answered when there is something to say, and never later than asked for."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from gateway.core.delivery import Reason, Scope, State, Until
from gateway.core.hold import Hold
from gateway.core.message import Message
from gateway.core.schedule import next_day
from gateway.core.view import view

from .stage import REJECTED, SECOND, UNCERTAIN, House, deferred, refused, settled

PATIENCE = 10 * SECOND


async def waited(house: House, message: Message, patience: timedelta = PATIENCE) -> tuple[Message, timedelta]:
    """What the caller is answered, and after how long."""
    begun = house.clock()
    answered = await house.waiting.outcome(message, patience)
    return answered, house.clock() - begun


async def with_backlog(house: House) -> "asyncio.Task[None]":
    return asyncio.create_task(house.backlog.run())


async def test_the_answer_comes_with_the_outcome() -> None:
    house = await House().open()
    opening = house.zalo.hold_back()
    taken = await house.post()
    asyncio.get_running_loop().call_later(3, opening.set)
    answered, time = await waited(house, taken.message)
    assert answered.state is State.SENT
    assert timedelta(seconds=3) <= time < timedelta(seconds=3.1)


@pytest.mark.parametrize("answer", [refused(), UNCERTAIN])
async def test_the_answer_comes_whatever_the_outcome(answer: object) -> None:
    house = await House().open()
    house.zalo.rule = lambda _: answer  # type: ignore[assignment, return-value]
    answered, time = await waited(house, (await house.post()).message)
    assert answered.state in (State.FAILED, State.UNKNOWN)
    assert time < SECOND


async def test_patience_ends_on_time_with_what_is_known() -> None:
    house = await House().open()
    opening = house.zalo.hold_back()
    taken = await house.post()
    answered, time = await waited(house, taken.message, 2 * SECOND)
    assert (answered.state, time) == (State.SENDING, 2 * SECOND)
    opening.set()
    await house.quiet()


@pytest.mark.parametrize("patience", [timedelta(), -SECOND])
async def test_no_patience_is_no_waiting(patience: timedelta) -> None:
    house = await House().open()
    taken = await house.post()
    answered, time = await waited(house, taken.message, patience)
    assert (answered, time) == (taken.message, timedelta())
    await house.quiet()


async def test_a_try_inside_the_patience_is_waited_for() -> None:
    house = await House().open()
    house.chance = 1.0
    house.zalo.script = [deferred(-100), deferred(-100)]
    backlog = await with_backlog(house)
    answered, time = await waited(house, (await house.post()).message)
    assert answered.state is State.SENT
    assert timedelta(seconds=3) <= time < timedelta(seconds=5)
    await house.drain()
    await backlog


async def test_a_try_after_the_patience_is_answered_at_once() -> None:
    house = await House().open()
    house.zalo.script = [deferred(None, Reason.RATE, retry_after_s=30)]
    answered, time = await waited(house, (await house.post()).message)
    assert (answered.state, answered.reason) == (State.QUEUED, Reason.RATE)
    assert time < SECOND


@pytest.mark.parametrize(
    "reason", [Reason.BILLING, Reason.OPERATOR, Reason.CREDENTIALS, Reason.UPSTREAM, Reason.QUOTA]
)
async def test_what_waits_for_a_cure_is_answered_at_once(reason: Reason) -> None:
    house = await House().open()
    await house.gates.hold(Hold("main", reason, house.clock(), "cause", "cure"))
    message = (await house.post()).message
    assert message.reason is reason
    assert await waited(house, message) == (message, timedelta())


async def test_what_brings_a_hold_and_what_waits_for_it_are_told_until_when() -> None:
    house = await House().open()
    house.zalo.script = [deferred(-144, Reason.QUOTA, Scope.ACCOUNT, Until.NEXT_DAY)]
    for event_id in ("evt-1", "evt-2"):
        answered, time = await waited(house, (await house.post(event_id)).message)
        assert (answered.state, time) == (State.QUEUED, timedelta())
        hold = house.gates.hold_on(answered, house.clock())
        assert hold is not None
        assert view(answered, house.clock(), hold).next_attempt_at == next_day(house.clock())


async def test_what_waits_for_a_hold_that_ends_meanwhile_is_waited_for_to_its_end() -> None:
    house = await House().open()
    end = house.clock() + 5 * SECOND
    await house.gates.hold(Hold("main", Reason.QUOTA, house.clock(), "cause", "cure", until=end))
    backlog = await with_backlog(house)
    answered, time = await waited(house, (await house.post()).message)
    assert answered.state is State.SENT
    assert 5 * SECOND <= time < 7 * SECOND
    await house.drain()
    await backlog


async def test_a_refresh_on_the_way_is_waited_for() -> None:
    house = await House().open()
    house.zalo.script = [REJECTED]
    opening = house.issuer.hold_back()
    asyncio.get_running_loop().call_later(2, opening.set)
    answered, time = await waited(house, (await house.post()).message)
    assert answered.state is State.SENT
    assert time < timedelta(seconds=2.5)


@pytest.mark.parametrize("state", [each for each in State if not each.is_waiting and not each.is_sending])
async def test_what_has_come_to_an_end_is_answered_at_once(state: State) -> None:
    house = await House().open()
    message = msgspec.structs.replace((await house.send()), state=state)
    assert await waited(house, message) == (message, timedelta())


async def test_what_another_process_sends_is_found_in_the_ledger() -> None:
    one = await House().open()
    other = await House(store=one.store, clock=one.clock, owner="them").open()
    opening = one.zalo.hold_back()
    taken = await one.post()
    replay = await other.post()
    asyncio.get_running_loop().call_later(3, opening.set)
    answered, time = await waited(other, replay.message)
    assert (taken.is_replay, replay.is_replay, answered.state) == (False, True, State.SENT)
    assert time <= timedelta(seconds=3.5)


async def test_a_store_that_is_away_does_not_turn_the_wait_into_an_error() -> None:
    house = await House().open()
    opening = house.zalo.hold_back()
    taken = await house.post()
    house.store.is_down = True
    answered, time = await waited(house, taken.message, 3 * SECOND)
    assert (answered.state, time) == (State.SENDING, 3 * SECOND)
    house.store.is_down = False
    opening.set()
    await house.quiet()


async def test_closing_answers_everyone_with_what_is_known() -> None:
    house = await House().open()
    opening = house.zalo.hold_back()
    taken = await house.post()
    waiters = [asyncio.create_task(waited(house, taken.message)) for _ in range(5)]
    await settled()
    house.waiting.close()
    for answered, time in await asyncio.gather(*waiters):
        assert (answered.state, time) == (State.SENDING, timedelta())
    assert (await waited(house, taken.message))[1] == timedelta()
    opening.set()
    await house.quiet()


async def test_who_goes_away_leaves_nothing_behind() -> None:
    house = await House().open()
    opening = house.zalo.hold_back()
    taken = await house.post()
    waiter = asyncio.create_task(waited(house, taken.message))
    await settled()
    waiter.cancel()
    await settled()
    assert house.waiting._waiters == {}
    opening.set()
    await house.quiet()


async def test_many_waiters_of_many_messages_get_each_their_own() -> None:
    house = await House().open()
    takens = [await house.post(f"evt-{number % 10}") for number in range(50)]
    answers = await asyncio.gather(*(waited(house, taken.message) for taken in takens))
    assert [answered.tracking_id for answered, _ in answers] == [taken.message.tracking_id for taken in takens]
    assert {answered.state for answered, _ in answers} == {State.SENT}
    assert house.waiting._waiters == {}
