"""A store of the version before gets what it lacks, as a whole, whoever opens it and however many at once."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gateway.core.errors import CannotOpen, CannotStart
from gateway.storage import KeyRing, SqliteStore, open_store
from gateway.storage.records import Records
from gateway.storage.sealing import Digests
from tests.contract.stage import KEY, NOW, after, make_grant, make_login, make_message, put, tracking_id_of

NEW_TABLES = {"lease", "login"}
VERSION_2 = {
    "account": "main",
    "generation": 1,
    "access": {"value": "access-main-1"},
    "refresh": {"value": "refresh-main-1"},
    "obtained_at": NOW,
    "expires_at": after(90_000),
    "consented_at": NOW,
    "was_refreshed": False,
    "intent": None,
    "presented": 0,
    "proven_at": None,
    "trouble": None,
    "version": 1,
}


async def opened(url: str, *keys: bytes, is_simulated: bool = False) -> SqliteStore:
    return await open_store(url, keys or (KEY,), is_simulated=is_simulated)


async def made_before(url: str, file: Path) -> bytes:
    """A store as version 2 left it; how it sealed the grant of `main`."""
    store = await opened(url)
    await put(store, make_message("evt-before"))
    await store.aclose()
    sealed = KeyRing([KEY]).seal("grant:main:1", msgspec.msgpack.encode(VERSION_2))
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for table in NEW_TABLES:
            connection.execute(f"DROP TABLE {table}")
        connection.execute("UPDATE meta SET value = x'32' WHERE name = 'schema'")
        connection.execute("INSERT INTO credential VALUES ('main', 1, ?)", (sealed,))
    return sealed


def state_of(file: Path) -> tuple[bytes, set[str], bytes]:
    """The version, which of the new tables are there, and how the grant is sealed."""
    with closing(sqlite3.connect(file)) as connection:
        (version,) = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        (sealed,) = connection.execute("SELECT body FROM credential").fetchone()
    return bytes(version), names & NEW_TABLES, sealed


async def test_an_older_store_has_everything_after_it_was_opened(url: str, tmp_path: Path) -> None:
    before = await made_before(url, tmp_path / "store.db")
    store = await opened(url)
    assert await store.grant("main") == make_grant()
    assert await store.letter(tracking_id_of("evt-before")) is not None
    assert await store.take_lease("main", owner=store.owner, now=NOW, until=after(9))
    await store.put_login(make_login())
    assert await store.take_login("state-1", NOW) == make_login()
    assert await store.put_grant(make_grant(version=2, generation=2), expected=1)
    await store.aclose()
    version, tables, sealed = state_of(tmp_path / "store.db")
    assert (version, tables) == (b"3", NEW_TABLES)
    assert sealed != before


async def test_its_grants_are_sealed_as_they_are_today(url: str, tmp_path: Path) -> None:
    await made_before(url, tmp_path / "store.db")
    await (await opened(url)).aclose()
    _, _, sealed = state_of(tmp_path / "store.db")
    plain = KeyRing([KEY]).open("grant:main:1", sealed)
    assert b"access-main-1" not in plain, "the tokens are sealed once more, each for itself"
    assert b"refresh-main-1" not in plain


@pytest.mark.parametrize("wrong", ["key", "kind"])
async def test_who_may_not_open_it_changes_nothing(url: str, tmp_path: Path, wrong: str) -> None:
    before = await made_before(url, tmp_path / "store.db")
    with pytest.raises(CannotStart):
        await opened(url, b"x" * 32 if wrong == "key" else KEY, is_simulated=wrong == "kind")
    assert state_of(tmp_path / "store.db") == (b"2", set(), before)


async def test_a_grant_whose_key_is_missing_does_not_keep_the_store_shut_and_opens_once_it_is_back(
    url: str, tmp_path: Path
) -> None:
    await made_before(url, tmp_path / "store.db")
    other = b"z" * 32
    sealed = KeyRing([other]).seal("grant:main:1", msgspec.msgpack.encode(VERSION_2))
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        connection.execute("UPDATE credential SET body = ?", (sealed,))
    store = await opened(url)
    with pytest.raises(CannotOpen):
        await store.grant("main")
    await store.aclose()
    store = await opened(url, KEY, other)
    assert await store.grant("main") == make_grant()
    await store.aclose()


def open_at_once(url: str) -> None:
    """Four processes have opened the store."""
    code = (
        "import asyncio, sys; from gateway.storage import open_store\n"
        "async def main():\n"
        f"    store = await open_store(sys.argv[1], [{KEY!r}], is_simulated=False)\n"
        "    assert (await store.grant('main')).generation == 1\n"
        "    await store.take_login('x', __import__('datetime').datetime.now(__import__('datetime').UTC))\n"
        "    await store.aclose()\n"
        "sys.stdin.readline(); asyncio.run(main())"
    )
    makers = [
        subprocess.Popen([sys.executable, "-c", code, url], stdin=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    for maker in makers:
        maker.communicate(timeout=20)
    assert [maker.returncode for maker in makers] == [0] * 4


@pytest.mark.system
async def test_of_several_that_open_it_at_once_all_find_it_grown(url: str, tmp_path: Path) -> None:
    await made_before(url, tmp_path / "store.db")
    open_at_once(url)
    assert state_of(tmp_path / "store.db")[:2] == (b"3", NEW_TABLES)


async def test_of_two_processes_that_take_a_login_one_gets_it(url: str) -> None:
    one, other = await opened(url), await opened(url)
    for number in range(30):
        await one.put_login(make_login(state=f"state-{number}"))
        taken = await asyncio.gather(*(it.take_login(f"state-{number}", NOW) for it in (one, other)))
        assert sorted(it is None for it in taken) == [False, True]
    await one.aclose()
    await other.aclose()


async def test_a_token_moved_to_another_field_or_generation_does_not_open() -> None:
    ring = KeyRing([KEY])
    records = Records(ring, Digests(KEY))
    grant = make_grant()
    bare, access, refresh = msgspec.msgpack.decode(ring.open("grant:main:1", records.seal_grant(grant)))
    swapped = ring.seal("grant:main:1", msgspec.msgpack.encode([bare, refresh, access]))
    later = ring.seal("grant:main:1", msgspec.msgpack.encode([{**bare, "generation": 2}, access, refresh]))
    for changed in (swapped, later):
        with pytest.raises(CannotOpen, match="the record was changed"):
            records.open_grant("main", 1, changed)
    same = ring.seal("grant:main:1", msgspec.msgpack.encode([bare, access, refresh]))
    assert records.open_grant("main", 1, same) == grant


async def test_every_file_and_folder_that_is_made_is_this_users_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = await opened(f"sqlite:///{tmp_path / 'var' / 'lib' / 'store.db'}")
        await put(store, make_message())
        store.journal.open(make_grant().intended(store.owner, NOW))
        found = everything_in(tmp_path)
        await store.aclose()
    finally:
        os.umask(before)
    assert {"var/lib/store.db", "var/lib/store.db-wal", "var/lib/store.db-shm"} <= set(found)
    assert len(found) == 9
    modes = {(stat.S_ISDIR(it.st_mode), stat.S_IMODE(it.st_mode)) for it in found.values()}
    assert modes == {(True, 0o700), (False, 0o600)}


def everything_in(folder: Path) -> dict[str, os.stat_result]:
    return {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*")}
