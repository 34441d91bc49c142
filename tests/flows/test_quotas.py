"""What is left of the day is known from every answer; the last of it is kept for what is urgent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from gateway.core.caller import Caller
from gateway.core.delivery import Accepted, Quota, Reason, State
from gateway.core.message import Message, waiting
from gateway.core.quota import KnownQuota
from gateway.core.schedule import next_day
from gateway.gates import AccountRules, Obstacle
from gateway.quotas import Quotas

from .oracle import NO_IDEA, Oracle
from .stage import NOON, PROVED, SECOND, UNCERTAIN, House, Request, mapping_set, refused, settled, until

MINUTE = timedelta(minutes=1)
TOMORROW = next_day(NOON)
URGENT = mapping_set('priority = "urgent"')
DEVELOPER = Caller("checkout", ("*",), mode="development")


class Bank:
    """A house that keeps ten messages of the day for what is urgent, and knows how many are left."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.oracle = Oracle(house.clock)
        self.quotas = Quotas(self.oracle, house.grants, house.clock, house.notes, accounts=["main"])
        house.remaining = self.quotas.remaining
        house.heed_quota = self.quotas.heed
        self.left = 0
        house.zalo.rule = lambda _: self._takes_one

    async def _takes_one(self, request: Request) -> Accepted:
        msg_id = f"m-{len(self.house.zalo.requests)}"
        if request.development:
            return Accepted(msg_id)
        self.left -= 1
        return Accepted(msg_id, None, Quota(500, self.left))

    def leave(self, left: int) -> None:
        """So many are left at Zalo, and that is known."""
        self.left = left
        self.quotas.heed("main", Quota(1000 + left, left), self.house.clock())

    async def ask(self, by: timedelta = timedelta()) -> None:
        self.house.clock.turn(by)
        await self.quotas._ask_if_due("main")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.quotas.run())
        yield
        self.quotas.stop()
        await asyncio.wait_for(task, 30)


async def bank(reserve: int = 10) -> Bank:
    return Bank(await House(rules={"main": AccountRules(urgent_reserve=reserve)}).open())


def put_off(message: Message) -> bool:
    return (message.state, message.reason, message.next_attempt_at) == (State.QUEUED, Reason.QUOTA, TOMORROW)


# -- what is known --


async def test_nothing_is_known_before_zalo_has_told() -> None:
    it = await bank()
    assert (it.quotas.known("main"), it.quotas.remaining("main")) == (None, None)


async def test_every_answer_to_a_send_tells() -> None:
    it = await bank()
    it.left = 400
    await it.house.send()
    known = it.quotas.known("main")
    assert known is not None
    assert (known.daily, known.remaining) == (500, 399)


async def test_it_is_asked_for_at_the_start_and_every_five_minutes() -> None:
    it = await bank()
    async with it.running():
        await until(lambda: it.quotas.remaining("main") == 400)
        assert it.oracle.questions[0].token == PROVED
        it.oracle.told = Quota(500, 300)
        await asyncio.sleep(4 * 60)
        assert it.quotas.remaining("main") == 400
        await asyncio.sleep(62)
        assert it.quotas.remaining("main") == 300
    assert len(it.oracle.questions) == 2


async def test_when_zalo_said_that_it_changed_it_is_asked_for_soon() -> None:
    it = await bank()
    async with it.running():
        await settled()
        it.oracle.told = Quota(2000, 1900)
        it.quotas.refresh("main")
        await asyncio.sleep(1.5)
        assert it.quotas.known("main") == KnownQuota(2000, 1900, it.oracle.questions[-1].at)
        await asyncio.sleep(60)
    assert len(it.oracle.questions) == 2


async def test_a_change_that_comes_while_it_is_asked_for_is_asked_for_too() -> None:
    it = await bank()
    answering = it.oracle.hold_back()
    async with it.running():
        await settled()
        it.house.clock.turn(SECOND)
        it.quotas.refresh("main")
        answering.set()
        await asyncio.sleep(2)
    assert len(it.oracle.questions) == 2


