"""What every keeper of the Ledger answers when it is asked for lists: the filters, the pages, the feed."""

import asyncio
from typing import Any

import msgspec
import pytest

from gateway.core.delivery import State
from gateway.core.errors import InvalidRequest
from gateway.core.message import Message
from gateway.ports import Query

from .stage import NOW, Store, after, change, ids, make_message, put

FEED = Query(updated_after=after(-1))


async def found(store: Store, **asked: Any) -> list[str]:
    return ids((await store.find(Query(**asked))).items)


async def follow(store: Store, query: Query, cursor: str | None) -> tuple[list[Message], str]:
    """Everything from this cursor on to the present end, and the cursor there."""
    items: list[Message] = []
    while True:
        page = await store.find(msgspec.structs.replace(query, cursor=cursor))
        items += page.items
        assert page.next_cursor is not None, "a feed always goes on"
        cursor = page.next_cursor
        if len(page.items) < query.limit:
            return items, cursor


class TestFilters:
    async def test_newest_accepted_first_whatever_changed_since(self, store: Store) -> None:
        first = await put(store, make_message("first"))
        await put(store, make_message("second"))
        await put(store, make_message("third", accepted_at=after(-60)))
        await change(store, first, updated_at=after(60))
        assert await found(store) == ["third", "second", "first"]

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ({"caller": "crm"}, ["b"]),
            ({"status": "queued"}, ["again", "a"]),
            ({"status": "sent"}, ["b"]),
            ({"event_type": "order.shipped"}, ["c"]),
            ({"event_id": "c"}, ["c"]),
            ({"account": "second"}, ["b"]),
            ({"phone": "84987654321"}, ["b"]),
            ({"phone": "8498765432"}, []),
            ({"since": after(20)}, ["again", "c"]),
            ({"until": after(20)}, ["b", "a"]),
            ({"since": after(10), "until": after(20)}, ["b"]),
            ({"status": "queued", "since": after(1)}, ["again"]),
            ({"caller": "nobody"}, []),
        ],
    )
    async def test_each_narrows_the_list_and_the_feed(
        self, store: Store, asked: dict[str, Any], expected: list[str]
    ) -> None:
        await put(store, make_message("a"))
        second = make_message("b", caller="crm", account="second", state=State.SENT, accepted_at=after(10))
        await put(store, second, phone="84987654321")
        await put(store, make_message("c", event_type="order.shipped", state=State.FAILED, accepted_at=after(20)))
        await put(store, make_message("again", state=State.QUEUED_AGAIN, accepted_at=after(30)))
        assert await found(store, **asked) == expected
        assert await found(store, updated_after=after(-1), **asked) == expected[::-1]

    async def test_a_status_is_the_one_of_now(self, store: Store) -> None:
        message = await put(store, make_message())
        await change(store, message, state=State.EXPIRED)
        assert await found(store, status="queued") == []
        assert await found(store, status="expired") == ["evt-1"]


