"""What every keeper of the Ledger does with messages, holds and their order: each sentence of its port."""

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

from gateway.core.delivery import State
from gateway.core.errors import Unavailable
from gateway.core.message import waiting
from gateway.core.silence import asking, given_up
from gateway.ports import Conflicting, Depth, Known, Query, Stored

from .stage import (
    NOW,
    OPERATIONS,
    PHONE,
    Stage,
    Store,
    after,
    begin,
    change,
    finish,
    identity_of,
    ids,
    make_event,
    make_hold,
    make_letter,
    make_message,
    put,
    take,
    tracking_id_of,
)


class TestAccept:
    async def test_a_new_message_is_stored_with_its_letter(self, store: Store) -> None:
        message = make_message()
        assert await take(store, message) == Stored()
        assert await store.load(message.tracking_id) == message
        assert await store.letter(message.tracking_id) == make_letter(make_event())

    async def test_a_skipped_event_is_stored_without_a_phone(self, store: Store) -> None:
        message = make_message(state=State.SKIPPED, phone=None, template_id=None)
        await put(store, message, phone=None)
        letter = await store.letter(message.tracking_id)
        assert letter is not None
        assert letter.phone is None
        assert await store.due("main", after(1), held=(), limit=10) == []

    async def test_the_same_event_again_is_known_as_it_now_stands(self, store: Store) -> None:
        message = await put(store, make_message())
        newer = await change(store, message, attempts=1)
        assert await take(store, make_message(accepted_at=after(5))) == Known(newer)
        assert await store.load(message.tracking_id) == newer

    async def test_the_same_key_is_known_whatever_the_event_is_called(self, store: Store) -> None:
        message = await put(store, make_message("evt-1", key="k1"), key="k1")
        assert await take(store, make_message("evt-2", key="k1"), key="k1") == Known(message)
        assert await take(store, make_message("evt-2")) == Known(message), "evt-2 is a name of it from now on"

    async def test_a_new_key_is_bound_to_a_known_event(self, store: Store) -> None:
        message = await put(store, make_message("evt-1"))
        assert await take(store, make_message("evt-1", key="k1"), key="k1") == Known(message)
        assert await take(store, make_message("evt-9", key="k1"), key="k1") == Known(message)
        assert await store.load(tracking_id_of("evt-1", "k1")) is None, "it keeps its tracking_id"

    async def test_known_binds_nothing(self, store: Store) -> None:
        message = await put(store, make_message("evt-1"))
        assert await store.known(identity_of(make_event("evt-1"), "k1"), make_event("evt-1")) == Known(message)
        assert await take(store, make_message("evt-2", key="k1"), key="k1") == Stored()

    async def test_two_names_that_are_two_messages_conflict(self, store: Store) -> None:
        by_key = await put(store, make_message("evt-1", key="k1"), key="k1")
        by_event = await put(store, make_message("evt-2"))
        assert await take(store, make_message("evt-2", key="k1"), key="k1") == Conflicting(by_key.tracking_id)
        assert await store.load(by_event.tracking_id) == by_event

    async def test_a_conflict_binds_nothing(self, store: Store) -> None:
        message = await put(store, make_message("evt-1"))
        other = make_event("evt-1", data={"order_id": "B2"})
        clash = await store.accept(make_message("evt-1", key="k1"), make_letter(other), identity_of(other, "k1"))
        assert clash == Conflicting(message.tracking_id)
        assert await take(store, make_message("evt-7", key="k1"), key="k1") == Stored()

    @pytest.mark.parametrize(
        "other",
        [
            {"type": "order.shipped"},
            {"data": {"order_id": "A1", "total": 250_001}},
            {"data": {"order_id": "A1"}},
            {"data": {"order_id": "A1", "total": "250000"}},
            {"data": {"order_id": "a1", "total": 250_000}},
        ],
        ids=["type", "number", "member", "text for a number", "case"],
    )
    async def test_another_type_or_other_data_conflicts(self, store: Store, other: dict[str, Any]) -> None:
        message = await put(store, make_message())
        event = make_event(**other)
        assert await store.known(identity_of(event), event) == Conflicting(message.tracking_id)
        clash = await store.accept(make_message(), make_letter(event), identity_of(event))
        assert clash == Conflicting(message.tracking_id)

    async def test_time_subject_and_extensions_do_not_tell_events_apart(self, store: Store) -> None:
        message = await put(store, make_message())
        event = make_event(time="2026-11-23T08:00:00Z", subject="A1", extensions={"traceparent": "00-1"})
        assert await store.known(identity_of(event), event) == Known(message)

    @pytest.mark.parametrize(
        ("one", "other", "is_same"),
        [
            ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
            ({"n": 1}, {"n": 1.0}, True),
            ({"n": 1e3}, {"n": 1000}, True),
            ({"n": -0.0}, {"n": 0}, True),
            ({"n": 2**63}, {"n": float(2**63)}, True),
            ({"n": [1, 2]}, {"n": [2, 1]}, False),
            ({"n": True}, {"n": 1}, False),
            ({"n": None}, {}, False),
            ({"n": 2**53}, {"n": 2**53 + 1}, False),
            ({"n": 0.1}, {"n": 0.10000000000000002}, False),
            ({"s": "é"}, {"s": "e\u0301"}, False),
        ],
    )
    async def test_data_is_compared_as_json(
        self, store: Store, one: dict[str, Any], other: dict[str, Any], *, is_same: bool
    ) -> None:
        event, again = make_event(data=one), make_event(data=other)
        message = make_message()
        assert await store.accept(message, make_letter(event), identity_of(event)) == Stored()
        expected = Known(message) if is_same else Conflicting(message.tracking_id)
        assert await store.known(identity_of(again), again) == expected

    async def test_of_many_at_once_one_is_stored(self, store: Store) -> None:
        taken = await asyncio.gather(*(take(store, make_message(accepted_at=after(n))) for n in range(20)))
        assert Counter(type(one) for one in taken) == {Stored: 1, Known: 19}

    async def test_nothing_that_the_store_keeps_is_shared(self, store: Store) -> None:
        data: dict[str, Any] = {"items": [1]}
        event = make_event(data=data)
        letter = make_letter(event)
        message = make_message()
        await store.accept(message, letter, identity_of(event))
        data["items"].append(2)
        letter.template_data["otp"] = "000000"
        kept = await store.letter(message.tracking_id)
        assert kept is not None
        assert (kept.event.data, kept.template_data["otp"]) == ({"items": [1]}, "135790")
        kept.event.data["items"].append(3)
        assert await store.letter(message.tracking_id) != kept

    async def test_everything_that_json_can_say_comes_back_from_the_letter(self, store: Store) -> None:
        data: dict[str, Any] = {
            "text": "Ánh 🎉 \u0000",
            "numbers": [2**64 - 1, -(2**63), 0.1, 1e308],
            "none": None,
            "deep": [[{}]],
        }
        event = make_event(data=data, extensions={"traceparent": "00-1"}, time="2026", subject="x")
        message = make_message()
        await store.accept(message, make_letter(event), identity_of(event))
        assert await store.letter(message.tracking_id) == make_letter(event)


