"""An account stops and goes by an operator's word, and operators are told whenever it has stopped or goes again."""

import json
from typing import Any

import pytest

from gateway.core.callback import Callback
from gateway.core.delivery import Reason, Scope, State, Until
from gateway.core.errors import WrongState
from gateway.core.grant import Dead, NotPresented, RefreshResult, Refused
from gateway.core.message import Message
from gateway.pauses import Pauses

from .stage import HOUR, REJECTED, SECOND, TOKEN_LIFE, UNCERTAIN, House, deferred


class Office:
    """The operators' side of a house."""

    def __init__(self, house: House, operators: tuple[str, ...] = ("ops",)) -> None:
        self.house = house
        self.pauses = Pauses(house.store, house.gates, house.clock, house.notes, operators=operators)

    async def told(self, operator: str = "ops") -> list[tuple[str, Any]]:
        """What the operator has not been told yet: the kind, and why the account is paused."""
        now = self.house.clock()
        taken = await self.house.store.take_callbacks(operator, now, until=now + HOUR, limit=10)
        return [(it.type, reason(it)) for it in taken]


def reason(callback: Callback) -> Any:
    data = json.loads(callback.body)["data"]
    assert data["account"] == "main"
    return None if data["paused"] is None else data["paused"]["reason"]


async def office() -> Office:
    return Office(await House().open())


async def test_what_is_paused_waits_for_the_operator_and_goes_when_it_is_resumed() -> None:
    it = await office()
    await it.pauses.pause("main", by="by ops: storm")
    message = (await it.house.post()).message
    assert (message.state, message.reason) == (State.QUEUED, Reason.OPERATOR)
    await it.house.turn(HOUR / 60)
    assert it.house.zalo.requests == []
    await it.pauses.resume("main", by="by ops")
    await it.house.turn(SECOND)
    assert await it.house.state(message) is State.SENT


@pytest.mark.parametrize("narrow", [{"event_type": "order.paid"}, {"template_id": "400001"}])
async def test_a_type_or_a_template_waits_alone(narrow: dict[str, str]) -> None:
    it = await office()
    message = await it.house.send("evt-1")
    assert (message.event_type, message.template_id) == ("order.paid", "400001")
    await it.pauses.pause("main", by="by ops", **narrow)
    assert (await it.house.post("evt-2")).message.reason is Reason.OPERATOR
    assert it.pauses.paused("main") is None
    await it.pauses.look()
    assert await it.told() == []
    await it.pauses.resume("main", by="by ops")
    assert (await it.house.post("evt-3")).message.state is State.QUEUED
    await it.pauses.resume("main", by="by ops", **narrow)
    assert (await it.house.post("evt-4")).message.state is State.SENDING


async def test_operators_are_told_once_of_each_pause_and_of_its_end() -> None:
    it = await office()
    await it.pauses.look()
    await it.pauses.pause("main", by="by ops")
    for _ in range(3):
        await it.pauses.look()
    assert await it.told() == [("account.paused", "operator")]
    await it.pauses.resume("main", by="by ops")
    for _ in range(3):
        await it.pauses.look()
    assert await it.told() == [("account.resumed", None)]
    assert [fact["account"] for fact in it.house.notes.named("account-paused")] == ["main"]


async def test_a_pause_that_zalo_brought_is_told_and_an_operator_may_end_it() -> None:
    it = await office()
    it.house.zalo.script = [UNCERTAIN] * 5
    for number in range(5):
        await it.house.send(f"evt-{number}")
    await it.pauses.look()
    assert await it.told() == [("account.paused", "upstream")]
    await it.pauses.resume("main", by="by ops")
    await it.pauses.look()
    assert await it.told() == [("account.resumed", None)]


async def test_an_account_without_a_grant_is_told_as_paused_and_only_a_grant_resumes_it() -> None:
    it = Office(House())
    await it.pauses.look()
    assert await it.told() == [("account.paused", "credentials")]
    with pytest.raises(WrongState, match="token import main"):
        await it.pauses.resume("main", by="by ops")


async def test_a_process_that_starts_anew_tells_only_what_is_new() -> None:
    it = await office()
    await it.pauses.pause("main", by="by ops")
    await it.pauses.look()
    assert len(await it.told()) == 1
    again = Office(House(store=it.house.store, clock=it.house.clock, owner="them"))
    await again.house.open()
    await again.pauses.look()
    assert await it.told() == []
    await again.pauses.resume("main", by="by ops")
    await again.pauses.look()
    await it.house.gates.reload(it.house.clock())
    await it.pauses.look()
    assert await it.told() == [("account.resumed", None)]


async def test_every_operator_who_asked_is_told() -> None:
    it = Office(await House().open(), ("day", "night"))
    await it.pauses.pause("main", by="by ops")
    await it.pauses.look()
    assert await it.told("day") == await it.told("night") == [("account.paused", "operator")]


