"""An Event becomes one Message, however often and however it is posted."""

import asyncio
from datetime import time, timedelta
from typing import Any

import pytest

from gateway.core.caller import Caller
from gateway.core.delivery import Reason, State
from gateway.core.errors import (
    ForbiddenEventType,
    GatewayError,
    IdempotencyConflict,
    InvalidPhone,
    MappingFailed,
    NotAccepted,
    TooManyRequests,
    UnmappedEvent,
)
from gateway.core.event import Event
from gateway.core.hold import Hold
from gateway.core.receipt import Receipt
from gateway.core.schedule import QuietHours
from gateway.gates import AccountRules
from gateway.intake import Taken

from .stage import CALLER, HOUR, LEASE, NOON, SECOND, House, event, mapping_set, settled, until

NIGHT = QuietHours(time(22), time(6))


async def test_fifty_equal_events_at_once_are_one_message_one_request_and_fifty_equal_answers() -> None:
    house = await House().open()

    async def post() -> Taken:
        taken = await house.post()
        return Taken(await house.waiting.outcome(taken.message, 10 * SECOND), taken.is_replay)

    answers = await asyncio.gather(*(post() for _ in range(50)))
    assert len(house.zalo.requests) == 1
    assert [answer.is_replay for answer in answers].count(False) == 1
    assert {answer.message.state for answer in answers} == {State.SENT}
    assert all(answer.message == answers[0].message for answer in answers)


async def test_an_event_posted_to_two_processes_at_once_is_sent_once() -> None:
    one = await House().open()
    other = await House(store=one.store, clock=one.clock, zalo=one.zalo, owner="them").open()
    takens = await asyncio.gather(*(house.post() for house in [one, other] * 10))
    await one.quiet()
    await other.quiet()
    assert len(one.zalo.requests) == 1
    assert [taken.is_replay for taken in takens].count(False) == 1


async def test_a_replay_gets_the_message_as_it_now_stands_and_sends_nothing() -> None:
    house = await House().open()
    sent = await house.send()
    replay = await house.post()
    assert replay.is_replay
    assert replay.message == sent
    assert len(house.zalo.requests) == 1


@pytest.mark.parametrize("other", [event(total=2), event(event_type="order.sent")], ids=["data", "type"])
async def test_another_event_under_a_known_identity_is_a_conflict_and_changes_nothing(other: Event) -> None:
    house = await House(mappings=mapping_set(types=["order.paid", "order.sent"])).open()
    sent = await house.send()
    with pytest.raises(IdempotencyConflict, match=sent.tracking_id):
        await house.accept(other, CALLER)
    assert await house.now(sent) == sent


async def test_the_callers_key_names_the_event_too() -> None:
    house = await House().open()
    first = await house.accept(event("evt-1"), CALLER, "key-1")
    by_key = await house.accept(event("evt-2"), CALLER, "key-1")
    by_event = await house.accept(event("evt-1"), CALLER)
    by_the_event_that_the_key_brought = await house.accept(event("evt-2"), CALLER)
    for again in (by_key, by_event, by_the_event_that_the_key_brought):
        assert again.is_replay
        assert again.message.tracking_id == first.message.tracking_id
    await house.quiet()
    assert len(house.zalo.requests) == 1


async def test_two_known_names_that_are_two_messages_are_a_conflict() -> None:
    house = await House().open()
    await house.accept(event("evt-1"), CALLER, "key-1")
    await house.accept(event("evt-2"), CALLER)
    with pytest.raises(IdempotencyConflict):
        await house.accept(event("evt-2"), CALLER, "key-1")
    await house.quiet()


async def test_callers_and_modes_do_not_share_identities() -> None:
    house = await House().open()
    callers = [CALLER, Caller("other", ("*",)), Caller("checkout", ("*",), mode="development")]
    messages = [await house.send(caller=caller) for caller in callers]
    assert len({message.tracking_id for message in messages}) == 3
    assert [request.development for request in house.zalo.requests] == [False, False, True]


async def test_what_was_accepted_is_answered_whatever_the_mappings_say_now() -> None:
    house = await House().open()
    sent = await house.send()
    for mappings in (mapping_set(types=["order.sent"]), mapping_set(template="999")):
        house.mappings = mappings
        replay = await house.post()
        assert replay.is_replay
        assert replay.message == sent
    house.mappings = mapping_set(types=["order.sent"])
    with pytest.raises(IdempotencyConflict):
        await house.post(total=5)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"event_type": "order.piad"}, UnmappedEvent),
        ({"phone": "123"}, InvalidPhone),
        ({"phone": ""}, InvalidPhone),
    ],
)
async def test_a_refused_event_leaves_no_identity_behind(
    changes: dict[str, Any], refusal: type[GatewayError]
) -> None:
    house = await House().open()
    with pytest.raises(refusal):
        await house.post(**changes)
    assert (await house.send()).state is State.SENT