class TestKnown:
    async def test_a_new_identity_is_not_known_and_nothing_is_stored(self, store: Store) -> None:
        assert await store.known(identity_of(make_event()), make_event()) is None
        assert await take(store, make_message()) == Stored()

    async def test_an_identity_that_was_swept_is_new(self, store: Store) -> None:
        await put(store, make_message("evt-1", key="k1", state=State.SKIPPED), key="k1")
        await put(store, make_message("evt-2", accepted_at=after(9)))
        await store.sweep(after(10), final_before=after(5), receipts_before=NOW)
        assert await store.known(identity_of(make_event("evt-1"), "k1"), make_event("evt-1")) is None
        assert await take(store, make_message("evt-1")) == Stored()
        assert await take(store, make_message("evt-3", key="k1"), key="k1") == Stored()


class TestSave:
    async def test_the_version_that_was_expected_is_replaced(self, store: Store) -> None:
        message = await put(store, make_message())
        begun = begin(message, store.owner)
        assert await store.save(begun, expected=message.version)
        assert await store.load(message.tracking_id) == begun

    async def test_a_stale_version_changes_nothing(self, store: Store) -> None:
        message = await put(store, make_message())
        newer = await change(store, message, attempts=1)
        assert not await store.save(begin(message, store.owner), expected=message.version)
        assert not await store.save(begin(newer, store.owner), expected=newer.version + 1)
        assert await store.load(message.tracking_id) == newer

    async def test_a_message_that_is_not_there_is_not_saved(self, store: Store) -> None:
        assert not await store.save(make_message(), expected=1)
        assert await store.load(make_message().tracking_id) is None

    async def test_of_many_claims_one_wins(self, store: Store) -> None:
        message = await put(store, make_message())
        claims = [begin(message, f"owner-{n}") for n in range(20)]
        won = await asyncio.gather(*(store.save(claim, expected=message.version) for claim in claims))
        assert won.count(True) == 1
        assert await store.load(message.tracking_id) == claims[won.index(True)]

    async def test_the_letter_stays(self, store: Store) -> None:
        message = await put(store, make_message())
        await change(store, message, attempts=1)
        assert await store.letter(message.tracking_id) == make_letter(make_event())

    async def test_a_new_letter_and_the_phone_that_it_is_found_by_replace_the_old_ones(self, store: Store) -> None:
        message = await put(store, make_message())
        letter = make_letter(make_event(), "84987654321")
        newer = msgspec.structs.replace(message, version=message.version + 1)
        assert not await store.save(newer, expected=newer.version, letter=letter)
        assert await store.letter(message.tracking_id) == make_letter(make_event())
        assert (await store.find(Query(phone=PHONE))).items == (message,)
        assert await store.save(newer, expected=message.version, letter=letter)
        assert await store.letter(message.tracking_id) == letter
        assert (await store.find(Query(phone="84987654321"))).items == (newer,)
        assert (await store.find(Query(phone=PHONE))).items == ()
        skipped = msgspec.structs.replace(newer, version=newer.version + 1)
        assert await store.save(skipped, expected=newer.version, letter=make_letter(make_event(), None))
        assert (await store.find(Query(phone="84987654321"))).items == ()
        assert await take(store, make_message()) == Known(skipped), "the event is the same"

    async def test_of_many_new_letters_the_one_that_wins_is_there(self, store: Store) -> None:
        message = await put(store, make_message())
        newer = msgspec.structs.replace(message, version=message.version + 1)
        letters = [make_letter(make_event(), f"8491234567{n}") for n in range(8)]
        won = await asyncio.gather(*(store.save(newer, expected=message.version, letter=it) for it in letters))
        assert won.count(True) == 1
        assert await store.letter(message.tracking_id) == letters[won.index(True)]

    async def test_what_is_asked_for_goes_by_the_newest_version(self, store: Store) -> None:
        message = await put(store, make_message())
        held = [make_hold(template_id="tpl-1")]
        newer = await change(store, message, template_id="tpl-2", priority="urgent", account="second")
        assert await store.due("main", after(1), held=(), limit=10) == []
        assert await store.due("second", after(1), held=held, limit=10) == [newer]
        assert await store.depths() == [Depth("second", "urgent", 1, NOW)]
        assert (await store.find(Query(account="second"))).items == (newer,)

    async def test_every_field_of_a_message_comes_back(self, store: Store) -> None:
        message = await put(store, make_message(not_before=after(0.000001), resends=True))
        sent = finish(begin(message, store.owner, after(1.5)), "zalo-1", after(2.25))
        assert await store.save(sent, expected=message.version)
        assert await store.load(message.tracking_id) == sent


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await store.load("nothing") is None
    assert await store.letter("nothing") is None
    assert await store.holds() == []
    assert await store.depths() == []
    assert await store.receipts(10) == []
    assert (await store.find(Query())).items == ()


