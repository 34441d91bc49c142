"""What stands in the way: the widest hold first, what ends by itself, and a store that other processes write too."""

import asyncio
from datetime import time, timedelta

import pytest

from gateway.core.delivery import Reason, Scope, Until
from gateway.core.errors import Unavailable
from gateway.core.hold import Hold
from gateway.core.message import Message
from gateway.core.schedule import QuietHours
from gateway.gates import AccountRules, Obstacle

from .stage import HOUR, NOON, PROBE_EVERY, SECOND, House, Store, deferred, settled

LUNCH = QuietHours(time(12), time(13))


async def queued(house: House) -> Message:
    """A message that waits, and nothing but the test looks at it."""
    await house.gates.hold(hold(Reason.OPERATOR))
    message = await house.send()
    await house.gates.release(hold(Reason.OPERATOR), "the test goes on")
    return message


def hold(reason: Reason = Reason.BILLING, until: timedelta | None = None, **narrow: str) -> Hold:
    return Hold("main", reason, NOON, "cause", "cure", until=None if until is None else NOON + until, **narrow)


async def test_nothing_in_the_way_is_no_obstacle() -> None:
    house = await House().open()
    assert house.gates.obstacle(await queued(house), house.clock()) is None


async def test_the_account_s_hold_is_named_before_a_narrower_one_and_that_before_quiet_hours() -> None:
    house = await House(rules={"main": AccountRules(0, LUNCH)}).open()
    message = await queued(house)
    assert house.gates.obstacle(message, house.clock()) == Obstacle(Reason.QUIET_HOURS, NOON + HOUR, NOON + HOUR)
    await house.gates.hold(hold(Reason.QUOTA, HOUR, template_id="400001"))
    assert house.gates.obstacle(message, house.clock()) == Obstacle(Reason.QUOTA, NOON + HOUR)
    await house.gates.hold(hold(Reason.BILLING))
    assert house.gates.obstacle(message, house.clock()) == Obstacle(Reason.BILLING)


async def test_holds_on_other_templates_types_and_accounts_are_no_obstacle() -> None:
    house = await House().open()
    message = await queued(house)
    for other in (hold(template_id="1"), hold(event_type="x"), Hold("other", Reason.BILLING, NOON, "", "")):
        await house.gates.hold(other)
    assert house.gates.obstacle(message, house.clock()) is None


async def test_a_hold_ends_by_itself_at_its_end_and_is_gone_after_the_next_look() -> None:
    house = await House().open()
    message = await queued(house)
    await house.gates.hold(hold(Reason.QUOTA, HOUR))
    assert house.gates.obstacle(message, NOON + HOUR - SECOND) == Obstacle(Reason.QUOTA, NOON + HOUR)
    assert house.gates.obstacle(message, NOON + HOUR) is None
    await house.gates.reload(NOON + HOUR)
    assert await house.store.holds() == []


async def test_the_share_of_the_rate_is_taken_only_by_what_may_go() -> None:
    house = await House(rules={"main": AccountRules(1)}).open()
    message = await queued(house)
    await house.gates.hold(hold(template_id="400001"))
    for _ in range(5):
        assert house.gates.obstacle(message, NOON) == Obstacle(Reason.BILLING)
    await house.gates.release(hold(template_id="400001"), "cured")
    assert house.gates.obstacle(message, NOON) is None
    assert house.gates.obstacle(message, NOON) == Obstacle(Reason.RATE, NOON + SECOND, NOON + SECOND)


async def test_what_one_process_holds_or_lets_go_others_know_after_a_look() -> None:
    house = await House().open()
    other = await House(store=house.store, clock=house.clock, owner="them").open()
    message = await queued(house)
    await house.gates.hold(hold())
    assert other.gates.hold_on(message, NOON) is None
    await other.gates.reload(NOON)
    assert other.gates.hold_on(message, NOON) == hold()
    await house.gates.release(hold(), "cured")
    await other.gates.reload(NOON)
    assert other.gates.hold_on(message, NOON) is None


@pytest.mark.parametrize("steps", range(8))
async def test_a_look_that_was_begun_before_a_hold_does_not_forget_it(steps: int) -> None:
    house = await House().open()
    looking = asyncio.create_task(house.gates.reload(NOON))
    for _ in range(steps):
        await asyncio.sleep(0)
    holding = asyncio.create_task(house.gates.hold(hold()))
    for _ in range(12):
        await asyncio.sleep(0)
        assert house.gates.holds("main") == [hold()]
    await asyncio.gather(looking, holding)
    await house.gates.reload(NOON)
    assert house.gates.holds("main") == [hold()]


@pytest.mark.parametrize("steps", range(8))
async def test_a_look_that_was_begun_during_a_hold_s_storing_does_not_forget_it(steps: int) -> None:
    house = await House().open()
    holding = asyncio.create_task(house.gates.hold(hold()))
    for _ in range(1 + steps):
        await asyncio.sleep(0)
    looking = asyncio.create_task(house.gates.reload(NOON))
    for _ in range(12):
        await asyncio.sleep(0)
        assert house.gates.holds("main") == [hold()]
    await asyncio.gather(looking, holding)


