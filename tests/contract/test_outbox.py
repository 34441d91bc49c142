"""What every keeper of the Outbox does with callbacks: made with the change, taken by one, kept until they are settled."""

import asyncio
from datetime import datetime
from typing import Any

import msgspec
import pytest

from gateway.core.callback import TOLD as TOLD_STATUSES
from gateway.core.callback import Callback, of_message
from gateway.core.delivery import State
from gateway.core.message import Message, received, waiting
from gateway.core.receipt import Receipt
from gateway.core.silence import asking
from gateway.ports import Overtaken, Replay, Untold

from .stage import (
    NOW,
    Store,
    after,
    begin,
    change,
    finish,
    make_callback,
    make_hold,
    make_message,
    put,
    take,
)

FOR_EVER = after(10**9)
EVERYTHING = Replay(caller=None)


def of_crm(name: str = "evt-1", **changes: Any) -> Message:
    """A message of a caller that has a callback."""
    return make_message(name, caller="crm", **changes)


async def keep(store: Store, *callbacks: Callback) -> None:
    """The callbacks wait to be told."""
    told = (await store.pauses()).get("main")
    hold = make_hold(cause=f"after {told.cause}") if told else make_hold()
    assert await store.note_pause("main", hold, before=told, callbacks=callbacks)


async def taken(store: Store, caller: str = "crm", *, at: float = 10**8, until: datetime = FOR_EVER) -> list[str]:
    """The ids of all that is due of that caller, which is nobody else's until then."""
    return [it.id for it in await store.take_callbacks(caller, after(at), until=until, limit=10**6)]


async def settle(
    store: Store, *names: str, taken_until: datetime = FOR_EVER, next_at: datetime | None = None
) -> None:
    """What came of a call of each is known."""
    for name in names:
        await store.settle_callback(name, taken_until=taken_until, next_at=next_at)


async def told(store: Store) -> list[Callback]:
    """What `crm` is told of its messages, in the order of being told; all of it ends with that."""
    callbacks = await store.take_callbacks("crm", FOR_EVER, until=FOR_EVER, limit=10**6)
    await settle(store, *(it.id for it in callbacks))
    return [msgspec.structs.replace(it, tries=0, since=NOW) for it in callbacks]


def announced(*messages: Message) -> list[Callback]:
    callbacks = [of_message(message) for message in messages]
    return [msgspec.structs.replace(it, since=NOW) for it in callbacks if it is not None]


class TestMaking:
    async def test_each_change_of_status_is_told_with_the_message_as_it_was_then(self, store: Store) -> None:
        queued = await put(store, of_crm())
        assert await told(store) == [], "nobody asked to know that it is queued"
        begun = begin(queued, store.owner, after(1))
        sent = finish(begun, "z1", after(2))
        delivered = received(sent, Receipt("z1", None, None), after(3))
        for older, newer in ((queued, begun), (begun, sent), (sent, delivered)):
            assert await store.save(newer, expected=older.version)
        assert await told(store) == announced(sent, delivered)
        assert len(announced(sent, delivered)) == 2

    async def test_what_leaves_the_status_as_it_is_is_not_told(self, store: Store) -> None:
        sent = await put(store, of_crm(state=State.SENT, ask_at=after(1)))
        assert await told(store) == announced(sent)
        asked = asking(sent, after(2))
        assert await store.save(asked, expected=sent.version)
        assert await told(store) == []
        queued = await put(store, of_crm("evt-2"))
        assert await store.save(waiting(queued, reason=None, next_attempt_at=after(9)), expected=queued.version)
        assert await told(store) == []

    @pytest.mark.parametrize("state", list(State))
    async def test_a_message_that_is_born_so_is_told_if_anybody_wants_to_know(
        self, store: Store, state: State
    ) -> None:
        message = await put(store, of_crm(state=state))
        assert await told(store) == (announced(message) if state.status in TOLD_STATUSES else [])

    async def test_one_that_comes_to_a_status_again_is_told_again(self, store: Store) -> None:
        unknown = await put(store, of_crm(state=State.UNKNOWN))
        again = await change(store, unknown, state=State.QUEUED_AGAIN)
        back = await change(store, again, state=State.UNKNOWN)
        assert await told(store) == announced(unknown, back)

    async def test_of_a_caller_without_a_callback_nothing_is_told(self, store: Store) -> None:
        sent = await put(store, make_message(state=State.SENT))
        await change(store, sent, state=State.DELIVERED)
        assert await taken(store, "checkout") == []
        assert await store.untold() == []

    async def test_a_save_that_changed_nothing_tells_nothing(self, store: Store) -> None:
        begun = await put(store, begin(of_crm(), store.owner))
        assert not await store.save(finish(begun, "z1"), expected=begun.version + 1)
        assert await told(store) == []

    async def test_what_is_known_conflicting_or_overtaken_tells_nothing(self, store: Store) -> None:
        message = of_crm(state=State.SENT)
        receipt = Receipt(None, message.tracking_id, None)
        number = await store.keep_receipt("main", NOW, receipt, b"{}")
        assert isinstance(await take(store, message), Overtaken)
        assert await told(store) == []
        delivered = received(message, receipt, after(5))
        await take(store, delivered, despite=number)
        assert await told(store) == announced(delivered)
        await take(store, message)
        assert await told(store) == []

    async def test_of_many_that_save_at_once_the_change_is_told_once(self, store: Store) -> None:
        begun = await put(store, begin(of_crm(), store.owner))
        ends = [finish(begun, f"z{number}", after(number)) for number in range(20)]
        won = await asyncio.gather(*(store.save(end, expected=begun.version) for end in ends))
        assert won.count(True) == 1
        assert await told(store) == announced(ends[won.index(True)])

    async def test_one_that_is_here_is_not_made_again(self, store: Store) -> None:
        await keep(store, make_callback())
        await taken(store)
        await settle(store, "c-1")
        await keep(store, make_callback(), make_callback("c-2"))
        assert await taken(store) == ["c-2"]