class TestDue:
    async def test_urgent_ones_first_then_the_longest_due(self, store: Store) -> None:
        for name, priority, seconds in (
            ("bulk", "bulk", 0),
            ("late", "normal", 3),
            ("early", "normal", 1),
            ("otp", "urgent", 4),
        ):
            await put(store, make_message(name, priority=priority, accepted_at=after(seconds)))
        assert ids(await store.due("main", after(9), held=(), limit=10)) == ["otp", "early", "late", "bulk"]
        assert ids(await store.due("main", after(9), held=(), limit=3)) == ["otp", "early", "late"]
        assert ids(await store.due("main", after(9), held=(), limit=1)) == ["otp"]

    async def test_those_due_alike_go_in_order_of_acceptance(self, store: Store) -> None:
        for n in range(12):
            await put(store, make_message(f"evt-{n}"))
        assert ids(await store.due("main", NOW, held=(), limit=5)) == [f"evt-{n}" for n in range(5)]

    async def test_the_next_attempt_decides_when_it_is_due(self, store: Store) -> None:
        message = await put(store, make_message())
        later = waiting(message, reason=None, next_attempt_at=after(60))
        assert await store.save(later, expected=message.version)
        assert await store.due("main", after(59.999999), held=(), limit=10) == []
        assert await store.due("main", after(60), held=(), limit=10) == [later]

    async def test_only_queued_messages_of_the_account(self, store: Store) -> None:
        queued = await put(store, make_message("queued"))
        again = await put(store, make_message("again", state=State.QUEUED_AGAIN))
        await put(store, make_message("other", account="second"))
        for state in set(State) - {State.QUEUED, State.QUEUED_AGAIN, State.SENDING, State.SENDING_AGAIN}:
            await put(store, make_message(state.value, state=state))
        claimed = await put(store, make_message("claimed"))
        assert await store.save(begin(claimed, store.owner), expected=claimed.version)
        assert await store.due("main", after(1), held=(), limit=100) == [queued, again]

    async def test_what_a_hold_covers_is_left_out(self, store: Store) -> None:
        for name, changes in (
            ("free", {}),
            ("template", {"template_id": "tpl-2"}),
            ("type", {"event_type": "order.shipped"}),
        ):
            await put(store, make_message(name, **changes))
        of_template, of_type = make_hold(template_id="tpl-2"), make_hold(event_type="order.shipped")
        both = make_hold(template_id="tpl-2", event_type="order.shipped")
        elsewhere = make_hold("second")

        async def due(*held: Any) -> list[str]:
            return ids(await store.due("main", after(1), held=held, limit=10))

        assert await due(elsewhere, both) == ["free", "template", "type"]
        assert await due(of_template) == ["free", "type"]
        assert await due(of_type) == ["free", "template"]
        assert await due(of_template, of_type) == ["free"]
        assert await due(make_hold()) == []


