"""A Message becomes an Attempt and a recorded Outcome: durable first, one request, and never one too many."""

import asyncio
from datetime import timedelta

import pytest

from gateway.core.delivery import Outcome, Reason, State
from gateway.core.errors import Unavailable
from gateway.core.hold import Hold
from gateway.core.message import RESEND_DELAY, Message, received
from gateway.core.receipt import Receipt
from gateway.gates import AccountRules
from gateway.zalo.codes import for_number

from .stage import (
    HOUR,
    LEASE,
    REJECTED,
    SECOND,
    UNCERTAIN,
    House,
    Request,
    Store,
    accepted,
    deferred,
    mapping_set,
    refused,
    settled,
    until,
)

RESENDS = 'on_unknown = "resend"'


async def take_receipt(house: House, message: Message) -> None:
    """Zalo's word that the phone has the message is in the Ledger."""
    before = await house.now(message)
    after = received(before, Receipt("m-1", message.tracking_id, None), house.clock())
    assert await house.store.save(after, expected=before.version)


async def test_the_intent_is_in_the_ledger_before_the_request_leaves() -> None:
    house = await House().open()

    async def look(request: Request) -> None:
        message = await house.store.load(request.tracking_id)
        assert message is not None
        assert message.state is State.SENDING
        assert message.attempts == len(house.zalo.requests)
        assert message.open_attempt is not None

    house.zalo.on_request = look
    house.zalo.script = [deferred(), accepted()]
    await house.send()
    await house.turn(SECOND)
    assert len(house.zalo.requests) == 2
    assert not house.notes.named("turn-failed")


async def test_zalo_gets_what_the_mapping_made_and_the_account_s_token() -> None:
    house = await House().open()
    message = await house.send()
    (request,) = house.zalo.requests
    assert request.access_token == "access-1"
    assert (request.phone, request.template_id, request.template_data) == ("84912345678", "400001", {"total": "1.000đ"})
    assert (request.tracking_id, request.development) == (message.tracking_id, False)
    assert (message.state, message.msg_id) == (State.SENT, "m-1")


async def test_whoever_waits_is_told_only_what_is_durable() -> None:
    house = await House().open()
    told: list[Message] = []

    def tell(message: Message) -> None:
        assert house.store._rows[message.tracking_id].message == message
        told.append(message)

    house.dispatch._tell = tell
    await house.send()
    assert [message.state for message in told] == [State.SENT]


async def test_an_outcome_that_cannot_be_recorded_leaves_the_message_sending_until_it_can() -> None:
    house = await House().open()
    taken = await house.post()
    with house.store.failing("save"):
        answered = await house.waiting.outcome(taken.message, 5 * SECOND)
        assert answered.state is State.SENDING
    await house.quiet()
    assert await house.state(taken.message) is State.SENT
    assert len(house.zalo.requests) == 1


async def test_an_outcome_that_was_stored_unconfirmed_is_stored_once() -> None:
    house = await House().open()
    with house.store.losing("save"):
        taken = await house.post()
        await until(lambda: bool(house.notes.named("store-unavailable")))
    await house.quiet()
    message = await house.now(taken.message)
    assert [entry.fact for entry in message.timeline] == ["stored", "claim", "accepted"]


# -- uncertain --


async def test_an_uncertain_request_is_never_repeated() -> None:
    house = await House().open()
    house.zalo.script = [UNCERTAIN]
    message = await house.send()
    for _ in range(10):
        await house.turn(3 * HOUR)
    assert await house.state(message) is State.UNKNOWN
    assert len(house.zalo.requests) == 1


async def test_a_mapping_that_resends_has_one_second_try_ten_seconds_after_the_first_began() -> None:
    house = await House(mappings=mapping_set(RESENDS)).open()
    house.zalo.script = [UNCERTAIN, UNCERTAIN]
    message = await house.send()
    for _ in range(30):
        await house.turn(SECOND)
    first, second = house.zalo.requests
    assert second.at - first.at >= RESEND_DELAY
    assert await house.state(message) is State.UNKNOWN


async def test_there_is_no_second_try_outside_the_expiry() -> None:
    house = await House(mappings=mapping_set(f'{RESENDS}\nexpires_after = "10s"')).open()
    house.zalo.script = [UNCERTAIN]
    message = await house.send()
    await house.turn(9 * SECOND)
    await house.turn(HOUR)
    assert await house.state(message) is State.UNKNOWN
    assert len(house.zalo.requests) == 1


