"""What a commit promises, and what becomes of the others when one change, or the disk, fails."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.errors import CannotStart, Unavailable
from gateway.core.message import Message
from gateway.core.receipt import Receipt
from gateway.ports import Known, Query, Stored
from gateway.storage import SqliteStore, open_store
from gateway.storage.commits import connect
from tests.contract.stage import (
    KEY,
    NOW,
    identity_of,
    ids,
    make_event,
    make_grant,
    make_hold,
    make_message,
    put,
    take,
)


def watch(store: SqliteStore) -> list[str]:
    """Every statement of the writing connection from now on."""
    said: list[str] = []
    store._commits._connection.set_trace_callback(said.append)
    return said


async def set_pages(store: SqliteStore, limit: int) -> None:
    """The store may not grow beyond so many pages, as on a disk that is full."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit}")

    await store._commits.submit(change)


async def fill(store: SqliteStore) -> tuple[list[Message], Message]:
    """What was promised before the disk was full, and the first that was not."""
    kept: list[Message] = []
    while True:
        message = make_message(f"evt-{len(kept)}")
        try:
            kept.append(await put(store, message))
        except Unavailable:
            return kept, message


async def all_ids(store: SqliteStore) -> list[str]:
    return sorted(ids((await store.find(Query(limit=100_000))).items))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