class TestOverdue:
    async def test_queued_messages_whose_time_has_passed_the_longest_past_first(self, store: Store) -> None:
        await put(store, make_message("second", expires_at=after(20)))
        await put(store, make_message("first", expires_at=after(10), next_attempt_at=after(5000)))
        await put(store, make_message("again", expires_at=after(30), state=State.QUEUED_AGAIN))
        await put(store, make_message("not yet", expires_at=after(31)))
        await put(store, make_message("sent", expires_at=after(1), state=State.SENT))
        claimed = await put(store, make_message("sending", expires_at=after(1)))
        assert await store.save(begin(claimed, store.owner), expected=claimed.version)
        assert ids(await store.overdue(after(30), 10)) == ["first", "second", "again"]
        assert ids(await store.overdue(after(30), 1)) == ["first"]
        assert await store.overdue(after(9.999999), 10) == []

    async def test_those_under_a_hold_are_the_ones_that_it_covers(self, store: Store) -> None:
        await put(store, make_message("covered", expires_at=after(10), template_id="tpl-2"))
        await put(store, make_message("free", expires_at=after(5)))
        await put(store, make_message("other", expires_at=after(5), template_id="tpl-2", account="second"))
        assert ids(await store.overdue(after(60), 10, under=make_hold(template_id="tpl-2"))) == ["covered"]
        assert ids(await store.overdue(after(60), 10, under=make_hold())) == ["free", "covered"]