async def test_a_receipt_before_the_second_try_makes_it_needless() -> None:
    house = await House(mappings=mapping_set(RESENDS)).open()
    house.zalo.script = [UNCERTAIN]
    message = await house.send()
    await take_receipt(house, message)
    await house.turn(HOUR)
    assert await house.state(message) is State.DELIVERED
    assert len(house.zalo.requests) == 1


# -- retried --


async def test_minus_100_is_tried_again_with_growing_delays_until_the_expiry() -> None:
    house = await House(mappings=mapping_set('expires_after = "1m"')).open()
    house.chance = 1.0
    house.zalo.rule = lambda _: deferred(-100)
    message = await house.send()
    running = asyncio.create_task(house.dispatch.run())
    await asyncio.sleep(120)
    await house.dispatch.drain()
    await running
    gaps = [
        (later.at - earlier.at).total_seconds()
        for earlier, later in zip(house.zalo.requests, house.zalo.requests[1:], strict=False)
    ]
    assert [round(gap) for gap in gaps[:5]] == [1, 2, 4, 8, 16]
    # The next delay would end after the expiry; jitter alone does not carry it there.
    assert len(gaps) >= 6
    message = await house.now(message)
    assert message.state is State.EXPIRED
    assert message.error is not None
    assert message.error.zalo is not None
    assert all(request.at < message.expires_at for request in house.zalo.requests)


async def test_nothing_is_sent_at_or_after_its_expiry_however_much_else_expires() -> None:
    house = await House(mappings=mapping_set('expires_after = "1m"')).open()
    house.zalo.rule = lambda _: deferred(-100)
    messages = [await house.send(f"evt-{number}") for number in range(300)]
    house.zalo.requests.clear()
    await house.turn(60 * SECOND)
    await house.turn()
    assert house.zalo.requests == []
    assert {await house.state(message) for message in messages} == {State.EXPIRED}


async def test_what_is_due_goes_urgent_first_and_each_once_with_two_processes_at_it() -> None:
    store = Store()
    one = await House(store=store).open()
    other = await House(store=store, clock=one.clock, zalo=one.zalo, owner="them").open()
    one.zalo.rule = lambda _: deferred(-100)
    for number in range(20):
        await one.send(f"evt-{number}")
    one.zalo.rule = None
    one.zalo.requests.clear()
    one.clock.turn(SECOND)
    await asyncio.gather(one.dispatch._turn(one.clock()), other.dispatch._turn(one.clock()))
    await one.quiet()
    await other.quiet()
    assert len({request.tracking_id for request in one.zalo.requests}) == len(one.zalo.requests) == 20


# -- what an answer does to others --

ACCOUNT_PAUSES = [
    (-1241, Reason.CREDENTIALS),
    (-104, Reason.CREDENTIALS),
    (-115, Reason.BILLING),
    (-137, Reason.BILLING),
    *((number, Reason.CONFIGURATION) for number in (-101, -102, -103, -105, -120, -125, -135, -1351, -136, -138, -1381)),
]


def answer_of(number: int) -> Outcome:
    """What our own table of Zalo's numbers makes of it."""
    code = for_number(number, development=False)
    return refused(number) if code.wait is None else deferred(number, code.wait.reason, code.wait.scope, code.wait.until)


@pytest.mark.parametrize(("number", "reason"), ACCOUNT_PAUSES)
async def test_a_pause_stops_the_account_tries_one_message_now_and_then_and_a_success_resumes_all(
    number: int, reason: Reason
) -> None:
    house = await House().open()
    house.zalo.rule = lambda _: answer_of(number)
    messages = [await house.send(f"evt-{n}") for n in range(4)]
    assert len(house.zalo.requests) == 1
    assert [message.attempts for message in messages] == [1, 0, 0, 0]
    assert {message.state for message in messages} == {State.QUEUED}
    assert {message.reason for message in messages} == {reason}
    await house.turn(9 * SECOND)
    assert len(house.zalo.requests) == 1
    for tries in (2, 3):
        await house.turn(10 * SECOND)
        await house.turn()
        assert len(house.zalo.requests) == tries
    house.zalo.rule = None
    await house.turn(10 * SECOND)
    assert len(house.zalo.requests) == 4
    await house.turn()
    assert {await house.state(message) for message in messages} == {State.SENT}
    assert await house.store.holds() == []


