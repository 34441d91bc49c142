"""A store of an older version gets what it lacks, as a whole, whoever opens it and however many at once."""

import asyncio
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from gateway.core.delivery import State
from gateway.core.errors import CannotOpen, CannotStart
from gateway.core.receipt import Receipt
from gateway.core.silence import asking
from gateway.ports import Query
from gateway.storage import KeyRing, growing
from gateway.storage.records import Records
from gateway.storage.sealing import Digests
from tests.contract.stage import (
    KEY,
    NOW,
    PHONE,
    after,
    begin,
    finish,
    ids,
    make_callback,
    make_event,
    make_grant,
    make_hold,
    make_letter,
    make_login,
    make_message,
    put,
    tracking_id_of,
)

from .older import RECEIPT, make_older
from .stage import found_at_once, killed_at, opened

NEW = {"lease", "login", "news", "callback", "told_pause", "message_ask"}
VERSIONS = [2, 3]


def state_of(file: Path) -> tuple[bytes, set[str], bool, int, bytes]:
    """The version, what is there of what is new, if receipts have names, how many there are, and the grant, sealed."""
    with closing(sqlite3.connect(file)) as connection:
        (version,) = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        columns = {row[1] for row in connection.execute("PRAGMA table_info(receipt)")}
        (receipts,) = connection.execute("SELECT count(*) FROM receipt").fetchone()
        (sealed,) = connection.execute("SELECT body FROM credential").fetchone()
    return bytes(version), names & NEW, "name" in columns, receipts, sealed