async def test_a_hold_that_cannot_be_stored_is_in_force_here_and_stored_at_the_next_look() -> None:
    house = await House().open()
    with house.store.failing("put_hold"):
        with pytest.raises(Unavailable):
            await house.gates.hold(hold())
        with pytest.raises(Unavailable):
            await house.gates.reload(NOON)
    assert house.gates.holds("main") == [hold()]
    assert await house.store.holds() == []
    await house.gates.reload(NOON)
    assert house.gates.holds("main") == await house.store.holds() == [hold()]


async def test_what_was_lifted_before_it_could_be_stored_does_not_come_back() -> None:
    house = await House().open()
    with house.store.failing("put_hold"), pytest.raises(Unavailable):
        await house.gates.hold(hold())
    await house.gates.release(hold(), "cured")
    await house.gates.reload(NOON)
    assert house.gates.holds("main") == await house.store.holds() == []


async def test_the_same_hold_again_is_told_once_and_keeps_its_beginning() -> None:
    house = await House().open()
    await house.gates.hold(hold())
    later = Hold("main", Reason.BILLING, NOON + HOUR, "again", "cure")
    await house.gates.hold(later)
    assert house.gates.holds("main") == [hold()]
    assert len(house.notes.named("held")) == 1


@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [
        (hold(Reason.BILLING), hold(Reason.UPSTREAM), 1),
        (hold(Reason.QUOTA, HOUR), hold(Reason.QUOTA, 2 * HOUR), 1),
        (hold(Reason.BILLING), hold(Reason.OPERATOR), 1),
        (hold(Reason.OPERATOR), hold(Reason.BILLING), 0),
        (hold(Reason.OPERATOR), hold(Reason.QUOTA, HOUR), 0),
        (hold(Reason.OPERATOR), hold(Reason.OPERATOR, HOUR), 1),
    ],
)
async def test_a_later_hold_replaces_an_earlier_one_but_not_an_operator_s(
    first: Hold, second: Hold, stands: int
) -> None:
    house = await House().open()
    await house.gates.hold(first)
    await house.gates.hold(second)
    assert await house.store.holds() == [(first, second)[stands]]


async def test_a_hold_that_has_been_replaced_is_not_released_in_the_other_s_name() -> None:
    house = await House().open()
    await house.gates.hold(hold(Reason.BILLING))
    await house.gates.hold(hold(Reason.UPSTREAM))
    await house.gates.release(hold(Reason.BILLING), "too late")
    assert await house.store.holds() == [hold(Reason.UPSTREAM)]


# -- probes --


async def test_a_pause_is_probed_every_so_often_counted_from_its_own_beginning() -> None:
    house = await House().open()
    await house.gates.hold(hold())
    tried = []
    for moment in (NOON + number * SECOND for number in range(40)):
        if house.gates.probe_due("main", moment) is not None:
            house.gates.note_probe("main", moment)
            tried.append(moment - NOON)
    assert tried == [PROBE_EVERY, 2 * PROBE_EVERY, 3 * PROBE_EVERY]
    await house.gates.release(hold(), "cured")
    again = Hold("main", Reason.BILLING, NOON + 40 * SECOND, "cause", "cure")
    await house.gates.hold(again)
    assert house.gates.probe_due("main", NOON + 49 * SECOND) is None
    assert house.gates.probe_due("main", NOON + 50 * SECOND) == again


@pytest.mark.parametrize(
    "not_probed",
    [
        hold(Reason.OPERATOR),
        hold(Reason.QUOTA, 2 * HOUR),
        hold(template_id="400001"),
        hold(event_type="order.paid"),
    ],
)
async def test_what_ends_by_itself_what_an_operator_wants_and_what_is_narrower_is_not_probed(
    not_probed: Hold,
) -> None:
    house = await House().open()
    await house.gates.hold(not_probed)
    assert house.gates.probe_due("main", NOON + HOUR) is None


async def test_without_a_working_token_nothing_is_probed() -> None:
    house = House(store=Store())
    await house.gates.hold(hold(Reason.CREDENTIALS))
    assert house.gates.probe_due("main", NOON + HOUR) is None
    await house.open()
    assert house.gates.probe_due("main", NOON + HOUR) == hold(Reason.CREDENTIALS)
    await settled()


async def test_while_a_hold_cannot_be_stored_nothing_is_tried_again_and_again() -> None:
    house = await House().open()
    house.zalo.rule = lambda _: deferred(-144, Reason.QUOTA, Scope.ACCOUNT, Until.NEXT_DAY)
    with house.store.failing("put_hold"):
        messages = [await house.send(f"evt-{number}") for number in range(3)]
        for _ in range(5):
            house.clock.turn(SECOND)
            await house.backlog._try_turn()
            await house.quiet()
    assert [message.attempts for message in messages] == [1, 0, 0]
    await house.turn(SECOND)
    assert [held.cause for held in await house.store.holds()] == ["some-error"]
    assert len(house.zalo.requests) == 1