class TestSettings:
    def test_a_commit_waits_for_the_disk_and_goes_to_the_log(self, tmp_path: Path) -> None:
        for is_writer in (True, False):
            connection = connect(tmp_path / "store.db", is_writer=is_writer)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
            connection.close()

    async def test_the_connections_of_a_store_have_them(self, store: SqliteStore) -> None:
        def ask(connection: sqlite3.Connection) -> tuple[object, ...]:
            journal, synchronous = (
                connection.execute(f"PRAGMA {it}").fetchone() for it in ("journal_mode", "synchronous")
            )
            return (*journal, *synchronous)

        assert await store._commits.submit(ask) == ("wal", 2)

    async def test_a_reader_cannot_write(self, store: SqliteStore) -> None:
        for reads in (store._lookups, store._lists):
            with pytest.raises(Unavailable):
                await reads.run(lambda it: it.execute("DELETE FROM message").rowcount)

    async def test_what_one_query_reads_in_steps_is_of_one_moment(
        self, store: SqliteStore, tmp_path: Path
    ) -> None:
        other = connect(tmp_path / "store.db", is_writer=True)

        def read_around_a_change(connection: sqlite3.Connection) -> list[object]:
            statement = "SELECT count(*) FROM hold"
            before = connection.execute(statement).fetchone()
            other.execute("INSERT INTO hold VALUES ('new', x'00')")
            return [before, connection.execute(statement).fetchone()]

        assert await store._lists.run(read_around_a_change) == [(0,), (0,)]
        other.close()

    async def test_a_name_whose_message_is_gone_names_nothing(self, store: SqliteStore) -> None:
        message = await put(store, make_message(key="k1"), key="k1")

        def lose(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM message")
            connection.execute("DELETE FROM letter")

        await store._commits.submit(lose)
        assert await store.known(identity_of(make_event(), "k1"), make_event()) is None
        assert await take(store, message, key="k1") == Stored()
        assert await take(store, make_message()) == Known(message)


class TestGroups:
    async def test_many_changes_at_once_share_few_commits(self, store: SqliteStore) -> None:
        said = watch(store)
        messages = [make_message(f"evt-{n}") for n in range(500)]
        await asyncio.gather(*(put(store, message) for message in messages))
        assert said.count("COMMIT") <= 50
        assert len((await store.find(Query(limit=1000))).items) == 500

    async def test_a_change_alone_is_committed_at_once(self, store: SqliteStore) -> None:
        said = watch(store)
        for n in range(3):
            await put(store, make_message(f"evt-{n}"))
        assert said.count("COMMIT") == 3

    async def test_a_bad_change_fails_alone(self, store: SqliteStore) -> None:
        gate = threading.Event()

        def wait_for_the_others(_: sqlite3.Connection) -> None:
            assert gate.wait(5)

        def bad(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO hold VALUES ('half', x'00')")
            raise ZeroDivisionError

        def worse(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO nowhere VALUES (1)")

        first = store._commits.submit(wait_for_the_others)
        good = [asyncio.ensure_future(put(store, make_message(f"evt-{n}"))) for n in range(5)]
        await asyncio.wait(good, timeout=0)
        failing = [store._commits.submit(bad), store._commits.submit(worse)]
        last = asyncio.ensure_future(put(store, make_message("last")))
        await asyncio.wait([last], timeout=0)
        gate.set()
        await first
        results = await asyncio.gather(*failing, return_exceptions=True)
        assert [type(result) for result in results] == [ZeroDivisionError, Unavailable]
        await asyncio.gather(*good, last)
        assert len((await store.find(Query())).items) == 6
        assert await store.holds() == [], "nothing of the bad change is left"

    async def test_a_waiter_that_goes_away_takes_nobody_with_it(self, store: SqliteStore) -> None:
        gone = asyncio.ensure_future(put(store, make_message("gone")))
        stays = asyncio.ensure_future(put(store, make_message("stays")))
        await asyncio.wait([gone], timeout=0)
        gone.cancel()
        await stays
        await store.ping()
        assert len((await store.find(Query())).items) == 2, "the change stands all the same"


class TestFullDisk:
    async def test_what_does_not_fit_is_not_promised_and_all_goes_on_when_there_is_room(
        self, store: SqliteStore
    ) -> None:
        await set_pages(store, 60)
        kept, refused = await fill(store)
        assert kept, "some found room"
        assert await store.load(refused.tracking_id) is None
        assert await store.letter(refused.tracking_id) is None
        assert await all_ids(store) == sorted(ids(kept))
        with pytest.raises(Unavailable):  # however few bytes it would take itself
            await store.ping()

        await set_pages(store, 1_000_000)
        assert await take(store, refused) == Stored()
        await store.ping()
        assert await all_ids(store) == sorted(ids([*kept, refused]))

    async def test_of_many_at_once_each_is_promised_or_not_there(self, store: SqliteStore) -> None:
        await set_pages(store, 60)
        messages = [make_message(f"evt-{n}") for n in range(300)]
        taken = await asyncio.gather(*(take(store, message) for message in messages), return_exceptions=True)
        promised = [message for message, one in zip(messages, taken, strict=True) if one == Stored()]
        assert {type(one) for one in taken} == {Stored, Unavailable}
        assert await all_ids(store) == sorted(ids(promised))

    async def test_what_needs_no_room_is_still_done(self, store: SqliteStore) -> None:
        assert await store.put_grant(make_grant(), expected=0)
        await store.put_hold(make_hold())
        await set_pages(store, 60)
        await fill(store)
        await store.drop_hold(make_hold().key)
        assert await store.put_grant(make_grant(version=2, generation=2), expected=1)
        assert await store.grant("main") == make_grant(version=2, generation=2)


class TestLockedByAnother:
    @pytest.fixture
    def other(self, tmp_path: Path, store: SqliteStore) -> sqlite3.Connection:
        """Another one's connection, that has the write lock."""
        connection = connect(tmp_path / "store.db", is_writer=True)
        connection.execute("BEGIN IMMEDIATE")
        return connection

    async def test_a_change_waits_for_a_lock_that_is_soon_free(
        self, store: SqliteStore, other: sqlite3.Connection
    ) -> None:
        said = watch(store)
        begun = asyncio.ensure_future(put(store, make_message()))
        async with asyncio.timeout(5):
            while not said:
                await asyncio.wait([begun], timeout=0.01)
        assert not begun.done()
        other.execute("COMMIT")
        message = await begun
        other.close()
        assert await store.load(message.tracking_id) == message

    async def test_one_that_is_kept_costs_all_that_wait_one_time_out(
        self, store: SqliteStore, other: sqlite3.Connection
    ) -> None:
        store._commits._connection.execute("PRAGMA busy_timeout = 200")
        said = watch(store)
        messages = [make_message(f"evt-{n}") for n in range(50)]
        async with asyncio.timeout(5):
            taken = await asyncio.gather(*(take(store, message) for message in messages), return_exceptions=True)
        assert {type(one) for one in taken} == {Unavailable}
        assert said.count("BEGIN IMMEDIATE") <= 4
        assert await store.load(messages[0].tracking_id) is None, "reading goes on meanwhile"
        other.execute("ROLLBACK")
        other.close()
        assert await asyncio.gather(*(take(store, message) for message in messages)) == [Stored()] * 50


async def test_closing_leaves_everything_in_one_file(store: SqliteStore, tmp_path: Path) -> None:
    await put(store, make_message())
    await store.keep_receipt("main", NOW, Receipt("m", None, None), b"{}")
    await store.aclose()
    assert files(tmp_path) == ["store.db"]


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_file_that_lost_its_name_takes_no_promise(
    store: SqliteStore, tmp_path: Path, is_replaced: bool
) -> None:
    await put(store, make_message("evt-1"))
    path = tmp_path / "store.db"
    path.rename(tmp_path / "away.db")
    if is_replaced:
        path.write_bytes((tmp_path / "away.db").read_bytes())
    with pytest.raises(Unavailable) as refused:
        await put(store, make_message("evt-2"))
    assert "removed or replaced" in str(refused.value.__cause__)
    with pytest.raises(Unavailable):
        await store.rehearse(make_grant())
    with pytest.raises(Unavailable):
        await store.ping()
    (tmp_path / "away.db").rename(path)
    with pytest.raises(Unavailable):  # its log may be another one by now: only a restart knows
        await put(store, make_message("evt-3"))


async def test_a_log_that_lost_its_name_takes_no_promise(store: SqliteStore, tmp_path: Path) -> None:
    await put(store, make_message("evt-1"))
    (tmp_path / "store.db-wal").unlink()
    with pytest.raises(Unavailable):
        await put(store, make_message("evt-2"))


async def test_no_new_store_is_made_beside_the_log_of_one_that_is_away(store: SqliteStore, tmp_path: Path) -> None:
    await put(store, make_message("evt-1"))
    (tmp_path / "store.db").rename(tmp_path / "away.db")
    with pytest.raises(CannotStart, match="put the store back"):
        await open_store(f"sqlite:///{tmp_path / 'store.db'}", [KEY], is_simulated=False)
    assert not (tmp_path / "store.db").exists()
    (tmp_path / "away.db").rename(tmp_path / "store.db")
    again = await open_store(f"sqlite:///{tmp_path / 'store.db'}", [KEY], is_simulated=False)
    assert await all_ids(again) == ids([make_message("evt-1")])
    await again.aclose()


async def test_an_empty_log_that_a_reader_left_is_no_reason_against_a_new_store(
    store: SqliteStore, tmp_path: Path
) -> None:
    await store.aclose()
    (tmp_path / "store.db").unlink()
    (tmp_path / "store.db-wal").touch()
    anew = await open_store(f"sqlite:///{tmp_path / 'store.db'}", [KEY], is_simulated=False)
    message = await put(anew, make_message("evt-1"))
    assert await all_ids(anew) == ids([message])
    await anew.aclose()


async def test_what_cannot_be_looked_at_for_a_while_needs_no_restart(tmp_path: Path) -> None:
    folder, away = tmp_path / "disk", tmp_path / "away"
    store = await open_store(f"sqlite:///{folder / 'store.db'}", [KEY], is_simulated=False)
    await put(store, make_message("evt-1"))
    folder.rename(away)
    folder.symlink_to(folder)  # looking there fails, and says nothing of the file
    for _ in range(2):
        with pytest.raises(Unavailable) as refused:
            await put(store, make_message("evt-2"))
        assert isinstance(refused.value.__cause__, OSError)
    folder.unlink()
    away.rename(folder)
    await put(store, make_message("evt-2"))
    await store.aclose()


class TestLinked:
    """A store whose URL names a link to its file: SQLite keeps the log beside the file."""

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        """A store with one message."""
        (tmp_path / "data").mkdir()
        (tmp_path / "link.db").symlink_to(tmp_path / "data" / "real.db")
        store = await open_store(f"sqlite:///{tmp_path / 'link.db'}", [KEY], is_simulated=False)
        await put(store, make_message("evt-1"))
        yield store
        await store.aclose()

    async def test_its_log_that_lost_its_name_takes_no_promise(self, store: SqliteStore, tmp_path: Path) -> None:
        (tmp_path / "data" / "real.db-wal").unlink()
        with pytest.raises(Unavailable):
            await put(store, make_message("evt-2"))

    async def test_a_link_that_leads_elsewhere_takes_no_promise(self, store: SqliteStore, tmp_path: Path) -> None:
        (tmp_path / "link.db").unlink()
        (tmp_path / "link.db").symlink_to(tmp_path / "data" / "other.db")
        with pytest.raises(Unavailable):
            await put(store, make_message("evt-2"))

    async def test_no_new_store_is_made_where_only_its_log_is_left(
        self, store: SqliteStore, tmp_path: Path
    ) -> None:
        (tmp_path / "data" / "real.db").unlink()
        with pytest.raises(CannotStart, match=r"data/real\.db-wal is: put the store back"):
            await open_store(f"sqlite:///{tmp_path / 'link.db'}", [KEY], is_simulated=False)
        assert not (tmp_path / "data" / "real.db").exists()


async def test_an_empty_file_beside_a_log_that_says_something_is_no_new_store(
    store: SqliteStore, tmp_path: Path
) -> None:
    await put(store, make_message("evt-1"))
    (tmp_path / "store.db").rename(tmp_path / "away.db")
    (tmp_path / "store.db").touch()
    with pytest.raises(CannotStart, match="put the store back"):
        await open_store(f"sqlite:///{tmp_path / 'store.db'}", [KEY], is_simulated=False)
    assert (tmp_path / "store.db-wal").stat().st_size > 0
