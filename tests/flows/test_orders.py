"""What operators order is done once and wholly, or it is said why not and nothing has changed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.delivery import Reason, State
from gateway.core.errors import (
    CannotOpen,
    GatewayError,
    InvalidPhone,
    MappingFailed,
    NotFound,
    Unavailable,
    UnmappedEvent,
    WrongState,
)
from gateway.core.hold import Hold
from gateway.core.mapping import MappingSet, compile_mappings
from gateway.core.message import Letter, Message, received, waiting
from gateway.core.receipt import Receipt
from gateway.gates import AccountRules
from gateway.orders import Orders, Refusal
from gateway.ports import Query
from gateway.storage.memory import MemoryStore

from .stage import HOUR, NOON, SECOND, UNCERTAIN, House, Store, mapping_set, refused, settled, until

BY = "by platform: asked by the shop"
ALL = Query()


class Sealed(Store):
    """A store of which one letter was sealed under a key that is lost."""

    async def letter(self, tracking_id: str) -> Letter | None:
        raise CannotOpen("no key in secrets.keys opens letter")


def orders_of(house: House) -> Orders:
    return Orders(
        house.store, lambda: house.mappings, house.clock, house.notes, house.waiting.tell, grace=60 * SECOND
    )


async def held(house: House, *event_ids: str) -> list[Message]:
    """Messages that wait, because an operator holds the account."""
    await house.gates.hold(Hold("main", Reason.OPERATOR, house.clock(), "by platform", "resume"))
    return [await house.send(event_id) for event_id in event_ids or ("evt-1",)]


async def failed(house: House, event_id: str = "evt-1", **about: Any) -> Message:
    house.zalo.script.append(refused())
    message = await house.send(event_id, **about)
    assert message.state is State.FAILED
    return message


async def unknown(house: House) -> Message:
    house.zalo.script.append(UNCERTAIN)
    message = await house.send()
    assert message.state is State.UNKNOWN
    return message


def mapping(*, when: str = "data.total > 0", phone: str = "{{ data.phone }}") -> MappingSet:
    """The usual mapping, with this condition and this phone."""
    text = f"""