class TestStalled:
    async def test_attempts_whose_lease_has_lapsed(self, store: Store) -> None:
        for name, seconds in (("second", 2), ("first", 1), ("third", 3)):
            await put(store, begin(make_message(name), store.owner, after(seconds)))
        await put(store, make_message("queued"))
        await put(store, finish(begin(make_message("sent"), store.owner), "zalo-1"))
        assert ids(await store.stalled(after(24), 10)) == ["first", "second"]
        assert ids(await store.stalled(after(24), 1)) == ["first"]
        assert await store.stalled(after(22.999999), 10) == []

    async def test_attempts_of_dead_owners_at_once(self, stage: Stage) -> None:
        store = stage.store
        await put(store, begin(make_message("own"), store.owner))
        await put(store, begin(make_message("living"), stage.living))
        await put(store, begin(make_message("dead"), stage.dead))
        assert ids(await store.stalled(after(1), 10)) == ["dead"]
        assert ids(await store.stalled(after(1), 10)) == ["dead"], "also when asked again"

    async def test_an_attempt_that_is_open_after_its_receipt_is_still_to_be_concluded(self, store: Store) -> None:
        message = await put(store, begin(make_message(), store.owner))
        delivered = await change(store, message, state=State.DELIVERED)
        assert await store.stalled(after(100), 10) == [delivered]


async def test_depths_count_what_is_queued_by_account_and_priority(store: Store) -> None:
    for n, (account, priority, state) in enumerate(
        [
            ("main", "normal", State.QUEUED),
            ("main", "normal", State.QUEUED_AGAIN),
            ("main", "urgent", State.QUEUED),
            ("main", "normal", State.SENT),
            ("second", "bulk", State.QUEUED),
        ]
    ):
        await put(
            store,
            make_message(f"evt-{n}", account=account, priority=priority, state=state, accepted_at=after(9 - n)),
        )
    assert sorted(await store.depths(), key=lambda depth: (depth.account, depth.priority)) == [
        Depth("main", "normal", 2, after(8)),
        Depth("main", "urgent", 1, after(7)),
        Depth("second", "bulk", 1, after(5)),
    ]


class TestSilent:
    async def test_those_of_the_account_that_are_to_be_asked_about_the_longest_due_first(
        self, store: Store
    ) -> None:
        for name, ask_at in (("second", 20), ("first", 10), ("third", 30)):
            await put(store, make_message(name, state=State.SENT, ask_at=after(ask_at)))
        unknown = await put(store, make_message("unknown", state=State.UNKNOWN))
        await change(store, unknown, ask_at=after(25))
        await put(store, make_message("other", state=State.SENT, ask_at=after(1), account="second"))
        await put(store, make_message("never", state=State.SENT))
        assert ids(await store.silent("main", after(25), 10)) == ["first", "second", "unknown"]
        assert ids(await store.silent("main", after(25), 1)) == ["first"]
        assert await store.silent("main", after(9.999999), 10) == []

    async def test_it_goes_by_the_newest_version(self, store: Store) -> None:
        begun = await put(store, begin(make_message(), store.owner))
        sent = finish(begun, "z1", after(1))
        assert sent.ask_at is not None
        assert await store.save(sent, expected=begun.version)
        assert await store.silent("main", sent.ask_at, 10) == [sent]
        asked = asking(sent, sent.ask_at)
        assert asked.ask_at is not None
        assert await store.save(asked, expected=sent.version)
        assert await store.silent("main", sent.ask_at, 10) == []
        assert await store.silent("main", asked.ask_at, 10) == [asked]
        assert await store.save(given_up(asked, after(9000)), expected=asked.version)
        assert await store.silent("main", after(10**9), 10) == []


