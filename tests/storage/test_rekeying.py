"""Sealing a store anew: all of it, beside others, after any kill, and nothing is lost."""

import asyncio
import base64
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from gateway.core.errors import CannotOpen, CannotStart
from gateway.core.grant import Grant
from gateway.ports import Heard, Query
from gateway.storage import SqliteStore, open_store
from gateway.storage.owners import Owners
from tests.contract.stage import (
    NOW,
    PHONE,
    after,
    make_event,
    make_grant,
    make_letter,
    make_login,
    make_message,
    put,
    tracking_id_of,
)
from tests.storage.rekeyer import ACCOUNTS, BODY, NEW, NEWS, OLD, RECEIPT, fill
from tests.storage.stage import ROOT, killed_at
from tests.system.commands import run, said
from tests.system.stage import eventually

THIRD = b"t" * 32


async def opened(url: str, *keys: bytes) -> SqliteStore:
    return await open_store(url, keys, is_simulated=False)


async def made(url: str, letters: int = 250) -> None:
    store = await opened(url, OLD)
    await fill(store, letters)
    await store.aclose()


async def rekeyed(url: str, *keys: bytes) -> dict[str, tuple[int, int, bool]]:
    store = await opened(url, *keys)
    kinds = await store.rekey()
    await store.aclose()
    return {kind.kind: (kind.resealed, kind.unopened, kind.is_settled) for kind in kinds}


def intended(account: str) -> Grant:
    return make_grant(account).intended("me", NOW)


async def is_whole(store: SqliteStore, letters: int = 250, *, takes: bool = True) -> None:
    """Everything that `fill` put there opens and is as it was."""
    for number in range(letters):
        name = f"evt-{number}"
        assert await store.letter(tracking_id_of(name)) == make_letter(make_event(name))
    assert len((await store.find(Query(phone=PHONE, limit=1000))).items) == letters
    assert [(kept.receipt, kept.body) for kept in await store.receipts(9)] == [(RECEIPT, BODY)] * len(ACCOUNTS)
    assert [kept.news for kept in await store.news(9)] == [NEWS] * len(ACCOUNTS)
    for account in ACCOUNTS:
        assert await store.grant(account) == intended(account)
        assert store.journal.read(intended(account)) == Heard(200, BODY)
        if takes:
            (callback,) = await store.take_callbacks(account, NOW, until=after(1), limit=9)
            assert callback.body == BODY
            assert await store.take_login(f"state-{account}", NOW) == make_login(account, f"state-{account}")


async def test_everything_is_sealed_under_the_first_key_and_the_old_one_may_go(url: str) -> None:
    await made(url)
    expected = {"digest-key": 1, "letters": 250}
    expected |= dict.fromkeys(["grants", "logins", "receipts", "news", "callbacks", "answers"], 3)
    assert await rekeyed(url, NEW, OLD) == {kind: (count, 0, True) for kind, count in expected.items()}
    assert await rekeyed(url, NEW, OLD) == dict.fromkeys(expected, (0, 0, True))
    with pytest.raises(CannotStart, match="put the key back"):
        await opened(url, OLD)
    store = await opened(url, NEW)
    await is_whole(store)
    await store.aclose()


async def test_nothing_sealed_under_the_old_key_is_left_in_any_column(url: str, tmp_path: Path) -> None:
    await made(url)
    await rekeyed(url, NEW, OLD)
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        cells = [
            cell
            for table in tables
            for row in connection.execute(f"SELECT * FROM {table}")
            for cell in row
            if isinstance(cell, bytes)
        ]
    heads = {cell[:5] for cell in cells if cell[:1] == b"\x01" and len(cell) > 40}
    assert len(heads) == 1
    (head,) = heads
    assert sum(cell.startswith(head) for cell in cells) == 250 + 3 * 5 + 1