@pytest.mark.parametrize(
    ("number", "reason", "resumes_after"),
    [(-133, Reason.QUIET_HOURS, timedelta(hours=18)), (-1472, Reason.QUOTA, timedelta(hours=12)), (-1471, Reason.QUOTA, timedelta(days=7, hours=12))],
)
async def test_a_limit_of_one_recipient_holds_up_one_message(
    number: int, reason: Reason, resumes_after: timedelta
) -> None:
    house = await House(mappings=mapping_set('expires_after = "30d"')).open()
    house.zalo.script = [answer_of(number)]
    message = await house.send()
    assert (message.state, message.reason, message.next_attempt_at) == (
        State.QUEUED,
        reason,
        house.clock() + resumes_after - (house.clock() - message.accepted_at),
    )
    assert (await house.send("evt-2")).state is State.SENT
    await house.turn(resumes_after - SECOND)
    assert await house.state(message) is State.QUEUED
    await house.turn(SECOND)
    assert await house.state(message) is State.SENT


@pytest.mark.parametrize(("number", "resumes_after"), [(-147, timedelta(hours=12)), (-1441, timedelta(days=7, hours=12))])
async def test_a_template_s_quota_holds_up_the_template_and_no_other(number: int, resumes_after: timedelta) -> None:
    house = await House(mappings=mapping_set('expires_after = "30d"')).open()
    house.zalo.script = [answer_of(number)]
    first = await house.send()
    second = await house.send("evt-2")
    assert {first.reason, second.reason} == {Reason.QUOTA}
    assert len(house.zalo.requests) == 1
    house.mappings = mapping_set(template="400002")
    assert (await house.send("evt-3")).state is State.SENT
    await house.turn(resumes_after - SECOND)
    assert len(house.zalo.requests) == 2
    await house.turn(SECOND)
    await house.turn(timedelta(minutes=5))
    assert {await house.state(first), await house.state(second)} == {State.SENT}


async def test_the_account_s_daily_quota_holds_everything_until_midnight_in_vietnam() -> None:
    house = await House().open()
    house.zalo.script = [answer_of(-144)]
    messages = [await house.send(f"evt-{n}") for n in range(3)]
    assert [message.reason for message in messages] == [Reason.QUOTA] * 3
    await house.turn(timedelta(hours=11, minutes=59))
    assert len(house.zalo.requests) == 1
    await house.turn(timedelta(minutes=1))
    await house.turn(timedelta(minutes=5))
    assert {await house.state(message) for message in messages} == {State.SENT}


async def test_what_the_quota_holds_past_its_expiry_has_expired_at_once() -> None:
    house = await House(mappings=mapping_set('expires_after = "1h"')).open()
    house.zalo.script = [answer_of(-144)]
    assert (await house.send()).state is State.EXPIRED
    assert (await house.send("evt-2")).state is State.EXPIRED


@pytest.mark.parametrize("number", [-109, -117, -131, -145, -146])
async def test_a_blocked_template_is_reported_and_only_its_message_fails(number: int) -> None:
    house = await House().open()
    house.zalo.script = [refused(number, blocks_template=for_number(number, development=False).blocks_template)]
    assert (await house.send()).state is State.FAILED
    assert house.notes.named("template-blocked") == [{"template": "400001", "account": "main"}]
    assert (await house.send("evt-2")).state is State.SENT


async def test_a_success_that_left_before_the_pause_does_not_end_it() -> None:
    house = await House().open()
    opening = house.zalo.hold_back()
    house.zalo.script = [answer_of(-115), accepted()]
    await house.post("evt-1")
    await house.post("evt-2")
    await settled()
    opening.set()
    await house.quiet()
    assert len(house.zalo.requests) == 2
    assert [hold.reason for hold in await house.store.holds()] == [Reason.BILLING]


async def test_what_an_operator_holds_is_neither_probed_nor_ended_by_anything_else() -> None:
    house = await House().open()
    opening = house.zalo.hold_back()
    house.zalo.script = [answer_of(-115), accepted()]
    await house.post("evt-1")
    await house.post("evt-2")
    await settled()
    held = Hold("main", Reason.OPERATOR, house.clock(), "release", "resume")
    await house.gates.hold(held)
    opening.set()
    await house.quiet()
    await house.turn(HOUR)
    await house.turn(HOUR)
    assert await house.store.holds() == [held]
    assert len(house.zalo.requests) == 2


