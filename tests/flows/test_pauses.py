"""An account stops and goes by an operator's word, and operators are told whenever it has stopped or goes again."""

import json
from typing import Any

import pytest

from gateway.core.callback import Callback
from gateway.core.delivery import Reason, State
from gateway.core.errors import WrongState
from gateway.pauses import Pauses

from .stage import HOUR, SECOND, UNCERTAIN, House


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