async def test_what_no_key_opens_is_counted_and_left_and_the_rest_is_done(url: str) -> None:
    await made(url, 20)
    store = await opened(url, THIRD, OLD)
    for number in range(7):
        await put(store, make_message(f"third-{number}"))
    assert await store.put_grant(make_grant("fourth"), expected=0)
    await store.aclose()
    counts = await rekeyed(url, NEW, OLD)
    assert (counts["letters"], counts["grants"]) == ((20, 7, True), (3, 1, True))
    assert (counts["receipts"], counts["answers"]) == ((3, 0, True), (3, 0, True))
    store = await opened(url, NEW, THIRD)
    assert await store.letter(tracking_id_of("third-6")) == make_letter(make_event("third-6"))
    assert await store.grant("fourth") == make_grant("fourth")
    await store.aclose()


async def test_beside_one_that_writes_all_the_time_no_change_is_lost(url: str) -> None:
    await made(url)
    serving = await opened(url, NEW, OLD)
    grant = make_grant("busy")
    assert await serving.put_grant(grant, expected=0)
    is_done = asyncio.Event()

    async def serve() -> tuple[Grant, int]:
        newest, count = grant, 0
        while not is_done.is_set() or count < 50:
            newer = make_grant("busy", version=newest.version + 1, generation=newest.generation + 1)
            assert await serving.put_grant(newer, expected=newest.version), "its version is nobody else's business"
            newest, count = newer, count + 1
            await put(serving, make_message(f"live-{count}"))
        return newest, count

    writing = asyncio.create_task(serve())
    rekeying = await opened(url, NEW, OLD)
    kinds = {kind.kind: kind for kind in await rekeying.rekey()}
    is_done.set()
    newest, count = await writing
    assert all(kind.unopened == 0 for kind in kinds.values())
    assert kinds["letters"].resealed >= 250
    for store in (serving, rekeying):
        assert await store.grant("busy") == newest
        for number in range(1, count + 1):
            assert await store.letter(tracking_id_of(f"live-{number}")) is not None
    await serving.aclose()
    await rekeying.aclose()
    await rekeyed(url, NEW, OLD)
    store = await opened(url, NEW)
    assert await store.grant("busy") == newest
    assert await store.letter(tracking_id_of("live-1")) is not None
    assert await store.letter(tracking_id_of("evt-0")) is not None
    await store.aclose()


async def test_who_seals_under_the_old_key_all_the_time_is_told_of(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.storage.rekeying._MAX_WALKS", 1)
    await made(url, 1)
    assert (await rekeyed(url, NEW, OLD))["letters"] == (1, 0, False), "a walk that finds nothing has to follow"


async def test_while_a_process_lacks_the_new_key_nothing_is_done(url: str) -> None:
    await made(url, 5)
    serving = await opened(url, OLD)
    rekeying = await opened(url, NEW, OLD)
    with pytest.raises(CannotStart, match=r"process id \d+.*start it again with the new key"):
        await rekeying.rekey()
    await is_whole(serving, 5, takes=False)
    await serving.aclose()
    assert {kind.resealed for kind in await rekeying.rekey()} == {1, 3, 5}
    await rekeying.aclose()


async def test_one_that_only_opens_with_the_new_key_would_go_on_sealing_under_the_old_one(url: str) -> None:
    await made(url, 1)
    serving = await opened(url, OLD, NEW)
    rekeying = await opened(url, NEW, OLD)
    with pytest.raises(CannotStart, match=r"process id \d+.*the new key first"):
        await rekeying.rekey()
    await serving.aclose()
    await rekeying.rekey()
    await rekeying.aclose()


async def test_one_that_does_not_say_which_keys_it_has_counts_as_lacking_it(url: str, tmp_path: Path) -> None:
    await made(url, 1)
    other = Owners(tmp_path / "store.db.owners")
    store = await opened(url, NEW, OLD)
    with pytest.raises(CannotStart, match="start it again"):
        await store.rekey()
    other.close()
    await store.rekey()
    await store.aclose()


@pytest.mark.system
async def test_after_a_kill_at_random_instants_everything_opens_and_the_next_run_ends_it(
    url: str, tmp_path: Path
) -> None:
    await made(url, 1000)
    kills = 0
    for seen in range(0, 1000, 120):
        kills += killed_after(seen, url, tmp_path)
        store = await opened(url, NEW, OLD)
        await is_whole(store, 1000, takes=False)
        await store.aclose()
    assert kills >= 3
    await rekeyed(url, NEW, OLD)
    store = await opened(url, NEW)
    await is_whole(store, 1000)
    await store.aclose()


def killed_after(letters: int, url: str, folder: Path) -> bool:
    """True if a process was killed once it had sealed so many anew, before it was through."""
    with subprocess.Popen([sys.executable, "-m", "tests.storage.rekeyer", url, "2"], cwd=ROOT) as process:
        try:
            eventually(lambda: done(folder) >= letters or process.poll() is not None)
        finally:
            process.kill()
    return process.returncode != 0


def done(folder: Path) -> int:
    """How many letters are sealed under the new key."""
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM letter WHERE substr(body, 1, 5) <>"
            " (SELECT substr(body, 1, 5) FROM letter ORDER BY seq DESC LIMIT 1)"
        ).fetchone()
    return int(count)