async def test_a_probe_passes_over_what_a_narrower_hold_covers() -> None:
    house = await House(mappings=mapping_set(types=["order.paid", "order.sent"])).open()
    await house.gates.hold(Hold("main", Reason.OPERATOR, house.clock(), "why", "cure", event_type="order.paid"))
    held = await house.send("evt-1")
    house.zalo.script = [answer_of(-115)]
    other = await house.send("evt-2", event_type="order.sent")
    await house.turn(10 * SECOND)
    assert await house.state(held) is State.QUEUED
    assert await house.state(other) is State.SENT


async def test_uncertain_answers_in_a_row_pause_the_account_until_zalo_answers_again() -> None:
    house = await House(pause_after_uncertain=3).open()
    house.zalo.rule = lambda _: UNCERTAIN
    for number in range(3):
        assert (await house.send(f"evt-{number}")).state is State.UNKNOWN
    message = await house.send("evt-3")
    assert (message.state, message.reason) == (State.QUEUED, Reason.UPSTREAM)
    house.zalo.is_answering = False
    await house.turn(10 * SECOND)
    assert (len(house.zalo.requests), house.zalo.asked) == (3, 1)
    house.zalo.is_answering, house.zalo.rule = True, None
    await house.turn(10 * SECOND)
    assert await house.state(message) is State.SENT
    assert (await house.send("evt-4")).state is State.SENT


@pytest.mark.parametrize(
    ("between", "is_paused"),
    [(accepted(), False), (refused(), False), (deferred(-100), False), (deferred(None), True)],
    ids=["accepted", "refused", "deferred by Zalo", "never reached Zalo"],
)
async def test_only_a_word_of_zalo_s_ends_the_row_of_uncertain_answers(between: Outcome, is_paused: bool) -> None:
    house = await House(pause_after_uncertain=2).open()
    house.zalo.script = [UNCERTAIN, between, UNCERTAIN]
    for number in range(3):
        await house.send(f"evt-{number}")
    assert bool(await house.store.holds()) == is_paused


async def test_nought_means_never_paused_for_uncertain_answers() -> None:
    house = await House(pause_after_uncertain=0).open()
    house.zalo.rule = lambda _: UNCERTAIN
    for number in range(20):
        await house.send(f"evt-{number}")
    assert len(house.zalo.requests) == 20


async def test_the_probe_of_one_account_keeps_no_other_waiting() -> None:
    house = await House(pause_after_uncertain=1).open()
    house.zalo.script = [UNCERTAIN]
    await house.send("evt-1")
    asking = asyncio.Event()

    async def never(access_token: str, *, app_secret: str | None = None) -> bool:
        await asking.wait()
        return False

    house.zalo.answers = never  # type: ignore[method-assign]
    house.clock.turn(10 * SECOND)
    await asyncio.wait_for(house.dispatch._turn(house.clock()), 1)
    asking.set()
    await house.quiet()


# -- credentials --


async def test_rejected_tokens_are_refreshed_once_for_everyone_and_all_are_sent_again_at_once() -> None:
    house = await House().open()
    house.zalo.rule = lambda request: REJECTED if request.access_token == "access-1" else accepted(request.tracking_id)
    before = house.clock()
    messages = await asyncio.gather(*(house.post(f"evt-{number}") for number in range(30)))
    await house.quiet()
    assert house.issuer.presented == ["refresh-1"]
    assert {await house.state(taken.message) for taken in messages} == {State.SENT}
    assert len(house.zalo.requests) == 60
    assert house.clock() - before < SECOND


async def test_a_fresh_grant_that_is_rejected_pauses_the_account_and_is_not_refreshed() -> None:
    house = await House().open()
    house.zalo.rule = lambda _: REJECTED
    message = await house.send()
    assert (message.state, message.reason, message.attempts) == (State.QUEUED, Reason.CREDENTIALS, 2)
    for _ in range(5):
        await house.turn(HOUR)
    assert house.issuer.presented == ["refresh-1"]
    assert len(house.zalo.requests) == 2
    assert (await house.now(message)).attempts == 2


