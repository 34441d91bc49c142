"""A Message becomes an Attempt and a recorded Outcome: durable first, one request, and never one too many."""

import asyncio

from gateway.core.delivery import State
from gateway.core.message import RESEND_DELAY, Message, received
from gateway.core.receipt import Receipt

from .stage import (
    HOUR,
    PROVED,
    SECOND,
    UNCERTAIN,
    House,
    Request,
    Store,
    accepted,
    deferred,
    mapping_set,
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
    assert request.token == PROVED
    assert (request.phone, request.template_id, request.template_data) == (
        "84912345678",
        "400001",
        {"total": "1.000đ"},
    )
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
    running = asyncio.create_task(house.backlog.run())
    await asyncio.sleep(120)
    await house.drain()
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
    await asyncio.gather(one.turn(), other.turn())
    assert len({request.tracking_id for request in one.zalo.requests}) == len(one.zalo.requests) == 20
