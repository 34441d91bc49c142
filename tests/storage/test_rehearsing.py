"""A rehearsal fails for what would keep the new pair from being saved, before anything is asked of Zalo."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gateway.core.errors import Unavailable
from gateway.core.grant import RefreshToken
from gateway.storage import SqliteStore
from tests.contract.stage import make_grant


async def test_a_store_that_another_process_has_locked_is_noticed(store: SqliteStore, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await store.rehearse(make_grant())
    await store.rehearse(make_grant())


async def test_a_closed_store_is_noticed(store: SqliteStore) -> None:
    await store.aclose()
    with pytest.raises(Unavailable):
        await store.rehearse(make_grant())


async def test_it_takes_more_room_than_the_saves_that_follow_and_always_the_same(
    store: SqliteStore, tmp_path: Path
) -> None:
    grant = msgspec.structs.replace(make_grant(), refresh=RefreshToken("r" * 4000))
    sizes = set()
    for _ in range(50):
        await store.rehearse(grant)
        sizes.add(canary(tmp_path / "store.db"))
    assert len(sizes) == 1
    assert sizes.pop() > 3 * 4000


def canary(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT length(value) FROM meta WHERE name = 'rehearsal'").fetchall()
    ((length,),) = rows
    return int(length)
