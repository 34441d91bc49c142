"""What Zalo's answer to one message does to others: waits, pauses with their probes, one refresh for everyone."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from gateway.core.delivery import Outcome, Reason, Scope, State, Until
from gateway.core.grant import Token
from gateway.core.hold import Hold
from gateway.zalo.codes import for_number

from .stage import (
    HOUR,
    PROBE_EVERY,
    REJECTED,
    SECOND,
    UNCERTAIN,
    House,
    accepted,
    deferred,
    mapping_set,
    refused,
    settled,
)

ACCOUNT_PAUSES = [
    (-1241, Reason.CREDENTIALS),
    (-104, Reason.CREDENTIALS),
    (-115, Reason.BILLING),
    (-137, Reason.BILLING),
    *(
        (number, Reason.CONFIGURATION)
        for number in (-101, -102, -103, -105, -120, -125, -135, -1351, -136, -138, -1381)
    ),
]


def answer_of(number: int) -> Outcome:
    """What our own table of Zalo's numbers makes of it."""
    code = for_number(number, development=False)
    return (
        refused(number)
        if code.wait is None
        else deferred(number, code.wait.reason, code.wait.scope, code.wait.until)
    )


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
    [
        (-133, Reason.QUIET_HOURS, timedelta(hours=18)),
        (-1472, Reason.QUOTA, timedelta(hours=12)),
        (-1471, Reason.QUOTA, timedelta(days=7, hours=12)),
    ],
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


@pytest.mark.parametrize(
    ("number", "resumes_after"), [(-147, timedelta(hours=12)), (-1441, timedelta(days=7, hours=12))]
)
async def test_a_template_s_quota_holds_up_the_template_and_no_other(
    number: int, resumes_after: timedelta
) -> None:
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
    asked, answering = asyncio.Event(), asyncio.Event()

    async def held_back(token: Token) -> bool:
        asked.set()
        await answering.wait()
        return False

    house.zalo.answers = held_back  # type: ignore[method-assign]
    await house.post("evt-2")
    house.clock.turn(10 * SECOND)
    turn = asyncio.create_task(house.backlog._turn(house.clock()))
    await asyncio.wait_for(asked.wait(), 1)
    ended, _ = await asyncio.wait([turn], timeout=1)
    answering.set()
    await house.quiet()
    assert ended == {turn}, "while the probe was still asking"


# -- credentials --


async def test_rejected_tokens_are_refreshed_once_for_everyone_and_all_are_sent_again_at_once() -> None:
    house = await House().open()
    house.zalo.rule = lambda request: (
        REJECTED if request.token.access.value == "access-1" else accepted(request.tracking_id)
    )
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
    other = await house.send("evt-2")
    assert (message.state, message.reason, message.attempts) == (State.QUEUED, Reason.CREDENTIALS, 2)
    assert (other.state, other.reason, other.attempts) == (State.QUEUED, Reason.CREDENTIALS, 0)
    for _ in range(5):
        await house.turn(HOUR)
    assert house.issuer.presented == ["refresh-1"]
    # One message tries now and then whether the token works after all.
    assert len(house.zalo.requests) == 2 + 5
    assert (await house.now(message)).attempts + (await house.now(other)).attempts == 2 + 5


async def test_a_grant_that_was_rejected_by_mistake_resumes_by_itself_and_can_be_refreshed_again() -> None:
    house = await House().open()
    house.zalo.script = [REJECTED, REJECTED]
    message = await house.send()
    assert (await house.state(message), house.grants.usable("main")) == (State.QUEUED, None)
    await house.turn(PROBE_EVERY)
    assert await house.state(message) is State.SENT
    grant = await house.store.grant("main")
    assert grant is not None
    assert grant.trouble is None
    house.zalo.script = [REJECTED]
    assert (await house.send("evt-2")).state is State.SENT
    assert house.issuer.presented == ["refresh-1", "refresh-2"]


async def test_a_token_with_which_zalo_refused_a_number_has_worked() -> None:
    house = await House().open()
    house.zalo.script = [REJECTED, refused()]
    assert (await house.send()).state is State.FAILED
    house.zalo.script = [REJECTED]
    assert (await house.send("evt-2")).state is State.SENT


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


async def test_what_cannot_go_before_its_expiry_has_expired_at_once_also_when_it_waited_already() -> None:
    house = await House().open()
    house.zalo.script = [deferred()]
    waiting = await house.send()
    assert waiting.state is State.QUEUED
    house.zalo.script = [deferred(-144, Reason.QUOTA, Scope.ACCOUNT, Until.NEXT_DAY)]
    house.mappings = mapping_set('expires_after = "48h"')
    assert (await house.send("evt-2")).reason is Reason.QUOTA
    short = msgspec.structs.replace(waiting, expires_at=house.clock() + HOUR, version=waiting.version + 1)
    assert await house.store.save(short, expected=waiting.version)
    await house.turn()
    assert await house.state(waiting) is State.EXPIRED
