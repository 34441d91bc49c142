"""Leases that lapse, processes that die, a store that goes away, and a gateway that stops."""

import asyncio
from datetime import timedelta

import pytest

from gateway.core.delivery import Reason, State
from gateway.core.errors import CannotOpen, Unavailable
from gateway.core.grant import Refused as RefusedRefresh
from gateway.core.message import Letter, Message, received
from gateway.core.receipt import Receipt
from gateway.gates import AccountRules

from .stage import (
    HOUR,
    LEASE,
    REJECTED,
    SECOND,
    House,
    Store,
    deferred,
    mapping_set,
    settled,
    until,
)


async def take_receipt(house: House, message: Message) -> None:
    """Zalo's word that the phone has the message is in the Ledger."""
    before = await house.now(message)
    after = received(before, Receipt("m-1", message.tracking_id, None), house.clock())
    assert await house.store.save(after, expected=before.version)


async def test_attempts_of_dead_processes_are_concluded_as_uncertain_and_not_sent_again() -> None:
    dead: set[str] = set()
    store = Store(is_dead=lambda owner: owner in dead)
    gone = await House(store=store, owner="gone").open()
    gone.zalo.hold_back()
    taken = await gone.post()
    await settled()
    house = await House(store=store, clock=gone.clock).open()
    assert await house.state(taken.message) is State.SENDING
    dead.add("gone")
    await house.dispatch.recover()
    message = await house.now(taken.message)
    assert message.state is State.UNKNOWN
    assert message.timeline[-1].cause == "no-outcome"
    await house.turn(HOUR)
    assert house.zalo.requests == []
    for task in gone.dispatch._under_way:
        task.cancel()
    await gone.quiet()


async def test_what_a_crash_left_does_not_pause_the_account() -> None:
    dead: set[str] = set()
    store = Store(is_dead=lambda owner: owner in dead)
    gone = await House(store=store, owner="gone").open()
    gone.zalo.hold_back()
    for number in range(10):
        await gone.post(f"evt-{number}")
    await settled()
    dead.add("gone")
    house = await House(store=store, clock=gone.clock, pause_after_uncertain=1).open()
    assert await store.holds() == []
    assert (await house.send("evt-new")).state is State.SENT
    for task in gone.dispatch._under_way:
        task.cancel()
    await gone.quiet()


async def test_a_lapsed_lease_is_uncertain_and_the_late_answer_still_counts() -> None:
    house = await House().open()
    opening = house.zalo.hold_back()
    taken = await house.post()
    await settled()
    house.clock.turn(LEASE)
    await house.dispatch.recover()
    assert await house.state(taken.message) is State.UNKNOWN
    opening.set()
    await house.quiet()
    assert await house.state(taken.message) is State.SENT


async def held_up(house: House, late: timedelta) -> Message:
    """The message whose acceptance took so long to be stored."""
    opening = house.store.gates["accept"] = asyncio.Event()
    posting = asyncio.create_task(house.post())
    await settled()
    house.clock.turn(late)
    opening.set()
    taken = await posting
    await house.quiet()
    return await house.now(taken.message)


@pytest.mark.parametrize("late", [timedelta(seconds=5), LEASE, HOUR])
async def test_a_request_that_is_held_up_is_not_begun_and_is_tried_anew(late: timedelta) -> None:
    house = await House().open()
    message = await held_up(house, late)
    assert house.zalo.requests == []
    assert (message.state, message.reason, message.unsettled) == (State.QUEUED, Reason.RETRY, ())
    await house.turn(SECOND)
    assert await house.state(message) is State.SENT


async def test_a_request_that_is_held_up_past_the_expiry_never_leaves() -> None:
    house = await House(mappings=mapping_set('expires_after = "3s"')).open()
    message = await held_up(house, 3 * SECOND)
    assert message.state is State.EXPIRED
    assert house.zalo.requests == []


async def test_who_waits_for_a_refresh_that_comes_to_nothing_is_answered_soon() -> None:
    house = await House().open()
    house.issuer.script = [RefusedRefresh("busy")]
    opening = house.issuer.hold_back()
    house.grants.reject("main", 1)
    await house.tokens.look()
    taken = await house.post()
    begun = asyncio.get_running_loop().time()
    waiting = asyncio.create_task(house.waiting.outcome(taken.message, timedelta(seconds=60)))
    await settled()
    assert not waiting.done()
    opening.set()
    message = await waiting
    assert asyncio.get_running_loop().time() - begun < 2
    assert (message.state, message.reason) == (State.QUEUED, Reason.CREDENTIALS)


async def test_what_comes_while_a_refresh_is_under_way_waits_as_queued_and_burns_no_attempt() -> None:
    house = await House().open()
    opening = house.issuer.hold_back()
    house.grants.reject("main", 1)
    await house.tokens.look()
    taken = await house.post()
    waiting = asyncio.create_task(house.waiting.outcome(taken.message, timedelta(seconds=10)))
    await settled()
    message = await house.now(taken.message)
    # Nothing has begun, so that a crash now would leave it as it is: queued, and going on after the next start.
    assert (message.state, message.reason, message.attempts) == (State.QUEUED, Reason.CREDENTIALS, 0)
    assert not waiting.done()
    opening.set()
    await settled()
    await house.turn()
    message = await house.now(taken.message)
    assert (message.state, message.attempts) == (State.SENT, 1)
    assert (await waiting).state is State.SENT


