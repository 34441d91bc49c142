"""What was sent and is silent for too long is asked about, gently; what nobody can tell is reported, once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest

from gateway.core.delivery import Reason, State
from gateway.core.grant import Token, first_grant
from gateway.core.hold import Hold
from gateway.core.message import Message, received
from gateway.core.receipt import Receipt
from gateway.core.silence import MOST_ASKS, Delivered, Pending, StatusAnswer
from gateway.gates import AccountRules
from gateway.silence import Silence

from .oracle import NO_IDEA, TOKEN_REJECTED, Oracle, Question
from .stage import HOUR, NOON, PROVED, SECOND, UNCERTAIN, House, mapping_set, pair, settled, until

LIMIT = timedelta(hours=2, seconds=60)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


class Watch:
    """A house whose silence is listened to."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.oracle = Oracle(house.clock)
        self.told: list[Message] = []
        self.silence = Silence(
            house.store,
            self.oracle,
            house.grants,
            house.tokens,
            house.gates,
            self.told.append,
            house.clock,
            house.notes,
        )

    async def turn(self, by: timedelta = timedelta()) -> None:
        self.house.clock.turn(by)
        await self.silence._turn("main")

    async def minutes(self, length: timedelta) -> None:
        """So much time has passed, with a turn every minute."""
        for _ in range(round(length / MINUTE)):
            await self.turn(MINUTE)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.silence.run())
        yield
        self.silence.stop()
        await asyncio.wait_for(task, 30)


async def watch(**about: object) -> Watch:
    return Watch(await House(**about).open())  # type: ignore[arg-type]


async def test_nobody_is_asked_before_time_limit_and_grace_are_over() -> None:
    it = await watch()
    message = await it.house.send()
    assert message.state is State.SENT
    await it.turn(LIMIT - SECOND)
    assert it.oracle.questions == []
    await it.turn(SECOND)
    (question,) = it.oracle.questions
    assert (question.token, question.about) == (PROVED, "m-1")


async def test_yes_makes_it_delivered_at_zalo_s_time_and_those_who_wait_are_told() -> None:
    it = await watch()
    message = await it.house.send()
    it.oracle.rule = lambda _: Delivered(NOON + HOUR)
    await it.turn(LIMIT)
    after = await it.house.now(message)
    assert (after.state, after.delivered_at) == (State.DELIVERED, NOON + HOUR)
    assert it.told == [after]
    assert it.house.notes.named("receipt") == [{"message": after}]


async def test_no_makes_it_undelivered_and_it_is_asked_about_no_more() -> None:
    it = await watch()
    message = await it.house.send()
    await it.turn(LIMIT)
    after = await it.house.now(message)
    assert after.state is State.UNDELIVERED
    assert it.told == [after]
    assert it.house.notes.named("silent") == [{"message": after}]
    await it.turn(DAY)
    assert len(it.oracle.questions) == 1


async def test_without_an_answer_that_helps_it_is_asked_for_a_day_and_then_reported_once() -> None:
    it = Watch(await House().open(grant=first_grant("main", pair(1, 30 * DAY), NOON, before=None)))
    message = await it.house.send()
    it.oracle.rule = lambda _: NO_IDEA
    it.house.clock.turn(LIMIT)
    await it.minutes(2 * DAY)
    after = await it.house.now(message)
    assert (after.state, after.ask_at, it.told) == (State.SENT, None, [])
    pauses = [later.at - earlier.at for earlier, later in pairwise(it.oracle.questions)]
    assert [round(pause / MINUTE) for pause in pauses] == [1, 5, 30] + 24 * [60]
    assert len(it.oracle.questions) == MOST_ASKS
    (report,) = it.house.notes.named("silence-unexplained")
    assert (report["account"], report["message"].tracking_id) == ("main", message.tracking_id)


async def test_an_unknown_message_is_reported_once_when_nothing_can_tell_any_more() -> None:
    it = await watch()
    it.house.zalo.script = [UNCERTAIN]
    message = await it.house.send()
    await it.turn(timedelta(hours=2) + DAY - MINUTE)
    assert it.house.notes.named("unsettled") == []
    await it.minutes(2 * DAY)
    (report,) = it.house.notes.named("unsettled")
    assert (report["account"], report["message"].tracking_id) == ("main", message.tracking_id)
    after = await it.house.now(message)
    assert (after.state, after.ask_at, after.is_settled(it.house.clock())) == (State.UNKNOWN, None, False)
    assert it.oracle.questions == []


async def test_each_id_that_zalo_gave_is_asked_about_until_one_says_yes() -> None:
    it = await watch()
    message = await it.house.send()
    both = msgspec.structs.replace(message, other_msg_ids=("m-0",), version=message.version + 1)
    assert await it.house.store.save(both, expected=message.version)
    it.oracle.rule = lambda question: Delivered(None) if question.about == "m-0" else Pending()
    await it.turn(LIMIT)
    assert [question.about for question in it.oracle.questions] == ["m-1", "m-0"]
    assert await it.house.state(message) is State.DELIVERED


