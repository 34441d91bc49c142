"""Which stores open, for whom, and what their files tell a stranger."""

import asyncio
import base64
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gateway.core.errors import CannotOpen, CannotStart
from gateway.core.news import Kind
from gateway.core.receipt import Receipt
from gateway.ports import Query
from gateway.storage import kind_of, open_store
from tests.contract.stage import (
    KEY,
    NOW,
    PHONE,
    begin,
    identity_of,
    make_callback,
    make_event,
    make_grant,
    make_letter,
    make_login,
    make_message,
    make_news,
    put,
)

from .stage import found_at_once, opened

OLD, NEW = b"o" * 32, b"n" * 32


class TestKinds:
    @pytest.mark.parametrize("is_simulated", [True, False])
    async def test_live_and_simulated_refuse_one_another(self, url: str, *, is_simulated: bool) -> None:
        await (await opened(url, is_simulated=is_simulated)).aclose()
        with pytest.raises(CannotStart, match=r"never mixed; use another store\.url"):
            await opened(url, is_simulated=not is_simulated)
        await (await opened(url, is_simulated=is_simulated)).aclose()

    async def test_the_kind_can_be_asked_for_without_opening(self, url: str) -> None:
        assert kind_of(url) is None
        store = await opened(url, is_simulated=True)
        assert kind_of(url) == "simulated"
        await store.aclose()
        assert kind_of(url) == "simulated"

    async def test_a_file_of_another_make_has_no_kind(self, url: str, tmp_path: Path) -> None:
        write(tmp_path / "store.db", b"")
        assert kind_of(url) is None

    async def test_a_path_with_strange_characters_is_no_other_path(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'a%3Fmode=x%23 b%2541.db'}"
        await (await opened(url)).aclose()
        assert exists(tmp_path / "a?mode=x# b%41.db")
        assert kind_of(url) == "live"