async def test_a_mapping_that_cannot_be_filled_leaves_no_identity_behind() -> None:
    house = await House().open()
    with pytest.raises(MappingFailed):
        await house.accept(
            Event("evt-1", "/checkout", "order.paid", {"total": 1.5, "phone": "0912345678"}), CALLER
        )
    assert (await house.send()).state is State.SENT


async def test_an_unmapped_type_is_answered_with_the_nearest_that_the_caller_may_send() -> None:
    house = await House(mappings=mapping_set(types=["order.paid", "order.pai"])).open()
    with pytest.raises(UnmappedEvent) as refused:
        await house.accept(event(event_type="order.piad"), Caller("a", ("order.piad", "order.paid")))
    assert "order.paid" in refused.value.detail
    assert "order.pai?" not in refused.value.detail


async def test_what_a_caller_may_not_send_is_refused_before_its_identity_is_looked_at() -> None:
    house = await House().open()
    await house.send()
    with pytest.raises(ForbiddenEventType):
        await house.post(caller=Caller("checkout", ("payment.*",)))


async def test_a_skipped_event_is_a_message_that_is_never_sent() -> None:
    house = await House().open()
    message = await house.send(total=0)
    assert (message.state, message.template_id, message.phone) == (State.SKIPPED, None, None)
    assert (await house.post(total=0)).is_replay
    await house.turn(HOUR)
    assert house.zalo.requests == []


# -- the store --


async def test_without_the_store_nothing_is_promised_and_posting_again_afterwards_sends_once() -> None:
    house = await House().open()
    house.store.is_down = True
    for _ in range(3):
        with pytest.raises(NotAccepted):
            await house.post()
    house.store.is_down = False
    assert (await house.send()).state is State.SENT
    assert len(house.zalo.requests) == 1


async def test_an_acceptance_that_was_stored_unconfirmed_goes_out_once() -> None:
    house = await House().open()
    with house.store.losing("accept"), pytest.raises(NotAccepted):
        await house.post()
    again = await house.post()
    assert (again.is_replay, again.message.state) == (True, State.SENDING)
    assert house.zalo.requests == []
    await house.turn(LEASE)
    await house.turn(SECOND)
    assert await house.state(again.message) is State.SENT
    assert len(house.zalo.requests) == 1


async def test_a_caller_that_goes_away_takes_nothing_with_it() -> None:
    house = await House().open()
    house.store.gates["accept"] = asyncio.Event()
    posting = asyncio.create_task(house.post())
    await settled()
    posting.cancel()
    await settled()
    house.store.gates["accept"].set()
    await until(lambda: bool(house.zalo.requests))
    await house.quiet()
    assert (await house.post()).message.state is State.SENT


async def test_a_full_queue_takes_nothing_new_and_answers_what_it_has() -> None:
    house = await House().open()
    await house.send()
    house.has_room = False
    assert (await house.post()).is_replay
    with pytest.raises(TooManyRequests):
        await house.post("evt-2")
    house.has_room = True
    assert not (await house.post("evt-2")).is_replay
    await house.quiet()


async def test_what_comes_while_all_hands_are_full_is_queued_and_counted_and_has_its_turn() -> None:
    house = await House().open()
    house.is_busy = True
    taken = await house.post()
    assert (taken.message.state, taken.message.attempts, house.queued) == (State.QUEUED, 0, 1)
    house.is_busy = False
    await house.turn()
    assert await house.state(taken.message) is State.SENT
    await house.send("evt-2")
    assert house.queued == 1, "what goes at once is not queued"


async def test_what_is_refused_while_the_same_event_is_being_stored_is_judged_by_it() -> None:
    house = await House().open()
    house.store.gates["accept"] = asyncio.Event()
    first = asyncio.create_task(house.accept(event("evt-1")))
    await settled()
    other = asyncio.create_task(house.accept(event("evt-1", phone="none")))
    house.has_room = False
    again = asyncio.create_task(house.accept(event("evt-1")))
    await settled()
    house.store.gates["accept"].set()
    assert not (await first).is_replay
    assert (await again).is_replay
    with pytest.raises(IdempotencyConflict):
        await other
    house.has_room = True
    await house.quiet()


async def test_a_message_of_a_batch_gives_way_sooner_than_one_that_somebody_waits_for() -> None:
    house = await House().open()
    house.is_busy_for_batches = True
    of_batch = await house.accept(event("evt-1"), is_in_batch=True)
    alone = await house.accept(event("evt-2"))
    assert (of_batch.message.state, alone.message.state) == (State.QUEUED, State.SENDING)


async def test_a_stopping_gateway_takes_nothing_new_and_answers_what_it_has() -> None:
    house = await House().open()
    await house.send()
    await house.intake.drain()
    assert (await house.post()).is_replay
    with pytest.raises(NotAccepted):
        await house.post("evt-2")


async def test_what_is_being_accepted_when_the_gateway_stops_is_sent_before_it_has_stopped() -> None:
    house = await House().open()
    house.store.gates["accept"] = asyncio.Event()
    posting = asyncio.create_task(house.post())
    await settled()

    async def stop() -> None:
        await house.intake.drain()
        await house.drain()

    stopping = asyncio.create_task(stop())
    await settled()
    assert not stopping.done()
    house.store.gates["accept"].set()
    await stopping
    assert await house.state((await posting).message) is State.SENT