CALLS = {"pwrite64": (2, 6, 10, 14), "fdatasync": (1, 3, 5, 7), "fsync": (1, 2, 4), "rename": (1, 2, 3)}


@pytest.mark.system
@pytest.mark.skipif(shutil.which("strace") is None, reason="it needs strace")
@pytest.mark.parametrize(("call", "when"), [(call, when) for call, points in CALLS.items() for when in points])
async def test_after_a_kill_at_a_system_call_everything_opens_and_the_next_run_ends_it(
    url: str, call: str, when: int
) -> None:
    await made(url, 30)
    assert killed_at(call, when, "tests.storage.rekeyer", url, "10")
    store = await opened(url, NEW, OLD)
    await is_whole(store, 30, takes=False)
    await store.aclose()
    await rekeyed(url, NEW, OLD)
    store = await opened(url, NEW)
    await is_whole(store, 30)
    await store.aclose()


class TestTheCommand:
    CONFIG = '[store]\nurl = "sqlite:///store.db"\n[secrets]\nkeys = [{keys}]\n[accounts.main]\napp_id = "1"\napp_secret = "s"\n'

    def configured(self, folder: Path, *keys: bytes) -> str:
        quoted = ", ".join(f'"{sealing_text(key)}"' for key in keys)
        (folder / "mappings").mkdir(exist_ok=True)
        file = folder / "gateway.toml"
        file.write_text(self.CONFIG.format(keys=quoted))
        return str(file)

    @pytest.mark.system
    async def test_it_says_how_many_of_each_kind(self, url: str, tmp_path: Path) -> None:
        await made(url, 12)
        told = said(
            run("token", "rekey", "--config", self.configured(tmp_path, NEW, OLD), folder=tmp_path),
            0,
            "letters",
            "12",
            "digest-key",
        )
        assert "canary" not in told
        again = run("token", "rekey", "--json", "--config", self.configured(tmp_path, NEW), folder=tmp_path)
        assert '"resealed": 0' in said(again, 0)

    @pytest.mark.system
    async def test_it_ends_with_2_where_a_key_is_missing_and_names_how_many_of_what(
        self, url: str, tmp_path: Path
    ) -> None:
        await made(url, 12)
        store = await opened(url, THIRD, OLD)
        await put(store, make_message("third"))
        await store.aclose()
        done = run("token", "rekey", "--config", self.configured(tmp_path, NEW, OLD), folder=tmp_path)
        said(done, 2, "no key in secrets.keys opens 1 of letters", quiet=False)
        store = await opened(url, NEW)
        assert await store.letter(tracking_id_of("evt-0")) is not None
        with pytest.raises(CannotOpen):
            await store.letter(tracking_id_of("third"))
        await store.aclose()

    @pytest.mark.system
    def test_it_makes_no_store_where_there_is_none(self, tmp_path: Path) -> None:
        done = run("token", "rekey", "--config", self.configured(tmp_path, NEW), folder=tmp_path)
        said(done, 2, "there is no store")
        assert not (tmp_path / "store.db").exists()


def sealing_text(key: bytes) -> str:
    return base64.b64encode(key).decode()