account = "main"
[[template]]
when = '{when}'
id = "400001"
phone = '{phone}'
[template.data]
total = '{{{{ data.total | vnd }}}}'
"""
    return compile_mappings({"order.paid.toml": text.encode()}, templates={}, accounts=["main"])


# -- one --


async def test_what_is_cancelled_is_never_sent_and_who_waits_for_it_is_told() -> None:
    house = await House().open()
    house.is_busy = True
    message = (await house.post()).message
    waiter = asyncio.create_task(house.waiting.outcome(message, HOUR))
    await settled()
    ordered_at = house.clock()
    after = await orders_of(house).cancel(message.tracking_id, BY)
    assert (await waiter).state is after.state is State.CANCELLED
    assert house.clock() == ordered_at, "who waits is woken, and need not look"
    assert after.timeline[-1].cause == BY
    house.is_busy = False
    await house.turn()
    assert house.zalo.requests == []
    assert [about["doing"] for about in house.notes.named("ordered")] == ["cancel"]


async def test_what_has_moved_on_while_it_was_being_cancelled_is_not_cancelled() -> None:
    house = await House().open()
    (message,) = await held(house)
    gate = house.store.gates["save"] = asyncio.Event()
    cancelling = asyncio.create_task(orders_of(house).cancel(message.tracking_id, BY))
    await settled()
    receipt = Receipt("m-1", message.tracking_id, None)
    await MemoryStore.save(house.store, received(message, receipt, NOON), expected=message.version)
    gate.set()
    with pytest.raises(WrongState, match="delivered"):
        await cancelling
    assert await house.state(message) is State.DELIVERED


async def test_a_change_that_leaves_it_queued_is_no_reason_not_to_cancel_it() -> None:
    house = await House().open()
    (message,) = await held(house)
    gate = house.store.gates["save"] = asyncio.Event()
    cancelling = asyncio.create_task(orders_of(house).cancel(message.tracking_id, BY))
    await settled()
    later = waiting(message, reason=Reason.QUOTA, next_attempt_at=None)
    await MemoryStore.save(house.store, later, expected=message.version)
    gate.set()
    assert (await cancelling).version == later.version + 1


@pytest.mark.parametrize("step", ["cancel", "resend", "settle"])
async def test_nobody_can_order_what_is_not_there(step: str) -> None:
    orders = orders_of(await House().open())
    calls: dict[str, Callable[[], Any]] = {
        "cancel": lambda: orders.cancel("nothing", BY),
        "resend": lambda: orders.resend("nothing", BY),
        "settle": lambda: orders.settle("nothing", "failed", BY),
    }
    with pytest.raises(NotFound):
        await calls[step]()


async def test_a_message_is_sent_again_by_the_mapping_that_has_been_corrected_meanwhile() -> None:
    house = await House(rules={"main": AccountRules(), "other": AccountRules()}).open()
    before = await failed(house)
    house.mappings = mapping_set('expires_after = "2h"', template="400002")
    house.clock.turn(HOUR)
    queued = await orders_of(house).resend(before.tracking_id, BY)
    assert (queued.state, queued.template_id, queued.attempts) == (State.QUEUED, "400002", 1)
    assert queued.expires_at == queued.timeline[-1].at + 2 * HOUR
    assert queued.timeline[:-1] == before.timeline
    await house.turn()
    after = await house.now(before)
    assert (after.state, after.attempts, after.error) == (State.SENT, 2, None)
    assert [(it.template_id, it.tracking_id) for it in house.zalo.requests] == [
        ("400001", before.tracking_id),
        ("400002", before.tracking_id),
    ]


async def test_a_corrected_phone_is_written_to_and_found_by() -> None:
    house = await House().open()
    before = await failed(house)
    house.mappings = mapping(phone="0987654321")
    await orders_of(house).resend(before.tracking_id, BY)
    await house.turn()
    assert house.zalo.requests[-1].phone == "84987654321"
    found = await house.store.find(Query(phone="84987654321"))
    assert [it.tracking_id for it in found.items] == [before.tracking_id]
    assert (await house.now(before)).phone == "84*****4321"


BROKEN: dict[type[GatewayError], Callable[[], MappingSet]] = {
    UnmappedEvent: lambda: mapping_set(types=["order.sent"]),
    MappingFailed: lambda: mapping(when="data.nothing > 0"),
    InvalidPhone: lambda: mapping(phone="{{ data.total }}"),
    WrongState: lambda: mapping(when="data.total > 1000000"),
}


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: error.code)
async def test_what_the_mapping_in_force_refuses_is_not_sent_again_and_nothing_changes(
    error: type[GatewayError],
) -> None:
    house = await House().open()
    before = await failed(house)
    letter = await house.store.letter(before.tracking_id)
    house.mappings = BROKEN[error]()
    with pytest.raises(error):
        await orders_of(house).resend(before.tracking_id, BY)
    assert await house.now(before) == before
    assert await house.store.letter(before.tracking_id) == letter


async def test_what_no_key_opens_is_told_as_that() -> None:
    house = await House(store=Sealed()).open()
    before = await failed(house)
    with pytest.raises(WrongState, match=r"no key in secrets\.keys"):
        await orders_of(house).resend(before.tracking_id, BY)
    assert await house.now(before) == before


async def test_what_cannot_be_sent_again_is_told_so_before_its_event_is_opened() -> None:
    house = await House(store=Sealed()).open()
    sent = await house.send()
    with pytest.raises(WrongState, match="sent does not allow resend"):
        await orders_of(house).resend(sent.tracking_id, BY)


async def test_a_second_try_of_an_unknown_message_that_is_refused_leaves_it_unknown() -> None:
    house = await House().open()
    before = await unknown(house)
    house.zalo.script.append(refused())
    await orders_of(house).resend(before.tracking_id, BY)
    await house.turn()
    after = await house.now(before)
    assert (after.state, after.attempts, len(house.zalo.requests)) == (State.UNKNOWN, 2, 2)
    await house.turn(HOUR)
    assert len(house.zalo.requests) == 2


async def test_a_person_says_what_became_of_an_unknown_message() -> None:
    house = await House().open()
    message = await unknown(house)
    after = await orders_of(house).settle(message.tracking_id, "delivered", BY)
    assert await house.now(message) == after
    assert (after.state, after.timeline[-1].fact) == (State.DELIVERED, "settle")


async def test_where_the_store_cannot_confirm_nothing_is_promised() -> None:
    house = await House().open()
    (message,) = await held(house)
    with house.store.failing("save"), pytest.raises(Unavailable):
        await orders_of(house).cancel(message.tracking_id, BY)
    assert await house.state(message) is State.QUEUED


# -- many --


async def test_all_that_are_meant_are_cancelled_and_no_other() -> None:
    house = await House().open()
    sent = await house.send("sent")
    queued = await held(house, *(f"evt-{number}" for number in range(200)))
    orders = orders_of(house)
    assert await orders.count("cancel", ALL) == 200
    report = await orders.carry_out("cancel", ALL, BY, expect=200)
    assert (report.count, report.done, report.refused, report.refused_count) == (200, 200, (), 0)
    assert {await house.state(message) for message in queued} == {State.CANCELLED}
    assert await house.state(sent) is State.SENT
    (fact,) = house.notes.named("ordered-many")
    assert (fact["doing"], fact["count"], fact["cause"]) == ("cancel", 200, BY)


@pytest.mark.parametrize("expected", [0, 1, 3])
async def test_where_the_count_is_another_nothing_is_done_and_both_numbers_are_told(expected: int) -> None:
    house = await House().open()
    queued = await held(house, "evt-1", "evt-2")
    with pytest.raises(WrongState, match=f"2 messages.*not {expected}"):
        await orders_of(house).carry_out("cancel", ALL, BY, expect=expected)
    assert {await house.state(message) for message in queued} == {State.QUEUED}


async def test_where_no_count_is_given_all_that_are_there_are_meant() -> None:
    house = await House().open()
    queued = await held(house, "evt-1", "evt-2")
    report = await orders_of(house).carry_out("cancel", ALL, BY, expect=None)
    assert (report.count, report.done) == (2, 2)
    assert {await house.state(message) for message in queued} == {State.CANCELLED}


async def test_a_status_that_does_not_allow_the_order_means_none() -> None:
    house = await House().open()
    await house.send()
    orders = orders_of(house)
    assert await orders.count("cancel", Query(status="sent")) == 0
    assert (await orders.carry_out("cancel", Query(status="sent"), BY, expect=0)).done == 0


async def test_what_has_moved_on_is_among_the_refused_and_the_rest_is_done() -> None:
    house = await House().open()
    first, *others = await held(house, *(f"evt-{number}" for number in range(5)))
    gate = house.store.gates["save"] = asyncio.Event()
    ordering = asyncio.create_task(orders_of(house).carry_out("cancel", ALL, BY, expect=5))
    await settled()
    receipt = Receipt("m-1", first.tracking_id, None)
    await MemoryStore.save(house.store, received(first, receipt, NOON), expected=first.version)
    gate.set()
    report = await ordering
    assert (report.count, report.done, report.refused_count) == (5, 4, 1)
    assert [(it.tracking_id, it.code) for it in report.refused] == [(first.tracking_id, "wrong-state")]
    assert {await house.state(message) for message in others} == {State.CANCELLED}


async def test_all_that_failed_are_sent_again_and_what_cannot_be_filled_is_told() -> None:
    house = await House().open()
    messages = [await failed(house, f"evt-{number}", total=number) for number in (1, 2, 3)]
    house.mappings = mapping(when="100 / (data.total - 2) > -1000")
    report = await orders_of(house).carry_out("resend", ALL, BY, expect=3)
    assert (report.done, [(it.tracking_id, it.code) for it in report.refused]) == (
        2,
        [(messages[1].tracking_id, "mapping-failed")],
    )
    await house.turn()
    assert [await house.state(it) for it in messages] == [State.SENT, State.FAILED, State.SENT]


async def test_who_orders_and_goes_away_has_ordered_all_the_same() -> None:
    house = await House().open()
    queued = await held(house, *(f"evt-{number}" for number in range(200)))
    gate = house.store.gates["save"] = asyncio.Event()
    ordering = asyncio.create_task(orders_of(house).carry_out("cancel", ALL, BY, expect=200))
    await settled()
    ordering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ordering
    gate.set()
    await until(lambda: bool(house.notes.named("ordered-many")))
    assert {await house.state(message) for message in queued} == {State.CANCELLED}


async def test_a_gateway_that_stops_does_no_more_and_reports_the_rest_as_refused() -> None:
    house = await House().open()
    await held(house, *(f"evt-{number}" for number in range(300)))
    orders = orders_of(house)
    gate = house.store.gates["save"] = asyncio.Event()
    ordering = asyncio.create_task(orders.carry_out("cancel", ALL, BY, expect=300))
    await settled()
    draining = asyncio.create_task(orders.drain())
    await settled()
    assert not draining.done()
    gate.set()
    await draining
    report = await ordering
    assert 0 < report.done < 300
    assert (report.done + report.refused_count, len(report.refused)) == (300, 100)
    assert {it.code for it in report.refused} == {"unavailable"}
    queued = await house.store.matching(ALL, ["queued"])
    assert len(queued) == report.refused_count
    with pytest.raises(Unavailable):
        await orders.carry_out("cancel", ALL, BY, expect=len(queued))


async def test_a_store_that_cannot_confirm_is_not_asked_three_hundred_times() -> None:
    house = await House().open()
    await held(house, *(f"evt-{number}" for number in range(300)))
    house.store.counts.clear()
    with house.store.failing("save"):
        report = await orders_of(house).carry_out("cancel", ALL, BY, expect=300)
    assert (report.done, report.refused_count) == (0, 300)
    assert house.store.counts["save"] < 100


async def test_what_nobody_thought_of_in_one_message_does_not_keep_the_others_from_their_turn() -> None:
    class Odd(Store):
        async def load(self, tracking_id: str) -> Message | None:
            if self.odd == tracking_id:
                raise ValueError("odd")
            return await super().load(tracking_id)

        odd = ""

    store = Odd()
    house = await House(store=store).open()
    first, *others = await held(house, "evt-1", "evt-2", "evt-3")
    store.odd = first.tracking_id
    report = await orders_of(house).carry_out("cancel", ALL, BY, expect=3)
    assert report.done == 2
    assert [type(it) for it in report.refused] == [Refusal]
    assert len(house.notes.named("turn-failed")) == 1
    assert {await house.state(message) for message in others} == {State.CANCELLED}