async def test_after_the_vietnamese_midnight_it_is_not_known_until_it_has_been_asked_for_anew() -> None:
    it = await bank()
    await it.ask(TOMORROW - NOON - MINUTE)
    assert it.quotas.remaining("main") == 400
    it.house.clock.turn(MINUTE)
    assert it.quotas.remaining("main") is None
    await it.ask()
    assert len(it.oracle.questions) == 1, "the clocks need not agree"
    it.oracle.told = Quota(500, 500)
    await it.ask(6 * SECOND)
    assert it.quotas.remaining("main") == 500


async def test_an_answer_that_was_under_way_at_midnight_says_nothing_of_the_new_day() -> None:
    it = await bank()
    answering = it.oracle.hold_back()
    it.house.clock.turn(TOMORROW - NOON - SECOND)
    asking = asyncio.create_task(it.quotas._ask_if_due("main"))
    await settled()
    it.house.clock.turn(2 * SECOND)
    answering.set()
    await asking
    assert it.quotas.remaining("main") is None


async def test_without_an_answer_it_is_asked_again_soon_and_what_was_known_stays() -> None:
    it = await bank()
    it.leave(7)
    it.oracle.told = NO_IDEA
    await it.ask()
    assert it.quotas.remaining("main") == 7
    it.oracle.told = Quota(500, 5)
    await it.ask(29 * SECOND)
    assert it.quotas.remaining("main") == 7
    await it.ask(SECOND)
    assert it.quotas.remaining("main") == 5


async def test_without_a_token_nobody_is_asked_and_nothing_is_held_up() -> None:
    it = await bank()
    it.house.grants.reject("main", 1)
    async with it.running():
        await asyncio.sleep(30)
    assert it.oracle.questions == []
    assert it.quotas.remaining("main") is None


# -- the reserve --


async def test_what_is_not_urgent_waits_for_the_next_day_when_only_the_reserve_is_left() -> None:
    it = await bank()
    it.leave(11)
    assert (await it.house.send("evt-1")).state is State.SENT
    assert put_off(await it.house.send("evt-2"))
    it.house.mappings = URGENT
    for number in range(10):
        assert (await it.house.send(f"evt-u{number}")).state is State.SENT
    assert it.left == 0


async def test_without_a_reserve_or_while_nobody_knows_what_is_left_everything_goes() -> None:
    for it in (await bank(0), await bank()):
        if it.house.gates._rules["main"].urgent_reserve == 0:
            it.leave(1)
        assert (await it.house.send()).state is State.SENT


async def test_development_uses_none_of_the_quota_and_waits_for_none() -> None:
    it = await bank()
    it.leave(3)
    assert (await it.house.send("evt-1", DEVELOPER)).state is State.SENT
    it.leave(11)
    for number in range(5):
        message = (await it.house.post(f"evt-d{number}", DEVELOPER)).message
        assert message.state is State.SENDING
    assert (await it.house.post("evt-2")).message.state is State.SENDING


async def test_what_had_to_wait_goes_with_the_new_day() -> None:
    it = await bank()
    it.leave(10)
    message = await it.house.send()
    await it.house.turn(TOMORROW - it.house.clock() - SECOND)
    assert put_off(await it.house.now(message))
    await it.house.turn(SECOND)
    assert await it.house.state(message) is State.SENT


async def test_what_would_be_too_late_the_next_day_has_expired() -> None:
    it = await bank()
    it.leave(10)
    it.house.mappings = mapping_set('expires_after = "1h"')
    assert (await it.house.send()).state is State.EXPIRED