def shape_of(file: Path) -> dict[str, set[str]]:
    """The columns of each table, and the indexes."""
    with closing(sqlite3.connect(file)) as connection:
        names = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
        return {
            f"{kind} {name}": {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            for kind, name in names
        }


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_older_store_has_everything_after_it_was_opened(url: str, tmp_path: Path, version: int) -> None:
    make_older(tmp_path / "store.db", version)
    store = await opened(url)
    assert await store.grant("main") == make_grant()
    assert await store.holds() == [make_hold()]
    assert await store.letter(tracking_id_of("evt-sent")) == make_letter(make_event("evt-sent"))
    assert await store.match("main", Receipt("z-sent", None, None)) is not None
    assert ids((await store.find(Query(phone=PHONE))).items) == ["evt-delivered", "evt-sent", "evt-queued"]
    assert await store.take_lease("main", owner=store.owner, now=NOW, until=after(9))
    await store.put_login(make_login())
    assert await store.take_login("state-1", NOW) == make_login()
    assert await store.put_grant(make_grant(version=2, generation=2), expected=1)
    assert await store.note_pause("main", make_hold(), before=None, callbacks=[make_callback()])
    assert await store.take_callbacks("crm", after(1), until=after(2), limit=9)
    await put(store, make_message("evt-new", state=State.SENT, ask_at=after(5)))
    await store.aclose()
    assert state_of(tmp_path / "store.db")[:2] == (b"4", NEW)


@pytest.mark.parametrize("version", VERSIONS)
async def test_it_is_then_as_one_that_was_made_new(url: str, tmp_path: Path, version: int) -> None:
    make_older(tmp_path / "store.db", version)
    for each in (url, f"sqlite:///{tmp_path / 'new.db'}"):
        await (await opened(each)).aclose()
    assert shape_of(tmp_path / "store.db") == shape_of(tmp_path / "new.db")


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_was_sent_is_asked_about_two_hours_and_a_minute_after_its_last_change(
    url: str, tmp_path: Path, version: int
) -> None:
    make_older(tmp_path / "store.db", version)
    store = await opened(url)
    ask_at = after(1) + timedelta(hours=2, minutes=1)
    assert await store.silent("main", ask_at - timedelta(microseconds=1), 10) == []
    (silent,) = await store.silent("main", ask_at, 10)
    assert silent.event_id == "evt-sent"
    assert await store.save(asking(silent, ask_at), expected=silent.version)
    assert await store.silent("main", ask_at, 10) == []
    await store.aclose()


async def test_receipts_are_kept_and_what_was_none_is_gone(url: str, tmp_path: Path) -> None:
    make_older(tmp_path / "store.db", 3)
    assert state_of(tmp_path / "store.db")[2:4] == (True, 2)
    store = await opened(url)
    begun = await put(store, begin(make_message("evt-new"), store.owner))
    assert await store.receipts(9) == []
    assert await store.save(finish(begun, "z-orphan"), expected=begun.version)
    (kept,) = await store.receipts(9)
    assert kept.receipt == RECEIPT
    await store.settle_receipt(kept.id, is_matched=True)
    assert await store.keep_receipt("main", NOW, RECEIPT, b"{}") > 2, "no number is given twice"
    await store.aclose()
    assert state_of(tmp_path / "store.db")[2:4] == (False, 1)


async def test_grants_of_version_2_are_sealed_as_they_are_today(url: str, tmp_path: Path) -> None:
    before = make_older(tmp_path / "store.db", 2)
    await (await opened(url)).aclose()
    sealed = state_of(tmp_path / "store.db")[-1]
    plain = KeyRing([KEY]).open("grant:main:1", sealed)
    assert sealed != before
    assert b"access-main-1" not in plain, "the tokens are sealed once more, each for itself"
    assert b"refresh-main-1" not in plain


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("wrong", ["key", "kind"])
async def test_who_may_not_open_it_changes_nothing(url: str, tmp_path: Path, wrong: str, version: int) -> None:
    make_older(tmp_path / "store.db", version)
    before = state_of(tmp_path / "store.db")
    with pytest.raises(CannotStart):
        await opened(url, b"x" * 32 if wrong == "key" else KEY, is_simulated=wrong == "kind")
    assert state_of(tmp_path / "store.db") == before


@pytest.mark.parametrize("version", VERSIONS)
async def test_one_that_fails_half_way_changes_nothing(
    url: str, tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_older(tmp_path / "store.db", version)
    before = state_of(tmp_path / "store.db")
    with monkeypatch.context() as patch:
        patch.setattr(growing, "_AFTER", f"{growing._AFTER}\nINSERT INTO nowhere VALUES (1);")
        with pytest.raises(CannotStart, match="nowhere"):
            await opened(url)
    assert state_of(tmp_path / "store.db") == before
    await (await opened(url)).aclose()
    assert state_of(tmp_path / "store.db")[0] == b"4"


async def test_a_grant_whose_key_is_missing_does_not_keep_the_store_shut_and_opens_once_it_is_back(
    url: str, tmp_path: Path
) -> None:
    other = b"z" * 32
    make_older(tmp_path / "store.db", 2, grant_key=other)
    store = await opened(url)
    with pytest.raises(CannotOpen):
        await store.grant("main")
    await store.aclose()
    store = await opened(url, KEY, other)
    assert await store.grant("main") == make_grant()
    await store.aclose()


@pytest.mark.system
@pytest.mark.parametrize("version", VERSIONS)
async def test_of_several_that_open_it_at_once_all_find_it_grown(url: str, tmp_path: Path, version: int) -> None:
    make_older(tmp_path / "store.db", version)
    assert found_at_once(url) == [1] * 4
    assert state_of(tmp_path / "store.db")[:3] == (b"4", NEW, False)


KILLS = {"pwrite64": (1, 4, 8, 12), "fdatasync": (1, 2), "unlink": (1,)}


@pytest.mark.system
@pytest.mark.skipif(shutil.which("strace") is None, reason="it needs strace")
@pytest.mark.parametrize(("call", "when"), [(call, when) for call, points in KILLS.items() for when in points])
async def test_after_a_kill_at_a_system_call_it_is_the_old_one_or_the_new_one(
    url: str, tmp_path: Path, call: str, when: int
) -> None:
    make_older(tmp_path / "store.db", 3)
    before = state_of(tmp_path / "store.db")
    assert killed_at(call, when, "tests.storage.opener", url)
    left = state_of(tmp_path / "store.db")
    assert left == before or left[:4] == (b"4", NEW, False, 1)
    store = await opened(url)
    assert ids(await store.silent("main", after(10_000), 10)) == ["evt-sent"]
    await store.aclose()
    assert state_of(tmp_path / "store.db")[:4] == (b"4", NEW, False, 1)


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