async def test_an_attempt_of_ours_that_nobody_knows_of_never_left_and_is_tried_anew() -> None:
    house = await House().open()
    house.zalo.script = [deferred(-100)]
    message = await house.send()
    with house.store.losing("save"), pytest.raises(Unavailable):
        await house.turn(SECOND)
    assert await house.state(message) is State.SENDING
    await house.turn(LEASE)
    assert (await house.now(message)).unsettled == ()
    await house.turn(SECOND)
    assert await house.state(message) is State.SENT
    assert len(house.zalo.requests) == 2


async def test_drained_means_that_what_was_under_way_is_recorded_and_nothing_new_has_begun() -> None:
    house = await House().open()
    house.zalo.rule = lambda _: deferred(-100)
    waiting = [await house.send(f"old-{number}") for number in range(5)]
    house.zalo.rule = None
    opening = house.zalo.hold_back()
    under_way = [(await house.post(f"evt-{number}")).message for number in range(5)]
    await settled()
    house.zalo.requests.clear()
    draining = asyncio.create_task(house.drain())
    running = asyncio.create_task(house.backlog.run())
    house.clock.turn(SECOND)
    await settled()
    assert not draining.done()
    opening.set()
    await draining
    await running
    assert house.zalo.requests == []
    assert {await house.state(message) for message in under_way} == {State.SENT}
    assert {await house.state(message) for message in waiting} == {State.QUEUED}


async def test_a_turn_that_has_claimed_before_the_drain_is_part_of_what_is_drained() -> None:
    house = await House().open()
    house.zalo.script = [deferred(-100)]
    message = await house.send()
    house.clock.turn(SECOND)
    house.store.gates["save"] = asyncio.Event()
    running = asyncio.create_task(house.backlog.run())
    await until(lambda: house.store.counts["save"] >= 2)
    draining = asyncio.create_task(house.drain())
    await settled()
    assert not draining.done()
    house.store.gates["save"].set()
    await draining
    assert await house.state(message) is State.SENT
    assert len(house.zalo.requests) == 2
    await running


async def test_a_turn_that_is_under_way_when_the_drain_begins_claims_nothing_more() -> None:
    house = await House().open()
    house.zalo.script = [deferred(-100)]
    message = await house.send()
    house.clock.turn(SECOND)
    house.store.gates["letter"] = asyncio.Event()
    running = asyncio.create_task(house.backlog.run())
    await until(lambda: house.store.counts.get("letter", 0) == 1)
    draining = asyncio.create_task(house.drain())
    await settled()
    house.store.gates["letter"].set()
    await draining
    await running
    assert (await house.now(message)).attempts == 1


async def test_a_deferred_message_is_not_tried_again_while_stopping() -> None:
    house = await House().open()
    opening = house.zalo.hold_back()
    house.zalo.script = [REJECTED]
    taken = await house.post()
    await settled()
    draining = asyncio.create_task(house.drain())
    await settled()
    opening.set()
    await draining
    assert len(house.zalo.requests) == 1
    assert await house.state(taken.message) is State.QUEUED


async def test_the_backlog_survives_the_store_s_absence_and_goes_on_by_itself() -> None:
    house = await House().open()
    house.zalo.script = [deferred(-100)]
    message = await house.send()
    running = asyncio.create_task(house.backlog.run())
    house.store.is_down = True
    await asyncio.sleep(5)
    house.store.is_down = False
    await asyncio.sleep(2)
    assert await house.state(message) is State.SENT
    assert house.notes.named("store-unavailable")
    await house.drain()
    await running


async def test_the_account_s_rate_is_kept_by_the_backlog_too() -> None:
    house = await House(rules={"main": AccountRules(max_per_second=2)}).open()
    running = asyncio.create_task(house.backlog.run())
    messages = [(await house.post(f"evt-{number}")).message for number in range(12)]
    await asyncio.sleep(10)
    assert {await house.state(message) for message in messages} == {State.SENT}
    moments = sorted(request.at for request in house.zalo.requests)
    assert all(
        later - earlier >= SECOND - timedelta(milliseconds=1)
        for earlier, later in zip(moments[2:], moments[4:], strict=False)
    )
    await house.drain()
    await running


async def test_what_is_learned_elsewhere_while_the_request_is_under_way_is_not_overwritten() -> None:
    house = await House().open()
    opening = house.zalo.hold_back()
    taken = await house.post()
    await settled()
    await take_receipt(house, taken.message)
    opening.set()
    await house.quiet()
    message = await house.now(taken.message)
    assert (message.state, message.msg_id, message.quota is not None) == (State.DELIVERED, "m-1", True)


class HalfSealed(Store):
    """A store whose letters of these messages do not open: a key is gone."""

    sealed: set[str] = set()  # noqa: RUF012 - one test, one store

    async def letter(self, tracking_id: str) -> Letter | None:
        if tracking_id in self.sealed:
            raise CannotOpen("no key opens the letter")
        return await super().letter(tracking_id)


async def test_a_letter_that_does_not_open_waits_and_holds_nobody_up() -> None:
    store = HalfSealed()
    house = await House(store=store).open()
    house.zalo.script = [deferred(), deferred()]
    shut = await house.send("evt-shut")
    open_ = await house.send("evt-open")
    store.sealed = {shut.tracking_id}
    await house.turn(HOUR)
    assert await house.state(open_) is State.SENT
    waiting = await house.now(shut)
    assert (waiting.state, waiting.reason) == (State.QUEUED, Reason.CONFIGURATION)
    store.sealed = set()
    await house.turn(HOUR)
    assert await house.state(shut) is State.SENT