class TestMatching:
    async def matched(self, store: Store, *statuses: str, **asked: Any) -> list[str]:
        found = await store.matching(Query(**asked), statuses or [state.status for state in State])
        messages = [await store.load(tracking_id) for tracking_id in found]
        return ids(messages)

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ({}, ["a", "b", "c", "again"]),
            ({"caller": "crm"}, ["b"]),
            ({"status": "queued"}, ["a", "again"]),
            ({"event_type": "order.shipped"}, ["c"]),
            ({"event_id": "c"}, ["c"]),
            ({"account": "second"}, ["b"]),
            ({"phone": "84987654321"}, ["b"]),
            ({"phone": "8498765432"}, []),
            ({"since": after(20)}, ["c", "again"]),
            ({"until": after(20)}, ["a", "b"]),
            ({"updated_after": after(10)}, ["c", "again"]),
            ({"limit": 1, "cursor": "s1"}, ["a", "b", "c", "again"]),
        ],
    )
    async def test_everything_that_the_filters_leave_oldest_accepted_first(
        self, store: Store, asked: dict[str, Any], expected: list[str]
    ) -> None:
        await put(store, make_message("a"))
        second = make_message("b", caller="crm", account="second", state=State.SENT, accepted_at=after(10))
        await put(store, second, phone="84987654321")
        await put(store, make_message("c", event_type="order.shipped", state=State.FAILED, accepted_at=after(20)))
        await put(store, make_message("again", state=State.QUEUED_AGAIN, accepted_at=after(30)))
        assert await self.matched(store, **asked) == expected
        queued = [name for name in expected if name in ("a", "again")]
        assert await self.matched(store, "queued", **asked) == queued
        assert await self.matched(store, "sent", "failed", **asked) == [it for it in expected if it not in queued]
        assert await self.matched(store, "cancelled", **asked) == []

    async def test_a_status_is_the_one_of_now(self, store: Store) -> None:
        message = await put(store, make_message())
        await change(store, message, state=State.EXPIRED)
        assert await self.matched(store, "queued") == []
        assert await self.matched(store, "expired") == ["evt-1"]

    @pytest.mark.parametrize("at_once", [1, 2, 3, 10])
    async def test_stretch_by_stretch_each_once_also_where_much_was_swept(
        self, store: Store, at_once: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway.storage.queries._LOOKED_THROUGH_AT_ONCE", at_once)
        for n in range(40):
            await put(store, make_message(f"evt-{n}", state=State.SENT if n % 10 < 6 else State.QUEUED))
        left = [f"evt-{n}" for n in range(40) if n % 10 >= 6]
        assert await self.matched(store) == [f"evt-{n}" for n in range(40)]
        assert await store.sweep(after(99), final_before=after(50), receipts_before=NOW) == 24
        assert await self.matched(store) == left

    async def test_of_nothing_nothing(self, store: Store) -> None:
        assert await store.matching(Query(), ["queued"]) == []
        await put(store, make_message())
        assert await store.matching(Query(), []) == []


class TestPages:
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
    async def test_no_gaps_and_no_repeats_while_others_come_in(self, store: Store, limit: int) -> None:
        for n in range(7):
            await put(store, make_message(f"evt-{n}"))
        seen: list[str] = []
        cursor = None
        for turn in range(9):
            page = await store.find(Query(limit=limit, cursor=cursor))
            seen += ids(page.items)
            await put(store, make_message(f"new-{turn}"))
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == [f"evt-{n}" for n in reversed(range(7))]

    async def test_the_last_page_says_so(self, store: Store) -> None:
        for n in range(4):
            await put(store, make_message(f"evt-{n}"))
        assert (await store.find(Query(limit=4))).next_cursor is None
        page = await store.find(Query(limit=3))
        assert page.next_cursor is not None
        assert (await store.find(Query(limit=3, cursor=page.next_cursor))).next_cursor is None

    async def test_pages_are_of_what_the_filter_lets_through(self, store: Store) -> None:
        for n in range(6):
            await put(store, make_message(f"evt-{n}", caller="crm" if n % 2 else "checkout"))
        page = await store.find(Query(caller="crm", limit=2))
        assert ids(page.items) == ["evt-5", "evt-3"]
        rest = await store.find(Query(caller="crm", limit=2, cursor=page.next_cursor))
        assert (ids(rest.items), rest.next_cursor) == (["evt-1"], None)


class TestCursors:
    @pytest.mark.parametrize(
        "cursor",
        ["", "x", "s", "c", "s-1", "s1x", "x1", "1", "s1\n", "s١", "s" + "9" * 40, "' OR 1=1", "\x00", "é"],
    )
    @pytest.mark.parametrize("updated_after", [None, NOW])
    async def test_what_is_not_one_of_ours_is_refused(self, store: Store, cursor: str, updated_after: Any) -> None:
        await put(store, make_message())
        with pytest.raises(InvalidRequest):
            await store.find(Query(cursor=cursor, updated_after=updated_after))

    async def test_one_of_the_list_does_not_fit_the_feed_nor_the_other_way_round(self, store: Store) -> None:
        for n in range(3):
            await put(store, make_message(f"evt-{n}"))
        of_list = (await store.find(Query(limit=1))).next_cursor
        of_feed = (await store.find(FEED)).next_cursor
        with pytest.raises(InvalidRequest):
            await store.find(msgspec.structs.replace(FEED, cursor=of_list))
        with pytest.raises(InvalidRequest):
            await store.find(Query(cursor=of_feed))

    async def test_one_of_the_feed_that_this_store_cannot_have_given_is_refused_with_the_cure(
        self, store: Store
    ) -> None:
        for n in range(3):
            await put(store, make_message(f"evt-{n}"))
        of_feed = (await store.find(FEED)).next_cursor
        assert of_feed is not None
        ahead = f"c{int(of_feed[1:]) + 1}"
        for cursor in (ahead, "c999999999"):
            with pytest.raises(InvalidRequest, match=r"another store.*`updated_after` without `cursor`"):
                await store.find(msgspec.structs.replace(FEED, cursor=cursor))
        await put(store, make_message("evt-3"))
        assert (await store.find(msgspec.structs.replace(FEED, cursor=ahead))).items == ()

    async def test_one_that_was_given_is_never_refused_however_much_is_swept_since(self, store: Store) -> None:
        first = await put(store, make_message("first"))
        for n in range(3):
            await put(store, make_message(f"evt-{n}", state=State.SENT))
        await change(store, first, state=State.SENT, updated_at=after(1))
        _, cursor = await follow(store, FEED, None)
        for _ in range(2):
            await store.sweep(after(99), final_before=after(98), receipts_before=NOW)
            items, cursor = await follow(store, FEED, cursor)
            assert items == []
        await put(store, make_message("new", accepted_at=after(100)))
        assert ids((await follow(store, FEED, cursor))[0]) == ["new"]


class TestFeed:
    async def test_oldest_change_first_each_message_as_it_now_stands(self, store: Store) -> None:
        first = await put(store, make_message("first"))
        second = await put(store, make_message("second"))
        newer = await change(store, first, updated_at=after(5))
        assert (await store.find(FEED)).items == (second, newer)

    async def test_it_begins_with_the_first_change_after_that_time(self, store: Store) -> None:
        for n in range(4):
            await put(store, make_message(f"evt-{n}", accepted_at=after(n)))
        assert await found(store, updated_after=after(1)) == ["evt-2", "evt-3"]
        assert await found(store, updated_after=after(1.5)) == ["evt-2", "evt-3"]

    async def test_what_was_committed_later_is_not_left_out_for_a_clock_that_is_behind(self, store: Store) -> None:
        await put(store, make_message("ahead", accepted_at=after(10)))
        await put(store, make_message("behind", accepted_at=after(3)))
        assert await found(store, updated_after=after(5)) == ["ahead", "behind"]

    async def test_an_empty_first_page_has_a_cursor_that_misses_nothing(self, store: Store) -> None:
        empty = await store.find(FEED)
        assert empty.items == ()
        message = await put(store, make_message("evt-1"))
        items, cursor = await follow(store, FEED, empty.next_cursor)
        assert ids(items) == ["evt-1"]

        later = msgspec.structs.replace(FEED, updated_after=after(60))
        none_yet = await store.find(later)
        assert none_yet.items == ()
        newer = await change(store, message, attempts=1)
        assert (await follow(store, later, none_yet.next_cursor))[0] == [newer]
        assert (await follow(store, FEED, cursor))[0] == [newer]

    async def test_the_same_cursor_read_again_gives_all_that_came_since(self, store: Store) -> None:
        await put(store, make_message("evt-1"))
        page = await store.find(FEED)
        again = msgspec.structs.replace(FEED, cursor=page.next_cursor)
        assert (await store.find(again)).items == ()
        await put(store, make_message("evt-2"))
        assert ids((await store.find(again)).items) == ["evt-2"]
        await put(store, make_message("evt-3"))
        assert ids((await store.find(again)).items) == ["evt-2", "evt-3"]

    async def test_what_a_filter_lets_through_later_is_seen(self, store: Store) -> None:
        sent = msgspec.structs.replace(FEED, status="sent")
        message = await put(store, make_message())
        items, cursor = await follow(store, sent, None)
        assert items == []
        newer = await change(store, message, state=State.SENT)
        assert (await follow(store, sent, cursor))[0] == [newer]

    async def test_a_reader_beside_writers_misses_no_change(self, store: Store) -> None:
        async def write(name: str) -> list[tuple[str, int]]:
            message = await put(store, make_message(name))
            for n in range(4):
                message = await change(store, message, updated_at=after(n))
            return [(name, message.version)]

        writers = asyncio.gather(*(write(f"evt-{n}") for n in range(25)))
        seen: list[Message] = []
        cursor: str | None = None
        query = msgspec.structs.replace(FEED, limit=3)
        while not writers.done():
            items, cursor = await follow(store, query, cursor)
            seen += items
            await asyncio.wait([writers], timeout=0)
        seen += (await follow(store, query, cursor))[0]
        newest = {message.event_id: message.version for message in seen}
        assert sorted(newest.items()) == sorted(one for written in await writers for one in written)