@pytest.mark.parametrize("doubtful", ["m-0", "m-1"])
async def test_it_is_not_undelivered_while_one_of_its_ids_is_in_doubt(doubtful: str) -> None:
    it = await watch()
    message = await it.house.send()
    both = msgspec.structs.replace(message, other_msg_ids=("m-0",), version=message.version + 1)
    assert await it.house.store.save(both, expected=message.version)
    it.oracle.rule = lambda question: NO_IDEA if question.about == doubtful else Pending()
    await it.turn(LIMIT)
    assert await it.house.state(message) is State.SENT
    it.oracle.rule = lambda _: Pending()
    await it.turn(MINUTE)
    assert await it.house.state(message) is State.UNDELIVERED


async def test_nobody_is_asked_while_a_request_is_under_way_that_zalo_may_take() -> None:
    it = await watch(mappings=mapping_set('on_unknown = "resend"'))
    it.house.zalo.script = [UNCERTAIN]
    message = await it.house.send()
    answering = it.house.zalo.hold_back()
    it.house.clock.turn(10 * SECOND)
    await it.house.backlog._turn(it.house.clock())
    await settled()
    begun = await it.house.now(message)
    assert begun.state is State.SENDING_AGAIN
    sent = msgspec.structs.replace(begun, state=State.SENT, ask_at=it.house.clock(), version=begun.version + 1)
    assert await it.house.store.save(sent, expected=begun.version)
    await it.turn()
    assert it.oracle.questions == []
    answering.set()
    await it.house.quiet()
    await it.turn()
    assert len(it.oracle.questions) == 1


async def test_two_processes_ask_once() -> None:
    it = await watch()
    other = Watch(await House(store=it.house.store, clock=it.house.clock, owner="them").open())
    await it.house.send()
    it.house.clock.turn(LIMIT)
    await asyncio.gather(it.turn(), other.turn())
    assert len(it.oracle.questions) + len(other.oracle.questions) == 1


async def test_a_process_that_dies_while_it_asks_costs_one_question() -> None:
    it = await watch()
    message = await it.house.send()
    it.oracle.hold_back()
    it.house.clock.turn(LIMIT)
    turn = asyncio.create_task(it.silence._turn("main"))
    await until(lambda: bool(it.oracle.questions))
    turn.cancel()
    await asyncio.wait([turn])
    other = Watch(await House(store=it.house.store, clock=it.house.clock, owner="them").open())
    await other.turn()
    assert other.oracle.questions == []
    await other.turn(MINUTE)
    assert len(other.oracle.questions) == 1
    assert await it.house.state(message) is State.UNDELIVERED


async def test_a_receipt_that_comes_while_zalo_is_asked_is_not_taken_back() -> None:
    it = await watch()
    message = await it.house.send()
    answering = it.oracle.hold_back()
    it.house.clock.turn(LIMIT)
    turn = asyncio.create_task(it.silence._turn("main"))
    await until(lambda: bool(it.oracle.questions))
    asked = await it.house.now(message)
    delivered = received(asked, Receipt("m-1", None, None), it.house.clock())
    assert await it.house.store.save(delivered, expected=asked.version)
    answering.set()
    await turn
    after = await it.house.now(message)
    assert after.state is State.DELIVERED
    assert [line.fact for line in after.timeline[-2:]] == ["receipt", "silent"]


async def test_a_hundred_questions_at_once_are_spread_out() -> None:
    it = await watch()
    for number in range(100):
        await it.house.send(f"evt-{number}")
    it.oracle.takes_s = 0.1
    it.house.clock.turn(LIMIT)
    async with it.running():
        await until(lambda: len(it.oracle.questions) == 100)
    assert it.oracle.most_at_once == 8
    for question in it.oracle.questions:
        same_second = [one for one in it.oracle.questions if timedelta() <= one.at - question.at < 0.9 * SECOND]
        assert len(same_second) <= 20


async def test_questions_that_take_long_are_not_piled_up() -> None:
    it = await watch()
    for number in range(50):
        await it.house.send(f"evt-{number}")
    answering = it.oracle.hold_back()
    it.house.clock.turn(LIMIT)
    async with it.running():
        await asyncio.sleep(60)
        assert len(it.oracle.questions) == 8
        answering.set()