@pytest.mark.parametrize("result", [NotPresented("connect-timed-out"), Refused("busy")])
async def test_an_account_that_still_gets_no_token_is_not_told_as_resumed_whenever_it_asks_for_one(
    result: RefreshResult,
) -> None:
    it = await office()
    it.house.issuer.script = [result] * 1000
    it.house.zalo.rule = lambda _: REJECTED
    await it.house.send()
    await it.pauses.look()
    assert await it.told() == [("account.paused", "credentials")]
    for _ in range(600):
        it.house.clock.turn(SECOND / 2)
        await it.house.tokens.look()
        await it.pauses.look()
        shown = it.pauses.paused("main")
        assert shown is not None
        assert shown.reason is Reason.CREDENTIALS
    assert await it.told() == []
    it.house.zalo.rule = None
    it.house.issuer.script = []
    await it.house.turn(HOUR / 2)
    await it.pauses.look()
    assert await it.told() == [("account.resumed", None)]


async def test_while_a_refresh_is_under_way_a_process_that_starts_anew_tells_nothing() -> None:
    it = await office()
    it.house.issuer.script = [NotPresented("dns")] * 99
    it.house.zalo.script = [REJECTED]
    await it.house.send()
    await it.pauses.look()
    assert await it.told() == [("account.paused", "credentials")]
    again = Office(House(store=it.house.store, clock=it.house.clock, owner="them"))
    again.house.issuer.script = [NotPresented("dns")] * 99
    await again.house.gates.reload(it.house.clock())
    opening = again.house.issuer.hold_back()
    again.house.clock.turn(HOUR / 2)
    await again.house.tokens.look()
    await again.pauses.look()
    assert again.pauses.paused("main") is not None
    opening.set()
    await again.house.turn(SECOND)
    await again.pauses.look()
    assert await it.told() == []


async def test_an_operator_s_pause_is_lifted_also_where_no_token_works_and_what_is_left_is_shown() -> None:
    it = await office()
    await it.pauses.pause("main", by="by ops")
    it.house.issuer.script = [Dead("gone")]
    it.house.clock.turn(2 * TOKEN_LIFE)
    await it.house.turn(SECOND)
    await it.pauses.resume("main", by="by ops")
    left = it.pauses.paused("main")
    assert left is not None
    assert (left.reason, "token import main" in left.cure) == (Reason.CREDENTIALS, True)
    with pytest.raises(WrongState, match="token import main"):
        await it.pauses.resume("main", by="by ops")


@pytest.mark.parametrize("narrow", [{}, {"template_id": "400001"}])
async def test_what_was_put_off_by_a_quota_goes_as_soon_as_an_operator_says_so(narrow: dict[str, str]) -> None:
    it = await office()
    scope = Scope.TEMPLATE if narrow else Scope.ACCOUNT
    it.house.zalo.script = [deferred(-144, Reason.QUOTA, scope, Until.NEXT_DAY)]
    first, second = await it.house.send("evt-1"), await it.house.send("evt-2")
    assert (first.reason, second.reason, second.attempts) == (Reason.QUOTA, Reason.QUOTA, 0)
    await it.house.turn(SECOND)
    await it.pauses.resume("main", by="by ops", **narrow)
    for _ in range(3):
        await it.house.turn(SECOND)
    assert [await it.house.state(one) for one in (first, second)] == [State.SENT, State.SENT]


async def out_of_quota() -> tuple[Office, list[Message]]:
    """An office whose account has used up its day, and two messages that wait: one found that out."""
    it = await office()
    it.house.zalo.script = [deferred(-144, Reason.QUOTA, Scope.ACCOUNT, Until.NEXT_DAY)]
    return it, [await it.house.send("evt-1"), await it.house.send("evt-2")]


async def test_what_another_process_accepts_before_it_knows_of_the_resume_goes_when_it_does() -> None:
    it, messages = await out_of_quota()
    other = await House(store=it.house.store, clock=it.house.clock, zalo=it.house.zalo, owner="them").open()
    await other.gates.reload(other.clock())
    await it.pauses.resume("main", by="by ops")
    messages.append((await other.post("evt-3")).message)
    assert (messages[-1].state, messages[-1].reason) == (State.QUEUED, Reason.QUOTA)
    for _ in range(2):
        await other.turn(SECOND)
    assert {await other.state(message) for message in messages} == {State.SENT}


async def test_what_waited_for_a_hold_goes_also_where_whoever_lifted_it_died_at_once() -> None:
    it, messages = await out_of_quota()
    await it.pauses.resume("main", by="by ops")
    heir = await House(store=it.house.store, clock=it.house.clock, zalo=it.house.zalo, owner="them").open()
    for _ in range(2):
        await heir.turn(SECOND)
    assert {await heir.state(message) for message in messages} == {State.SENT}


async def test_a_pause_in_place_of_a_quota_s_hold_leaves_nothing_behind_it() -> None:
    it, messages = await out_of_quota()
    await it.pauses.pause("main", by="by ops")
    await it.pauses.resume("main", by="by ops")
    for _ in range(2):
        await it.house.turn(SECOND)
    assert {await it.house.state(message) for message in messages} == {State.SENT}