class TestTaking:
    async def test_the_longest_due_first_and_no_more_than_asked_for(self, store: Store) -> None:
        await keep(store, *(make_callback(f"c-{n}", since=after(n)) for n in (3, 1, 2, 9)))
        first = await store.take_callbacks("crm", after(5), until=after(60), limit=2)
        assert [it.id for it in first] == ["c-1", "c-2"]
        assert await taken(store, at=5) == ["c-3"]
        assert await taken(store, at=5) == []
        assert await taken(store, at=9) == ["c-9"]

    async def test_it_comes_as_it_was_made_with_this_try_counted(self, store: Store) -> None:
        made = make_callback(body=b'{"note": "\xc3\x81nh"}', type="feedback.received")
        await keep(store, made)
        for tries in (1, 2, 3):
            (it,) = await store.take_callbacks("crm", after(tries), until=after(tries), limit=1)
            assert it == msgspec.structs.replace(made, tries=tries, since=after(1)), "its day began with the first"

    async def test_who_dies_with_it_leaves_it_to_whoever_comes_when_its_time_is_up(self, store: Store) -> None:
        await keep(store, make_callback())
        assert await taken(store, at=1, until=after(16)) == ["c-1"]
        assert await taken(store, at=15.999999, until=after(31)) == []
        assert await taken(store, at=16, until=after(31)) == ["c-1"]

    async def test_of_many_that_take_at_once_each_callback_has_one(self, store: Store) -> None:
        await keep(store, *(make_callback(f"c-{n}") for n in range(100)))
        parts = await asyncio.gather(
            *(store.take_callbacks("crm", after(1), until=FOR_EVER, limit=7) for _ in range(20))
        )
        ids = [it.id for part in parts for it in part]
        assert len(ids) == 100
        assert set(ids) == {f"c-{n}" for n in range(100)}

    async def test_each_caller_has_its_own(self, store: Store) -> None:
        await keep(store, make_callback("c-1"), make_callback("c-2", "ops"))
        assert await taken(store, "ops") == ["c-2"]
        assert await taken(store, "nobody") == []
        assert await taken(store, "crm") == ["c-1"]

    async def test_who_has_something_due_is_known(self, store: Store) -> None:
        late = make_callback("c-3", "later", since=after(60))
        await keep(store, make_callback("c-1"), make_callback("c-2", "ops"), make_callback("c-4"), late)
        assert set(await store.due_callers(after(1))) == {"crm", "ops"}
        assert set(await store.due_callers(after(60))) == {"crm", "ops", "later"}
        assert await taken(store, "ops", until=after(90)) == ["c-2"]
        assert set(await store.due_callers(after(89))) == {"crm", "later"}
        assert set(await store.due_callers(after(90))) == {"crm", "later", "ops"}


class TestSettling:
    async def test_one_that_is_settled_comes_then_or_never(self, store: Store) -> None:
        await keep(store, make_callback("c-1"), make_callback("c-2"))
        assert await taken(store, at=1) == ["c-1", "c-2"]
        await settle(store, "c-1")
        await settle(store, "c-2", next_at=after(30))
        assert await taken(store, at=29) == []
        assert await taken(store, at=30) == ["c-2"]
        assert await store.untold() == [Untold("crm", 1, after(1))]

    async def test_one_that_has_ended_is_not_brought_back_by_who_was_late(self, store: Store) -> None:
        await keep(store, make_callback())
        await taken(store, at=1, until=after(2))
        await taken(store, at=2, until=after(3))
        await settle(store, "c-1", taken_until=after(3))
        await settle(store, "c-1", taken_until=after(2), next_at=after(5))
        assert await taken(store) == []

    @pytest.mark.parametrize("next_at", [None, after(5)])
    async def test_who_was_late_changes_nothing_for_who_has_it_now(
        self, store: Store, next_at: datetime | None
    ) -> None:
        await keep(store, make_callback())
        await taken(store, at=1, until=after(2))
        await taken(store, at=2, until=after(20))
        await settle(store, "c-1", taken_until=after(2), next_at=next_at)
        assert await taken(store, at=19) == []
        assert await taken(store, at=20) == ["c-1"]

    async def test_who_was_late_settles_it_if_nobody_else_has_come(self, store: Store) -> None:
        await keep(store, make_callback())
        await taken(store, at=1, until=after(2))
        await settle(store, "c-1", taken_until=after(2))
        assert await taken(store) == []

    async def test_one_that_is_replayed_meanwhile_is_still_to_be_told(self, store: Store) -> None:
        await keep(store, make_callback())
        await taken(store, at=1)
        assert await store.replay_callbacks(EVERYTHING, after(2)) == 1
        await settle(store, "c-1")
        (again,) = await store.take_callbacks("crm", after(3), until=after(9), limit=9)
        assert (again.tries, again.since) == (1, after(3))
        await settle(store, "c-1")
        assert await taken(store, at=9) == ["c-1"], "what came of the call before is no word about this one"

    async def test_what_is_not_there_settles_quietly(self, store: Store) -> None:
        await settle(store, "nothing", next_at=NOW)
        assert await taken(store) == []


