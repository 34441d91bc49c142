"""What every keeper of the Ledger does with Zalo's words: kept first, matched, or kept for their message to turn up."""

import pytest

from gateway.core.delivery import State
from gateway.core.message import received
from gateway.core.receipt import Receipt
from gateway.ports import Conflicting, KeptReceipt, Known, Overtaken, Stored

from .stage import (
    NOW,
    Store,
    after,
    begin,
    change,
    finish,
    identity_of,
    make_event,
    make_letter,
    make_message,
    put,
    take,
    tracking_id_of,
)


def of_message(name: str = "evt-1", msg_id: str | None = None) -> Receipt:
    return Receipt(msg_id, tracking_id_of(name), after(3.5))


async def keep(store: Store, receipt: Receipt, account: str = "main", *, at: float = 0) -> int:
    return await store.keep_receipt(account, after(at), receipt, b'{"phone":"84912345678"}')


async def orphan(store: Store, receipt: Receipt, account: str = "main", *, at: float = 0) -> int:
    number = await keep(store, receipt, account, at=at)
    await store.settle_receipt(number, is_matched=False)
    return number


async def new_ones(store: Store) -> list[int]:
    return [kept.id for kept in await store.receipts(1000)]


class TestKeeping:
    async def test_what_came_is_told_as_it_came_oldest_first(self, store: Store) -> None:
        one, other = of_message(msg_id="z1"), of_message("evt-2")
        first = await store.keep_receipt("main", NOW, one, b"\x00raw")
        second = await store.keep_receipt("second", after(1), other, b"{}")
        assert await store.receipts(10) == [
            KeptReceipt(first, "main", NOW, one, b"\x00raw"),
            KeptReceipt(second, "second", after(1), other, b"{}"),
        ]
        assert [kept.id for kept in await store.receipts(1)] == [first]

    async def test_a_receipt_without_a_time_or_with_one_id_comes_back_so(self, store: Store) -> None:
        told = [Receipt("z1", None, None), Receipt(None, "t1", None), Receipt(None, "t1", after(0.000001))]
        for receipt in told:
            await keep(store, receipt)
        assert [kept.receipt for kept in await store.receipts(10)] == told

    async def test_what_was_settled_is_not_told_again(self, store: Store) -> None:
        matched, unmatched = await keep(store, of_message("evt-1")), await keep(store, of_message("evt-2"))
        await store.settle_receipt(matched, is_matched=True)
        await store.settle_receipt(unmatched, is_matched=False)
        assert await new_ones(store) == []
        await store.settle_receipt(matched, is_matched=False)
        await store.settle_receipt(4711, is_matched=True)
        assert await new_ones(store) == []

    async def test_a_number_is_never_given_twice(self, store: Store) -> None:
        first = await keep(store, of_message())
        await store.settle_receipt(first, is_matched=True)
        assert await keep(store, of_message()) != first


class TestMatching:
    async def test_by_tracking_id_then_by_msg_id(self, store: Store) -> None:
        one = await put(store, finish(begin(make_message("evt-1"), store.owner), "z1"))
        two = await put(store, finish(begin(make_message("evt-2"), store.owner), "z2"))
        assert await store.match("main", Receipt(None, one.tracking_id, None)) == one
        assert await store.match("main", Receipt("z2", None, None)) == two
        assert await store.match("main", Receipt("z2", one.tracking_id, None)) == one
        assert await store.match("main", Receipt("z2", "not ours", None)) == two
        assert await store.match("main", Receipt("z3", "not ours", None)) is None
        assert await store.match("main", Receipt(None, None, None)) is None

    async def test_only_within_the_account(self, store: Store) -> None:
        sent = await put(store, finish(begin(make_message(), store.owner), "z1"))
        assert await store.match("second", Receipt("z1", sent.tracking_id, None)) is None

    async def test_also_within_an_account_that_it_was_sent_through_before(self, store: Store) -> None:
        sent = await put(store, finish(begin(make_message(), store.owner), "z1"))
        moved = await change(store, sent, account="second", former_accounts=("main",))
        assert await store.match("main", Receipt(None, sent.tracking_id, None)) == moved
        assert await store.match("second", Receipt(None, sent.tracking_id, None)) == moved
        assert await store.match("third", Receipt(None, sent.tracking_id, None)) is None

    async def test_a_msg_id_is_known_from_the_save_on(self, store: Store) -> None:
        begun = await put(store, begin(make_message(), store.owner))
        assert await store.match("main", Receipt("z1", None, None)) is None
        sent = finish(begun, "z1")
        assert await store.save(sent, expected=begun.version)
        assert await store.match("main", Receipt("z1", None, None)) == sent