class TestUrls:
    @pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+sentinel", "redis+cluster"])
    async def test_redis_is_refused_and_the_cure_is_said(self, scheme: str) -> None:
        with pytest.raises(CannotStart, match=r"SQLite only; set store\.url = \"sqlite:///"):
            await opened(f"{scheme}://localhost:6379/0")

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "var/gateway.db",
            "sqlite:",
            "sqlite://",
            "sqlite:///",
            "sqlite://host/gateway.db",
            "postgres:///x",
            "sqlite:///a.db?mode=memory",
            "sqlite:///a.db#x",
        ],
    )
    async def test_what_names_no_file_is_refused(self, url: str) -> None:
        with pytest.raises(CannotStart, match=r"store\.url must look like"):
            await opened(url)

    async def test_memory_is_no_store(self) -> None:
        with pytest.raises(CannotStart, match="local disk"):
            await opened("sqlite:///:memory:")

    async def test_a_path_may_be_relative(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        await (await opened("sqlite:///var/gateway.db")).aclose()
        assert exists(tmp_path / "var" / "gateway.db")

    async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(self, url: str, tmp_path: Path) -> None:
        write(tmp_path / "store.db", b"precious " * 1000)
        with pytest.raises(CannotStart, match="not a database"):
            await opened(url)
        assert read(tmp_path / "store.db") == b"precious " * 1000

    async def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        write(tmp_path / "file", b"")
        with pytest.raises(CannotStart, match="cannot be used"):
            await opened(f"sqlite:///{tmp_path / 'file' / 'store.db'}")

    async def test_a_store_of_another_version_is_refused(self, url: str, tmp_path: Path) -> None:
        await (await opened(url)).aclose()
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
            connection.execute("UPDATE meta SET value = x'393939' WHERE name = 'schema'")
        with pytest.raises(CannotStart, match="another version of the gateway"):
            await opened(url)

    @pytest.mark.system
    def test_of_several_that_make_it_at_once_all_find_one_store(self, url: str) -> None:
        assert found_at_once(url) == [0] * 4


class TestKeys:
    async def test_the_wrong_key_is_refused_and_the_cure_is_said(self, url: str) -> None:
        await (await opened(url, OLD)).aclose()
        with pytest.raises(CannotStart, match=r"secrets\.keys does not open this store: put the key back"):
            await opened(url, NEW)

    @pytest.mark.parametrize("keys", [(), (b"short",), (OLD, b"x" * 33)])
    async def test_a_key_that_is_none_is_refused(self, url: str, keys: tuple[bytes, ...]) -> None:
        with pytest.raises(CannotStart, match="base64 of 32 bytes"):
            await open_store(url, keys, is_simulated=False)

    async def test_a_new_key_before_the_old_one_seals_and_the_old_one_still_opens(
        self, url: str, tmp_path: Path
    ) -> None:
        store = await opened(url, OLD)
        before = await put(store, make_message("before"))
        await store.put_grant(make_grant(), expected=0)
        await store.aclose()

        store = await opened(url, NEW, OLD)
        assert await store.letter(before.tracking_id) == make_letter(make_event("before"))
        assert await store.grant("main") == make_grant()
        assert (await store.find(Query(phone=PHONE))).items == (before,), "digests do not depend on the ring"
        assert await store.put_grant(make_grant(version=2, generation=2), expected=1)
        await store.aclose()

        store = await opened(url, OLD)
        with pytest.raises(CannotOpen, match=r"no key in secrets\.keys opens grant"):
            await store.grant("main")
        await store.aclose()

    async def test_a_letter_whose_key_is_gone_says_so(self, url: str) -> None:
        store = await opened(url, OLD)
        await store.aclose()
        store = await opened(url, NEW, OLD)
        message = await put(store, make_message())
        await store.aclose()
        store = await opened(url, OLD)
        assert await store.load(message.tracking_id) == message
        with pytest.raises(CannotOpen):
            await store.letter(message.tracking_id)
        await store.aclose()

    async def test_a_webhook_whose_key_is_gone_still_tells_what_it_says(self, url: str) -> None:
        store = await opened(url, OLD)
        await store.aclose()
        store = await opened(url, NEW, OLD)
        receipt = Receipt("z1", "t1", NOW)
        await store.keep_receipt("main", NOW, receipt, b"raw")
        await store.aclose()
        store = await opened(url, OLD)
        assert [(kept.receipt, kept.body) for kept in await store.receipts(9)] == [(receipt, b"")]
        await store.aclose()

    async def test_a_grant_put_in_the_place_of_another_does_not_open(self, url: str, tmp_path: Path) -> None:
        store = await opened(url)
        await store.put_grant(make_grant("main"), expected=0)
        await store.put_grant(make_grant("second"), expected=0)
        stolen = "(SELECT body FROM credential WHERE account = 'second')"
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
            connection.execute(f"UPDATE credential SET body = {stolen} WHERE account = 'main'")
        with pytest.raises(CannotOpen, match="the record was changed"):
            await store.grant("main")
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
            connection.execute("UPDATE credential SET version = 7 WHERE account = 'second'")
        with pytest.raises(CannotOpen, match="the record was changed"):
            await store.grant("second")
        await store.aclose()


class TestWhatAStrangerReads:
    CANARIES = ("84987654321", "0987654321", "987654321", "canary-otp-135790", "canary-name", "canary-note")
    TOKENS = (
        "canary-access-token",
        "canary-refresh-token",
        "canary-raw-body",
        "canary-state",
        "canary-verifier",
        "canary-new-token",
    )

    async def test_no_number_no_value_and_no_token_stands_in_clear_in_any_file(
        self, url: str, tmp_path: Path
    ) -> None:
        store = await opened(url)
        event = make_event(data={"phone": "0987654321", "otp": "canary-otp-135790", "note": "canary-note"})
        letter = msgspec.structs.replace(
            make_letter(event, "84987654321"), template_data={"otp": "canary-otp-135790", "name": "canary-name"}
        )
        message = make_message(phone="84*****4321")
        await store.accept(message, letter, identity_of(event))
        assert await store.save(begin(message, store.owner), expected=message.version)
        access, refresh, *_ = self.TOKENS
        grant = make_grant()
        grant = msgspec.structs.replace(
            grant, access=type(grant.access)(access), refresh=type(grant.refresh)(refresh)
        )
        assert await store.put_grant(grant, expected=0)
        await store.keep_receipt("main", NOW, Receipt("m", None, None), b'{"canary-raw-body": "84987654321"}')
        words = make_news("canary-key", Kind.FEEDBACK, note="canary-note")
        told = make_callback(body=b'{"note": "canary-otp-135790"}')
        assert await store.keep_news("main", NOW, words, b'{"canary-raw-body": "84987654321"}', [told])
        assert (await store.find(Query(phone="84987654321"))).items
        await store.put_login(make_login(state="canary-state", verifier="canary-verifier"))
        intended = grant.intended(store.owner, NOW)
        await store.rehearse(intended)
        store.journal.open(intended)(200, b'{"access_token": "canary-new-token"}')
        assert store.journal.read(intended)

        running = contents(tmp_path)
        await store.aclose()
        for files in (running, contents(tmp_path)):
            assert b"84*****4321" in files, "the files hold what they should"
            for canary in (*self.CANARIES, *self.TOKENS, KEY.decode()):
                assert canary.encode() not in files
                assert base64.b64encode(canary.encode()).rstrip(b"=")[:-1] not in files
                assert canary.encode().hex().encode() not in files

    async def test_the_same_number_has_another_digest_in_another_store(self, tmp_path: Path) -> None:
        digests = []
        for name in ("one", "two"):
            store = await opened(f"sqlite:///{tmp_path / name}.db")
            await put(store, make_message())
            row = await store._lookups.run(
                lambda it: it.execute(
                    "SELECT phone_digest, fingerprint FROM message JOIN identity USING (seq)"
                ).fetchone()
            )
            digests.append(row)
            await store.aclose()
        assert set(digests[0]).isdisjoint(digests[1])


def contents(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def read(path: Path) -> bytes:
    return path.read_bytes()


def exists(path: Path) -> bool:
    return path.exists()


def test_a_store_that_was_not_opened_leaves_no_thread_and_no_connection(url: str) -> None:
    async def refused() -> None:
        await (await opened(url, OLD)).aclose()
        for _ in range(50):
            with pytest.raises(CannotStart):
                await opened(url, NEW)

    open_before = len(list(Path("/proc/self/fd").iterdir()))
    asyncio.run(refused())
    assert len(list(Path("/proc/self/fd").iterdir())) <= open_before + 2