# -- what stands in the way --


async def test_a_message_that_may_go_is_born_with_its_attempt_begun() -> None:
    house = await House().open()
    house.zalo.hold_back()
    taken = await house.post()
    assert (taken.message.state, taken.message.attempts) == (State.SENDING, 1)
    assert house.store.counts == {"grant": 2, "put_grant": 1, "holds": 1, "accept": 1}
    assert house.zalo.opening is not None
    house.zalo.opening.set()
    await house.quiet()


async def test_a_message_waits_for_its_not_before_and_its_life_counts_from_there() -> None:
    mappings = mapping_set('not_before = \'{{ "2026-11-23T09:00:00Z" }}\'\nexpires_after = "1h"')
    house = await House(mappings=mappings).open()
    message = await house.send()
    start = NOON + 4 * HOUR
    assert (message.state, message.reason) == (State.QUEUED, Reason.NOT_BEFORE)
    assert (message.next_attempt_at, message.not_before, message.expires_at) == (start, start, start + HOUR)
    await house.turn(start - house.clock() - SECOND)
    assert house.zalo.requests == []
    await house.turn(SECOND)
    assert await house.state(message) is State.SENT


@pytest.mark.parametrize(("wish", "state"), [("defer", State.QUEUED), ("ignore", State.SENT)])
async def test_quiet_hours_hold_back_what_does_not_ignore_them(wish: str, state: State) -> None:
    house = await House(
        mappings=mapping_set(f'quiet_hours = "{wish}"'), rules={"main": AccountRules(0, NIGHT)}
    ).open()
    house.clock.turn(timedelta(hours=10))
    message = await house.send()
    assert message.state is state
    if state is State.QUEUED:
        assert (message.reason, message.next_attempt_at) == (Reason.QUIET_HOURS, NOON + timedelta(hours=18))
        await house.turn(timedelta(hours=8))
        assert await house.state(message) is State.SENT


async def test_what_quiet_hours_carry_past_the_expiry_has_expired_at_once() -> None:
    house = await House(
        mappings=mapping_set('expires_after = "8h"'), rules={"main": AccountRules(0, NIGHT)}
    ).open()
    house.clock.turn(timedelta(hours=10))
    assert (await house.send()).state is State.EXPIRED
    house.clock.turn(SECOND)
    assert (await house.send("evt-2")).state is State.QUEUED


async def test_over_the_account_s_rate_a_message_waits_for_its_turn() -> None:
    house = await House(rules={"main": AccountRules(1)}).open()
    assert (await house.send("evt-1")).state is State.SENT
    message = await house.send("evt-2")
    assert (message.state, message.reason) == (State.QUEUED, Reason.RATE)
    await house.turn(SECOND)
    assert await house.state(message) is State.SENT


@pytest.mark.parametrize("narrow", [{}, {"template_id": "400001"}, {"event_type": "order.paid"}])
async def test_what_is_held_waits_with_the_hold_s_reason_and_burns_no_attempt(narrow: dict[str, Any]) -> None:
    house = await House().open()
    hold = Hold("main", Reason.OPERATOR, house.clock(), "why", "cure", **narrow)
    await house.gates.hold(hold)
    message = await house.send()
    assert (message.state, message.reason, message.attempts) == (State.QUEUED, Reason.OPERATOR, 0)
    await house.turn(HOUR)
    assert house.zalo.requests == []
    await house.gates.release(hold, "a person said so")
    await house.turn()
    assert await house.state(message) is State.SENT


async def test_without_a_grant_a_message_waits_for_credentials() -> None:
    house = House()
    message = await house.send()
    assert (message.state, message.reason, message.attempts) == (State.QUEUED, Reason.CREDENTIALS, 0)
    await house.open()
    await house.turn()
    assert await house.state(message) is State.SENT


# -- receipts that were here first --


@pytest.mark.parametrize("is_worked_on", [False, True])
async def test_a_message_whose_receipt_is_already_here_is_delivered_and_not_sent(is_worked_on: bool) -> None:
    house = await House().open()
    sent_before_the_store_was_lost = await House(clock=house.clock).send()
    at = house.clock()
    receipt = Receipt("m-old", sent_before_the_store_was_lost.tracking_id, at)
    kept = await house.store.keep_receipt("main", at, receipt, b"")
    if is_worked_on:
        await house.store.settle_receipt(kept, is_matched=False)
    message = await house.send()
    assert (message.state, message.msg_id, message.delivered_at) == (State.DELIVERED, "m-old", at)
    assert message.attempts == 0
    assert house.zalo.requests == []
    assert (await house.post()).is_replay
    assert await house.store.receipts(10) == []


async def test_a_receipt_of_another_account_says_nothing() -> None:
    house = await House().open()
    tracking_id = (await House(clock=house.clock).send()).tracking_id
    await house.store.keep_receipt("other", house.clock(), Receipt("m", tracking_id, None), b"")
    assert (await house.send()).state is State.SENT