class TestHolds:
    async def test_a_hold_stands_until_it_is_dropped(self, store: Store) -> None:
        of_account, of_template = make_hold(), make_hold(template_id="tpl-1", until=after(60))
        await store.put_hold(of_template)
        await store.put_hold(of_account)
        assert set(await store.holds()) == {of_account, of_template}
        await store.drop_hold(of_account.key)
        assert await store.holds() == [of_template]
        await store.drop_hold("nothing")

    async def test_a_later_hold_on_the_same_replaces_it(self, store: Store) -> None:
        await store.put_hold(make_hold())
        later = make_hold(cause="-137", since=after(5))
        await store.put_hold(later)
        assert await store.holds() == [later]


class TestSweep:
    async def test_what_is_final_and_old_is_gone_with_all_that_belongs_to_it(self, store: Store) -> None:
        for n, state in enumerate([State.SENT, State.DELIVERED, State.FAILED, State.SKIPPED, State.UNKNOWN]):
            await put(store, make_message(f"evt-{n}", state=state))
        kept = await put(store, make_message("young", state=State.SENT, updated_at=after(50)))
        assert await store.sweep(after(99), final_before=after(50), receipts_before=NOW) == 5
        assert (await store.find(Query())).items == (kept,)
        assert await store.letter(tracking_id_of("evt-0")) is None
        assert await store.sweep(after(99), final_before=after(50), receipts_before=NOW) == 0

    async def test_what_is_under_way_stays_and_does_not_keep_others(self, store: Store) -> None:
        await put(store, make_message("queued"))
        await put(store, make_message("again", state=State.QUEUED_AGAIN))
        await put(store, begin(make_message("sending"), store.owner))
        open_still = await put(store, begin(make_message("open"), store.owner))
        await change(store, open_still, state=State.DELIVERED)
        await put(store, make_message("final", state=State.SENT))
        await put(store, make_message("newest", accepted_at=after(90)))
        assert await store.sweep(after(99), final_before=after(50), receipts_before=NOW) == 1
        assert sorted(ids((await store.find(Query())).items)) == ["again", "newest", "open", "queued", "sending"]

    async def test_more_than_goes_at_once_goes_all_the_same(self, store: Store) -> None:
        messages = [make_message(f"evt-{n}", state=State.SENT) for n in range(510)]
        await asyncio.gather(*(put(store, message) for message in messages))
        await put(store, make_message("newest"))
        assert await store.sweep(after(99), final_before=after(50), receipts_before=NOW) == 510
        assert ids((await store.find(Query())).items) == ["newest"]

    async def test_the_feed_goes_on_after_everything_was_swept(self, store: Store) -> None:
        for n in range(5):
            await put(store, make_message(f"evt-{n}", state=State.SENT))
        cursor = (await store.find(Query(updated_after=after(-1)))).next_cursor
        await store.sweep(after(99), final_before=after(50), receipts_before=NOW)
        await put(store, make_message("later", accepted_at=after(60)))
        page = await store.find(Query(updated_after=after(-1), cursor=cursor))
        assert ids(page.items) == ["later"]


async def test_a_ping_is_confirmed_after_all_that_was_asked_for_before_it(store: Store) -> None:
    begun = [asyncio.ensure_future(take(store, make_message(f"evt-{n}"))) for n in range(20)]
    await asyncio.wait(begun, timeout=0)
    await store.ping()
    assert len((await store.find(Query())).items) == 20
    assert await asyncio.gather(*begun) == [Stored()] * 20


async def test_after_it_was_closed_nothing_can_be_had_of_it(store: Store) -> None:
    await store.aclose()
    for ask in OPERATIONS.values():
        with pytest.raises(Unavailable):
            await ask(store)
    await store.aclose()


async def test_what_was_begun_before_it_was_closed_is_done(store: Store) -> None:
    begun = [asyncio.ensure_future(take(store, make_message(f"evt-{n}"))) for n in range(20)]
    asked = asyncio.ensure_future(store.load("any"))
    await asyncio.wait(begun, timeout=0)
    await store.aclose()
    assert await asyncio.gather(*begun) == [Stored()] * 20
    assert await asked is None


def test_every_operation_of_the_ports_is_among_them(store: Store) -> None:
    public = {name for name in dir(type(store)) if not name.startswith("_")}
    assert public - {"owner", "aclose", "is_served", "is_down", "is_gone", "rekey"} == set(OPERATIONS)