class TestReplaying:
    async def ended(self, store: Store) -> None:
        """Four callbacks that were told."""
        await keep(
            store, *(make_callback(f"c-{n}", "ops" if n == 3 else "crm", since=after(n * 10)) for n in range(4))
        )
        for caller in ("crm", "ops"):
            await settle(store, *await taken(store, caller))
        assert await store.untold() == []

    @pytest.mark.parametrize(
        ("replay", "expected"),
        [
            (Replay(caller=None), [0, 1, 2, 3]),
            (Replay(caller="crm"), [0, 1, 2]),
            (Replay(caller="ops"), [3]),
            (Replay(caller="nobody"), []),
            (Replay(caller=None, ids=("c-1", "c-3", "c-1", "c-9")), [1, 3]),
            (Replay(caller="crm", ids=("c-1", "c-3")), [1]),
            (Replay(caller=None, since=after(10)), [1, 2, 3]),
            (Replay(caller=None, until=after(10)), [0]),
            (Replay(caller=None, since=after(10), until=after(20)), [1]),
            (Replay(caller="crm", since=after(10)), [1, 2]),
            (Replay(caller="crm", ids=("c-0", "c-1"), since=after(10)), [1]),
        ],
    )
    async def test_those_that_are_meant_are_due_now_as_if_never_tried(
        self, store: Store, replay: Replay, expected: list[int]
    ) -> None:
        await self.ended(store)
        now = after(2 * 10**8)
        assert await store.replay_callbacks(replay, now) == len(expected)
        again = [
            it
            for caller in ("crm", "ops")
            for it in await store.take_callbacks(caller, now, until=FOR_EVER, limit=99)
        ]
        assert sorted(it.id for it in again) == [f"c-{n}" for n in expected]
        assert {(it.tries, it.since) for it in again} <= {(1, now)}, "it gets its day again"

    async def test_which_they_are_goes_by_when_they_were_made_also_the_second_time(self, store: Store) -> None:
        await self.ended(store)
        replay = Replay(caller=None, since=after(10), until=after(20))
        for round_ in range(3):
            assert await store.replay_callbacks(replay, after(10**8 + round_)) == 1

    async def test_one_that_still_waits_is_due_at_once(self, store: Store) -> None:
        await keep(store, make_callback())
        await taken(store, at=1)
        await settle(store, "c-1", next_at=after(7000))
        assert await store.replay_callbacks(Replay(caller="crm", ids=("c-1",)), after(5)) == 1
        assert await store.untold() == [Untold("crm", 1, after(5))]
        assert await taken(store, at=5) == ["c-1"]

    async def test_more_than_go_at_once_go_all_the_same(self, store: Store) -> None:
        await keep(store, *(make_callback(f"c-{n}") for n in range(1234)))
        await settle(store, *await taken(store))
        assert await store.replay_callbacks(EVERYTHING, FOR_EVER) == 1234
        assert len(await store.take_callbacks("crm", FOR_EVER, until=FOR_EVER, limit=9999)) == 1234


async def test_backlogs_count_what_waits_by_caller_and_since_when(store: Store) -> None:
    await keep(
        store,
        make_callback("c-1", since=after(5)),
        make_callback("c-2", since=after(3)),
        make_callback("c-3", "ops", since=after(1)),
        make_callback("c-4", "third"),
    )
    await taken(store, "third")
    await settle(store, "c-4")
    assert sorted(await store.untold(), key=lambda it: it.caller) == [
        Untold("crm", 2, after(3)),
        Untold("ops", 1, after(1)),
    ]


async def test_a_callback_is_kept_as_long_as_a_message(store: Store) -> None:
    await keep(store, *(make_callback(f"c-{n}", since=after(n)) for n in range(1200)))
    await taken(store, at=600, until=after(10**7))
    assert await store.sweep(FOR_EVER, final_before=after(1100), receipts_before=NOW) == 1100
    assert len(await taken(store)) == 100
    assert await store.replay_callbacks(EVERYTHING, FOR_EVER) == 100
    assert await store.sweep(FOR_EVER, final_before=after(1100), receipts_before=NOW) == 0