async def test_what_had_to_wait_goes_when_more_is_left_again() -> None:
    it = await bank()
    it.leave(10)
    messages = [await it.house.send(f"evt-{number}") for number in range(20)]
    assert all(put_off(message) for message in messages)
    await it.house.turn(MINUTE)
    assert it.house.zalo.requests == []
    it.leave(1000)
    for _ in range(3):
        await it.house.turn(SECOND)
    assert [await it.house.state(message) for message in messages] == 20 * [State.SENT]


async def test_after_a_restart_what_had_to_wait_goes_as_soon_as_it_is_known_that_more_is_left() -> None:
    it = await bank()
    it.leave(10)
    message = await it.house.send()
    rules = {"main": AccountRules(urgent_reserve=10)}
    other = Bank(await House(store=it.house.store, clock=it.house.clock, owner="them", rules=rules).open())
    await other.house.turn(MINUTE)
    assert put_off(await other.house.now(message))
    other.leave(11)
    for _ in range(3):
        await other.house.turn(SECOND)
    assert await other.house.state(message) is State.SENT


async def test_a_store_that_fails_meanwhile_does_not_make_it_wait_for_the_next_day_after_all() -> None:
    it = await bank()
    it.leave(10)
    message = await it.house.send()
    it.leave(1000)
    with it.house.store.failing("load"):
        await it.house.turn(SECOND)
    assert put_off(await it.house.now(message))
    for _ in range(3):
        await it.house.turn(SECOND)
    assert await it.house.state(message) is State.SENT


async def test_what_zalo_itself_put_off_keeps_its_moment() -> None:
    it = await bank()
    it.leave(10)
    message = await it.house.send()
    later = waiting(message, reason=Reason.QUOTA, next_attempt_at=TOMORROW + MINUTE)
    assert await it.house.store.save(later, expected=message.version)
    it.leave(1000)
    for _ in range(3):
        await it.house.turn(SECOND)
    assert (await it.house.now(message)).next_attempt_at == TOMORROW + MINUTE


async def test_of_many_at_once_no_more_go_than_lie_above_the_reserve() -> None:
    it = await bank()
    it.leave(50)
    answering = it.house.zalo.hold_back()
    messages = [(await it.house.post(f"evt-{number}")).message for number in range(100)]
    states = [message.state for message in messages]
    assert (states.count(State.SENDING), states.count(State.QUEUED)) == (40, 60)
    queued = next(message for message in messages if message.state is State.QUEUED)
    assert queued.reason is Reason.QUOTA
    assert queued.next_attempt_at is not None
    assert queued.next_attempt_at < NOON + MINUTE, "what is on its way may yet be refused"
    answering.set()
    await it.house.quiet()
    await it.house.turn(2 * SECOND)
    assert it.left == 10
    assert put_off(await it.house.now(queued))


async def test_of_a_backlog_no_more_go_at_once_than_lie_above_the_reserve() -> None:
    it = await bank()
    it.house.is_busy = True
    for number in range(100):
        await it.house.post(f"evt-{number}")
    it.leave(50)
    await it.house.turn()
    assert len(it.house.zalo.requests) == 40


async def test_what_was_refused_leaves_its_place_to_the_next() -> None:
    it = await bank()
    it.leave(11)
    it.house.zalo.rule = None
    it.house.zalo.script = [refused(), UNCERTAIN]
    assert (await it.house.send("evt-1")).state is State.FAILED
    assert (await it.house.send("evt-2")).state is State.UNKNOWN
    assert (await it.house.send("evt-3")).state is State.SENT


async def test_what_the_reserve_keeps_back_takes_no_share_of_the_rate() -> None:
    it = Bank(await House(rules={"main": AccountRules(1, urgent_reserve=10)}).open())
    it.leave(10)
    message = await it.house.send("evt-1")
    gates = it.house.gates
    for _ in range(5):
        assert gates.obstacle(message, it.house.clock()) == Obstacle(Reason.QUOTA, TOMORROW, TOMORROW)
    it.leave(500)
    assert gates.obstacle(message, it.house.clock()) is None