async def test_nobody_is_asked_without_a_token_or_while_zalo_gives_no_sensible_answers() -> None:
    it = await watch()
    message = await it.house.send()
    hold = Hold("main", Reason.UPSTREAM, NOON, "timed-out", "nothing to do")
    await it.house.gates.hold(hold)
    await it.turn(LIMIT)
    assert it.oracle.questions == []
    await it.house.gates.release(hold, "the test goes on")
    it.house.grants.reject("main", 1)
    await it.turn()
    assert it.oracle.questions == []
    assert (await it.house.now(message)).asks == 0


async def test_an_operator_s_pause_stops_sends_and_not_questions() -> None:
    it = await watch()
    await it.house.send()
    await it.house.gates.hold(Hold("main", Reason.OPERATOR, NOON, "a person", "resume"))
    await it.turn(LIMIT)
    assert len(it.oracle.questions) == 1


def stale(question: Question) -> bool:
    return question.token.access.value == "access-1"


async def test_a_token_that_zalo_takes_no_more_is_renewed_once_for_all_and_the_question_follows_at_once() -> None:
    it = await watch()
    messages = [await it.house.send(f"evt-{number}") for number in range(10)]
    it.oracle.rule = lambda question: TOKEN_REJECTED if stale(question) else Pending()
    await it.turn(LIMIT)
    assert it.house.issuer.presented == ["refresh-1"]
    for message in messages:
        assert await it.house.state(message) is State.UNDELIVERED
    grant = await it.house.store.grant("main")
    assert grant is not None
    assert (grant.generation, grant.proven_at is not None) == (2, True)


async def test_where_zalo_takes_no_token_for_questions_one_refresh_is_spent_and_no_more() -> None:
    it = await watch()
    message = await it.house.send()
    it.oracle.rule = lambda _: TOKEN_REJECTED
    it.house.clock.turn(LIMIT)
    async with it.running():
        await asyncio.sleep(2 * HOUR.total_seconds())
    assert it.house.issuer.presented == ["refresh-1"]
    assert await it.house.state(message) is State.SENT
    assert (await it.house.now(message)).asks > 3
    assert (await it.house.send("evt-2")).state is State.SENT


async def test_a_store_that_fails_costs_a_question_and_the_others_go_on() -> None:
    it = await watch()
    message = await it.house.send()
    it.house.clock.turn(LIMIT)
    async with it.running():
        with it.house.store.failing("save"):
            await asyncio.sleep(5)
        assert it.oracle.questions == []
        await until(lambda: bool(it.oracle.questions))
    assert await it.house.state(message) is State.UNDELIVERED
    assert {about["doing"] for about in it.house.notes.named("store-unavailable")} == {"silence"}


async def test_one_that_goes_wrong_takes_no_other_with_it() -> None:
    it = await watch()
    bad, good = await it.house.send("evt-1"), await it.house.send("evt-2")

    def stumble(question: Question) -> Pending:
        if question.about == "m-1":
            raise RuntimeError("stumbled")
        return Pending()

    it.oracle.rule = stumble
    it.house.clock.turn(LIMIT)
    async with it.running():
        await asyncio.sleep(3)
    assert await it.house.state(good) is State.UNDELIVERED
    assert await it.house.state(bad) is State.SENT
    assert it.house.notes.named("turn-failed")


async def test_after_stop_what_is_being_asked_is_recorded_and_nothing_else_is_asked() -> None:
    it = await watch()
    messages = [await it.house.send(f"evt-{number}") for number in range(12)]
    answering = it.oracle.hold_back()
    it.house.clock.turn(LIMIT)
    running = asyncio.create_task(it.silence.run())
    await until(lambda: len(it.oracle.questions) == 8)
    it.silence.stop()
    answering.set()
    await asyncio.wait_for(running, 1)
    assert len(it.oracle.questions) == 8
    states = [await it.house.state(message) for message in messages]
    assert states.count(State.UNDELIVERED) == 8
    assert states.count(State.SENT) == 4


async def test_one_account_whose_questions_are_not_answered_keeps_no_other_waiting() -> None:
    it = await watch(rules={"main": AccountRules(), "other": AccountRules()})
    await it.house.store.put_grant(first_grant("other", pair(7), it.house.clock(), before=None), expected=0)
    await it.house.tokens.look()
    slow, message = await it.house.send("evt-1"), await it.house.send("evt-2")
    moved = msgspec.structs.replace(message, account="other", version=message.version + 1)
    assert await it.house.store.save(moved, expected=message.version)
    answering = asyncio.Event()
    ask = it.oracle.status

    async def status(token: Token, msg_id: str) -> StatusAnswer:
        if token.access.value == "access-1":
            await answering.wait()
        return await ask(token, msg_id)

    it.oracle.status = status  # type: ignore[method-assign]
    it.house.clock.turn(LIMIT)
    async with it.running():
        await asyncio.sleep(5)
        assert await it.house.state(message) is State.UNDELIVERED
        assert await it.house.state(slow) is State.SENT
        answering.set()