class TestOrphans:
    async def test_one_becomes_new_when_its_msg_id_becomes_known(self, store: Store) -> None:
        begun = await put(store, begin(make_message(), store.owner))
        waits = await orphan(store, Receipt("z1", None, None))
        await orphan(store, Receipt("z2", None, None))
        await orphan(store, Receipt("z1", None, None), "second")
        assert await new_ones(store) == []
        assert await store.save(finish(begun, "z1"), expected=begun.version)
        assert await new_ones(store) == [waits]

    async def test_a_save_that_changed_nothing_renews_nothing(self, store: Store) -> None:
        begun = await put(store, begin(make_message(), store.owner))
        await orphan(store, Receipt("z1", None, None))
        assert not await store.save(finish(begun, "z1"), expected=begun.version + 1)
        assert await new_ones(store) == []

    async def test_one_whose_message_came_while_it_was_looked_for_stays_new(self, store: Store) -> None:
        begun = await put(store, begin(make_message(), store.owner))
        number = await keep(store, Receipt("z1", None, None))
        assert await store.match("main", Receipt("z1", None, None)) is None
        assert await store.save(finish(begun, "z1"), expected=begun.version)
        await store.settle_receipt(number, is_matched=False)
        assert await new_ones(store) == [number]

    async def test_old_ones_are_swept_but_not_what_is_new(self, store: Store) -> None:
        await orphan(store, of_message("old"))
        await orphan(store, of_message("young"), at=10)
        new = await keep(store, of_message("new"))
        assert await store.sweep(after(20), final_before=NOW, receipts_before=after(10)) == 1
        assert await new_ones(store) == [new]
        assert isinstance(await take(store, make_message("young")), Overtaken)
        assert await take(store, make_message("old")) == Stored()

    async def test_of_too_many_the_oldest_of_the_account_are_dropped_and_counted(self, store: Store) -> None:
        for n in range(5):
            await orphan(store, of_message(f"evt-{n}"), at=n)
        await orphan(store, of_message("other"), "second")
        assert await store.sweep(after(20), final_before=NOW, receipts_before=NOW) == 2
        taken = [await take(store, make_message(f"evt-{n}")) for n in range(5)]
        assert [isinstance(one, Overtaken) for one in taken] == [False, False, True, True, True]
        assert isinstance(await take(store, make_message("other", account="second")), Overtaken)


class TestOvertaking:
    @pytest.mark.parametrize("is_worked_on", [True, False], ids=["orphan", "new"])
    async def test_a_message_whose_receipt_is_here_is_not_stored(
        self, store: Store, *, is_worked_on: bool
    ) -> None:
        message = make_message()
        number = await (orphan if is_worked_on else keep)(store, of_message())
        assert await take(store, message) == Overtaken(number, of_message())
        assert await store.load(message.tracking_id) is None
        assert await store.known(identity_of(make_event()), make_event()) is None

    async def test_a_receipt_of_another_account_or_message_does_not_overtake(self, store: Store) -> None:
        await orphan(store, of_message(), "second")
        await orphan(store, of_message("evt-2"))
        await orphan(store, Receipt("z1", None, None))
        assert await take(store, make_message()) == Stored()

    async def test_despite_it_the_message_is_stored_and_the_receipt_dropped(self, store: Store) -> None:
        number = await orphan(store, of_message())
        delivered = received(make_message(), of_message(), after(5))
        assert await take(store, delivered, despite=number) == Stored()
        loaded = await store.load(delivered.tracking_id)
        assert loaded is not None
        assert (loaded.state, loaded.delivered_at) == (State.DELIVERED, after(3.5))
        assert await new_ones(store) == []
        await store.sweep(after(99), final_before=after(98), receipts_before=NOW)
        await change(store, await put(store, make_message("evt-2")), attempts=1)
        await store.sweep(after(99), final_before=after(98), receipts_before=NOW)
        assert await take(store, make_message()) == Stored(), "nothing was left to overtake it"

    async def test_what_else_spoke_of_it_is_worked_on_then(self, store: Store) -> None:
        first = await orphan(store, of_message(msg_id="z1"))
        twin = await orphan(store, of_message(msg_id="z1"))
        by_msg_id = await orphan(store, Receipt("z1", None, None))
        delivered = received(make_message(), of_message(msg_id="z1"), after(5))
        assert await take(store, delivered, despite=first) == Stored()
        assert await new_ones(store) == [twin, by_msg_id]

    async def test_a_receipt_that_is_gone_by_then_does_no_harm(self, store: Store) -> None:
        assert await take(store, make_message(), despite=4711) == Stored()

    async def test_what_is_known_comes_before_the_receipt(self, store: Store) -> None:
        message = await put(store, make_message())
        number = await keep(store, of_message())
        assert await take(store, make_message()) == Known(message)
        assert await take(store, make_message(), despite=number) == Known(message)
        other = make_event(data={})
        clash = await store.accept(make_message(), make_letter(other), identity_of(other), despite=number)
        assert clash == Conflicting(message.tracking_id)
        assert await new_ones(store) == [number], "it is still to be worked on"
