"""What every keeper of the Ledger does with news, and with what operators were told of pauses."""

import asyncio

import pytest

from gateway.core.hold import Hold
from gateway.core.news import Kind
from gateway.ports import KeptNews, Untold
from gateway.storage.records import MAX_OTHERS

from .stage import NOW, Store, after, make_callback, make_hold, make_news

RAW = b'{"phone":"84912345678"}'


async def keep(
    store: Store, key: str = "k-1", kind: Kind = Kind.QUOTA, account: str = "main", *, at: float = 0
) -> bool:
    callbacks = [make_callback(f"{account}-{key}")]
    return await store.keep_news(account, after(at), make_news(key, kind), RAW, callbacks)


async def keys(store: Store) -> list[str]:
    return [kept.news.key for kept in await store.news(10**6)]


class TestNews:
    async def test_what_came_is_told_as_it_came_newest_first(self, store: Store) -> None:
        first, second = make_news("k-1", tracking_id="t1"), make_news("k-2", Kind.FEEDBACK, at=None, note="Đẹp 🎉")
        assert await store.keep_news("main", NOW, first, RAW, ())
        assert await store.keep_news("second", after(1), second, RAW, ())
        assert await store.news(10) == [KeptNews("second", after(1), second), KeptNews("main", NOW, first)]
        assert await store.news(1) == [KeptNews("second", after(1), second)]
        assert await store.untold() == []

    async def test_it_is_there_and_told_once_however_often_it_is_said(self, store: Store) -> None:
        told = await asyncio.gather(*(keep(store, at=n) for n in range(20)))
        assert told.count(True) == 1
        assert await keys(store) == ["k-1"]
        assert await store.untold() == [Untold("crm", 1, NOW)]

    async def test_that_it_was_here_before_stores_no_callback(self, store: Store) -> None:
        assert await store.keep_news("main", NOW, make_news(), RAW, ())
        assert not await keep(store)
        assert await store.untold() == []

    async def test_the_same_key_of_another_account_is_other_news(self, store: Store) -> None:
        assert await keep(store)
        assert await keep(store, account="second")
        assert await keys(store) == ["k-1", "k-1"]

    @pytest.mark.parametrize("kind", list(Kind))
    async def test_an_event_that_changes_nothing_here_is_kept_but_not_listed(
        self, store: Store, kind: Kind
    ) -> None:
        assert await keep(store, kind=kind)
        assert not await keep(store, kind=kind)
        assert await keys(store) == ([] if kind is Kind.OTHER else ["k-1"])

    async def test_old_ones_are_swept_and_what_changes_nothing_sooner(self, store: Store) -> None:
        for n in range(4):
            await keep(store, f"news-{n}", at=n * 10)
            await keep(store, f"other-{n}", Kind.OTHER, at=n * 10)
        swept = await store.sweep(after(99), final_before=after(10), receipts_before=after(20))
        assert swept == 1 + 2 + 8, "one news, two others, and the callbacks, which are all as old as the first"
        assert await keys(store) == ["news-3", "news-2", "news-1"]
        for n in range(4):
            assert await keep(store, f"news-{n}", at=50) is (n == 0)
            assert await keep(store, f"other-{n}", Kind.OTHER, at=50) is (n < 2)

    async def test_of_too_many_that_change_nothing_the_oldest_of_the_account_go(self, store: Store) -> None:
        async def keep_other(number: int, account: str = "main") -> bool:
            return await store.keep_news(account, NOW, make_news(f"k-{number}", Kind.OTHER), b"", ())

        for start in range(0, MAX_OTHERS + 600, 500):
            await asyncio.gather(*(keep_other(n) for n in range(start, min(start + 500, MAX_OTHERS + 600))))
        await keep_other(0, "second")
        await keep(store, "news")
        assert await store.sweep(after(99), final_before=NOW, receipts_before=NOW) == 600
        again = [await keep_other(n) for n in (0, 599, 600, MAX_OTHERS + 599)]
        assert again == [True, True, False, False]
        assert not await keep_other(0, "second")
        assert await keys(store) == ["news"]


class TestPauses:
    async def test_what_operators_were_told_last_is_by_account(self, store: Store) -> None:
        first, second = make_hold(), make_hold("second", until=after(5))
        assert await store.note_pause("main", first, before=None, callbacks=())
        assert await store.note_pause("second", second, before=None, callbacks=())
        assert dict(await store.pauses()) == {"main": first, "second": second}
        assert await store.note_pause("main", None, before=first, callbacks=())
        assert dict(await store.pauses()) == {"second": second}

    @pytest.mark.parametrize("told", [None, make_hold()])
    @pytest.mark.parametrize("before", [None, make_hold(), make_hold(cause="-137")])
    @pytest.mark.parametrize("hold", [None, make_hold(cause="-1")])
    async def test_only_what_follows_what_they_were_told_last_is_told(
        self, store: Store, told: Hold | None, before: Hold | None, hold: Hold | None
    ) -> None:
        await store.note_pause("main", told, before=None, callbacks=())
        is_told = await store.note_pause("main", hold, before=before, callbacks=[make_callback()])
        assert is_told is (before == told)
        after_it = hold if is_told else told
        assert (await store.pauses()).get("main") == after_it
        assert bool(await store.untold()) is is_told

    async def test_of_many_that_tell_the_same_one_does(self, store: Store) -> None:
        told = await asyncio.gather(
            *(
                store.note_pause("main", make_hold(), before=None, callbacks=[make_callback(f"c-{n}")])
                for n in range(9)
            )
        )
        assert told.count(True) == 1
        assert await store.untold() == [Untold("crm", 1, NOW)]