async def test_whoever_waits_is_answered_at_once_when_there_is_no_token_to_be_had() -> None:
    house = await House().open()
    house.zalo.rule = lambda _: REJECTED
    taken = await house.post()
    before = house.clock()
    answered = await house.waiting.outcome(taken.message, 10 * SECOND)
    assert (answered.state, answered.reason) == (State.QUEUED, Reason.CREDENTIALS)
    assert house.clock() - before < SECOND


async def test_the_outcome_is_durable_while_the_refresh_that_it_needs_is_still_under_way() -> None:
    house = await House().open()
    opening = house.issuer.hold_back()
    house.zalo.script = [REJECTED]
    taken = await house.post()
    await settled()
    assert await house.state(taken.message) is State.QUEUED
    opening.set()
    await house.quiet()
    assert await house.state(taken.message) is State.SENT


async def test_a_message_whose_time_passes_during_the_refresh_is_not_tried_again() -> None:
    house = await House(mappings=mapping_set('expires_after = "3s"')).open()
    opening = house.issuer.hold_back()
    house.zalo.script = [REJECTED]
    taken = await house.post()
    await settled()
    house.clock.turn(3 * SECOND)
    opening.set()
    await house.quiet()
    await house.turn()
    message = await house.now(taken.message)
    assert (message.state, message.attempts) == (State.EXPIRED, 1)


# -- leases, crashes and the end --


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


@pytest.mark.parametrize("late", [timedelta(seconds=5), LEASE, HOUR])
async def test_a_request_that_is_held_up_is_not_begun_and_is_tried_anew(late: timedelta) -> None:
    house = await House().open()
    opening = house.issuer.hold_back()
    house.tokens._rejected["main"] = 1
    taken = await house.post()
    await settled()
    assert await house.state(taken.message) is State.SENDING
    house.clock.turn(late)
    if late >= LEASE:
        await house.dispatch.recover()
    opening.set()
    await house.quiet()
    assert house.zalo.requests == []
    message = await house.now(taken.message)
    assert (message.state, message.reason, message.unsettled) == (State.QUEUED, Reason.RETRY, ())
    await house.turn(SECOND)
    assert await house.state(taken.message) is State.SENT


async def test_a_request_that_is_held_up_past_the_expiry_never_leaves() -> None:
    house = await House(mappings=mapping_set('expires_after = "3s"')).open()
    opening = house.issuer.hold_back()
    house.tokens._rejected["main"] = 1
    taken = await house.post()
    await settled()
    house.clock.turn(3 * SECOND)
    opening.set()
    await house.quiet()
    assert await house.state(taken.message) is State.EXPIRED
    assert house.zalo.requests == []


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
    draining = asyncio.create_task(house.dispatch.drain())
    running = asyncio.create_task(house.dispatch.run())
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
    running = asyncio.create_task(house.dispatch.run())
    await until(lambda: house.store.counts["save"] >= 2)
    draining = asyncio.create_task(house.dispatch.drain())
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
    running = asyncio.create_task(house.dispatch.run())
    await until(lambda: house.store.counts.get("letter", 0) == 1)
    draining = asyncio.create_task(house.dispatch.drain())
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
    draining = asyncio.create_task(house.dispatch.drain())
    await settled()
    opening.set()
    await draining
    assert len(house.zalo.requests) == 1
    assert await house.state(taken.message) is State.QUEUED


async def test_the_backlog_survives_the_store_s_absence_and_goes_on_by_itself() -> None:
    house = await House().open()
    house.zalo.script = [deferred(-100)]
    message = await house.send()
    running = asyncio.create_task(house.dispatch.run())
    house.store.is_down = True
    await asyncio.sleep(5)
    house.store.is_down = False
    await asyncio.sleep(2)
    assert await house.state(message) is State.SENT
    assert house.notes.named("store-unavailable")
    await house.dispatch.drain()
    await running


async def test_the_account_s_rate_is_kept_by_the_backlog_too() -> None:
    house = await House(rules={"main": AccountRules(max_per_second=2)}).open()
    running = asyncio.create_task(house.dispatch.run())
    messages = [(await house.post(f"evt-{number}")).message for number in range(12)]
    await asyncio.sleep(10)
    assert {await house.state(message) for message in messages} == {State.SENT}
    moments = sorted(request.at for request in house.zalo.requests)
    assert all(later - earlier >= SECOND - timedelta(milliseconds=1) for earlier, later in zip(moments[2:], moments[4:], strict=False))
    await house.dispatch.drain()
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
