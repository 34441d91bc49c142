"""A status and the callback that tells of it are one commit, and no callback is lost, whoever dies with it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.core.delivery import State
from gateway.core.errors import Unavailable
from gateway.ports import Replay
from gateway.storage import SqliteStore, open_store
from tests.contract.stage import KEY, NOW, after, make_callback, make_hold, make_message, make_news, put
from tests.system.stage import eventually

from .stage import opened, running


@pytest.fixture
async def telling(url: str) -> AsyncIterator[SqliteStore]:
    """An empty store that tells `crm`."""
    store = await open_store(url, [KEY], is_simulated=False, told={"crm"})
    yield store
    await store.aclose()


async def test_on_a_full_disk_what_is_stored_is_told_and_what_is_told_is_stored(telling: SqliteStore) -> None:
    def set_pages(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 90")

    await telling._commits.submit(set_pages)
    messages = [make_message(f"evt-{n}", caller="crm", state=State.SENT) for n in range(200)]
    ends = await asyncio.gather(*(put(telling, message) for message in messages), return_exceptions=True)
    assert {type(end) for end in ends} == {type(messages[0]), Unavailable}
    kept = [message for message in messages if await telling.load(message.tracking_id) is not None]
    (backlog,) = await telling.untold()
    assert 0 < backlog.count == len(kept) < 200


async def test_a_change_without_a_callback_asks_nothing_more_and_one_with_it_inserts_one(
    telling: SqliteStore,
) -> None:
    said: list[str] = []
    telling._commits._connection.set_trace_callback(said.append)

    async def statements(caller: str) -> list[str]:
        message = await put(telling, make_message(caller, caller=caller, state=State.SENT))
        said.clear()
        newer = make_message(caller, caller=caller, state=State.DELIVERED, version=9)
        assert await telling.save(newer, expected=message.version)
        return [it.split()[0] for it in said]

    assert await statements("checkout") == ["BEGIN", "UPDATE", "UPDATE", "COMMIT"]
    assert await statements("crm") == ["BEGIN", "SELECT", "UPDATE", "INSERT", "UPDATE", "COMMIT"]


async def test_one_whose_key_is_gone_keeps_back_no_other_and_is_told_when_it_is_back(url: str) -> None:
    old, new = b"o" * 32, b"n" * 32
    for key, name in ((old, "c-old"), (new, "c-new")):
        store = await opened(url, key, old)
        told = (await store.pauses()).get("main")
        hold = make_hold(cause=name)
        assert await store.note_pause("main", hold, before=told, callbacks=[make_callback(name)])
        assert await store.keep_news("main", NOW, make_news(name), b"{}", ())
        await store.aclose()
    store = await opened(url, old)
    assert [it.id for it in await store.take_callbacks("crm", after(1), until=after(2), limit=9)] == ["c-old"]
    assert [it.news.key for it in await store.news(9)] == ["c-old"]
    await store.aclose()
    store = await opened(url, old, new)
    assert len(await store.take_callbacks("crm", after(2), until=after(3), limit=9)) == 2
    assert len(await store.news(9)) == 2
    await store.aclose()


async def test_one_put_in_the_place_of_another_is_not_told(telling: SqliteStore, tmp_path: Path) -> None:
    callbacks = [make_callback("c-1"), make_callback("c-2", "ops", body=b"for ops alone")]
    assert await telling.note_pause("main", make_hold(), before=None, callbacks=callbacks)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        connection.execute(
            "UPDATE callback SET body = (SELECT body FROM callback WHERE id = 'c-2') WHERE id = 'c-1'"
        )
    assert await telling.take_callbacks("crm", after(1), until=after(2), limit=9) == []


async def test_replaying_many_keeps_no_promise_waiting(telling: SqliteStore) -> None:
    callbacks = [make_callback(f"c-{n}") for n in range(5000)]
    assert await telling.note_pause("main", make_hold(), before=None, callbacks=callbacks)
    said: list[str] = []
    telling._commits._connection.set_trace_callback(said.append)
    assert await telling.replay_callbacks(Replay(caller=None), after(1)) == 5000
    assert said.count("COMMIT") == 10


@pytest.mark.system
async def test_of_several_processes_that_tell_and_die_while_all_is_replayed_none_loses_a_callback(
    telling: SqliteStore, url: str, tmp_path: Path
) -> None:
    files = [tmp_path / f"told-{which}" for which in range(3)]
    names = {f"c-{n}" for n in range(400)}

    def told() -> list[tuple[str, float]]:
        """Every id that was told, and when the trying of it began."""
        lines = [line.split() for file in files for line in file.read_text().splitlines()]
        return [(line[0], float(line[1])) for line in lines]

    with ExitStack() as stack:
        processes = [stack.enter_context(running("teller", url, str(file))) for file in files]
        eventually(lambda: all(file.exists() for file in files))
        callbacks = [make_callback(name, since=datetime.now(UTC)) for name in names]
        assert await telling.note_pause("main", make_hold(), before=None, callbacks=callbacks)
        eventually(lambda: len(told()) > 100)
        processes[0].kill()
        replayed_at = datetime.now(UTC)
        assert await telling.replay_callbacks(Replay(caller="crm"), replayed_at) == 400
        before = len(told())
        eventually(lambda: len(told()) > before + 100)
        processes[1].kill()
        eventually(lambda: waiting(tmp_path / "store.db") == 0)
    assert {name for name, since in told() if since >= replayed_at.timestamp()} == names


def waiting(file: Path) -> int:
    """How many callbacks are still to be told."""
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT count(due_at) FROM callback").fetchone()[0])
