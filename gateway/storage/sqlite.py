"""The Ledger, the Outbox and the Vault on SQLite: one file, WAL, an fsync before anything is promised.

Changes go through one thread that commits many at once. Reads have threads of their own, one for looking up and
one for lists, so that a slow list delays neither a promise nor a send.
"""
# ruff: noqa: D102 - what each operation promises is said once, in gateway/ports

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any, Final

from gateway.core.callback import of_message
from gateway.core.errors import CannotOpen, Unavailable
from gateway.core.event import Event
from gateway.core.grant import Grant
from gateway.core.hold import Hold
from gateway.core.identity import Identity, TrackingId
from gateway.core.login import Login
from gateway.core.message import Letter, Message
from gateway.core.receipt import Receipt
from gateway.ports import Acceptance, Conflicting, Depth, KeptReceipt, Known, Page, Query

from . import changes, outbox, queries, rekeying, sweeping
from .commits import Commits
from .journal import FileJournal
from .owners import Owners
from .reads import Reads
from .records import MAX_ORPHANS, Records, micros, moment, read_hold, read_message, write_hold
from .sqlite_outbox import SqliteOutbox

_REFUSAL_COUNTS_S: Final = 10.0
_SAVES_TO_COME: Final = 4  # of a grant, from the intent to the proof that its successor works
_MAX_SWEEPS: Final = 200  # at a time: what is left then waits for the next call


class SqliteStore(SqliteOutbox):
    """Keeps the Ledger, the Outbox and the Vault in one file; `journal` is beside it. `told` are the callers that have a callback."""

    def __init__(
        self,
        commits: Commits,
        lookups: Reads,
        lists: Reads,
        records: Records,
        owners: Owners,
        journal: FileJournal,
        *,
        told: Collection[str] = (),
        max_orphans: int = MAX_ORPHANS,
    ) -> None:
        super().__init__(commits, lookups, lists, records)
        self._owners = owners
        self.journal = journal
        self._told = told
        self._max_orphans = max_orphans
        self._refused_at: float | None = None

    @property
    def owner(self) -> str:
        """The name under which this process's attempts are recorded."""
        return self._owners.name

    @property
    def is_served(self) -> bool:
        """True if another living process is a gateway on the store."""
        return self._owners.is_served

    # -- messages --

    async def accept(
        self, message: Message, letter: Letter, identity: Identity, *, despite: int | None = None
    ) -> Acceptance:
        fingerprint = self._records.fingerprint(letter.event)
        sealed, digest = self._sealed(message, letter)
        callback = self._callback(message)
        try:
            acceptance = await self._commits.submit(
                lambda it: changes.accept(it, message, sealed, digest, identity, fingerprint, despite, callback)
            )
        except Unavailable:
            self._refused_at = monotonic()
            raise
        self._refused_at = None
        return acceptance

    async def known(self, identity: Identity, event: Event) -> Known | Conflicting | None:
        fingerprint = self._records.fingerprint(event)
        return await self._lookups.run(lambda it: queries.judge(queries.named(it, identity), fingerprint))

    async def save(self, message: Message, *, expected: int, letter: Letter | None = None) -> bool:
        newly = None if letter is None else self._sealed(message, letter)
        callback = self._callback(message)
        return await self._commits.submit(lambda it: changes.save(it, message, expected, newly, callback))

    async def load(self, tracking_id: str) -> Message | None:
        row = await self._row("SELECT body FROM message WHERE tracking_id = ?", tracking_id)
        return None if row is None else read_message(row[0])

    async def letter(self, tracking_id: str) -> Letter | None:
        row = await self._row(
            "SELECT letter.body FROM letter JOIN message USING (seq) WHERE tracking_id = ?", tracking_id
        )
        return None if row is None else self._records.open_letter(tracking_id, row[0])

    async def find(self, query: Query) -> Page:
        digest = None if query.phone is None else self._records.phone_digest(query.phone)
        return await self._lists.run(lambda it: queries.find(it, query, digest))

    async def matching(self, query: Query, statuses: Collection[str]) -> Sequence[TrackingId]:
        digest = None if query.phone is None else self._records.phone_digest(query.phone)
        found: list[TrackingId] = []
        end: int | None = 0
        # Stretch by stretch, so that no other list waits for the whole of it.
        while end is not None:
            ask = partial(queries.matching, query=query, statuses=statuses, phone_digest=digest, after=end)
            stretch, end = await self._lists.run(ask)
            found += stretch
        return found

    async def due(self, account: str, now: datetime, *, held: Collection[Hold], limit: int) -> Sequence[Message]:
        return await self._lookups.run(lambda it: queries.due(it, account, micros(now), held, limit))

    async def overdue(self, now: datetime, limit: int, *, under: Hold | None = None) -> Sequence[Message]:
        return await self._lookups.run(lambda it: queries.overdue(it, micros(now), limit, under))

    async def stalled(self, now: datetime, limit: int) -> Sequence[Message]:
        return await self._lookups.run(lambda it: queries.stalled(it, micros(now), self._owners.is_dead, limit))

    async def silent(self, account: str, now: datetime, limit: int) -> Sequence[Message]:
        return await self._lookups.run(lambda it: queries.silent(it, account, micros(now), limit))

    async def depths(self) -> Sequence[Depth]:
        return await self._lists.run(queries.depths)

    async def sweep(self, now: datetime, *, final_before: datetime, receipts_before: datetime) -> int:
        limits = micros(now), micros(final_before), micros(receipts_before), self._max_orphans
        total = 0
        # Bit by bit, so that no promise waits for the whole of it.
        for _ in range(_MAX_SWEEPS):
            swept = await self._commits.submit(lambda it: sweeping.sweep(it, *limits))
            total += swept
            if not swept:
                break
        return total

    # -- holds --

    async def put_hold(self, hold: Hold) -> None:
        await self._execute("INSERT OR REPLACE INTO hold VALUES (?, ?)", hold.key, write_hold(hold))

    async def drop_hold(self, key: str) -> None:
        await self._execute("DELETE FROM hold WHERE key = ?", key)

    async def holds(self) -> Sequence[Hold]:
        rows = await self._lookups.run(lambda it: it.execute("SELECT body FROM hold ORDER BY key").fetchall())
        return [read_hold(body) for (body,) in rows]

    # -- receipts --

    async def keep_receipt(self, account: str, received_at: datetime, receipt: Receipt, body: bytes) -> int:
        delivered = None if receipt.delivered_at is None else micros(receipt.delivered_at)
        sealed = self._records.seal_receipt(account, body)
        row = (account, micros(received_at), receipt.tracking_id, receipt.msg_id, delivered, sealed)
        return await self._commits.submit(lambda connection: changes.keep_receipt(connection, row))

    async def receipts(self, limit: int) -> Sequence[KeptReceipt]:
        rows = await self._lookups.run(lambda it: queries.new_receipts(it, limit))
        return [
            KeptReceipt(
                id=row[0],
                account=row[1],
                received_at=moment(row[2]),
                receipt=queries.receipt(*row[3:6]),
                body=self._raw(row[1], row[6]),
            )
            for row in rows
        ]

    async def match(self, account: str, receipt: Receipt) -> Message | None:
        return await self._lookups.run(lambda it: queries.match(it, account, receipt.tracking_id, receipt.msg_id))

    async def settle_receipt(self, receipt_id: int, *, is_matched: bool) -> None:
        await self._commits.submit(lambda it: changes.settle_receipt(it, receipt_id, is_matched=is_matched))

    # -- grants --

    async def grant(self, account: str) -> Grant | None:
        row = await self._row("SELECT version, body FROM credential WHERE account = ?", account)
        return None if row is None else self._records.open_grant(account, *row)

    async def version(self, account: str) -> int:
        row = await self._row("SELECT version FROM credential WHERE account = ?", account)
        return 0 if row is None else row[0]

    async def put_grant(self, grant: Grant, *, expected: int) -> bool:
        sealed = self._records.seal_grant(grant)
        return await self._commits.submit(
            lambda it: changes.put_grant(it, grant.account, grant.version, sealed, expected)
        )

    async def take_lease(self, account: str, *, owner: str, now: datetime, until: datetime) -> bool:
        return await self._commits.submit(
            lambda it: changes.take_lease(it, account, owner, micros(now), micros(until), self._owners.is_dead)
        )

    async def drop_lease(self, account: str, *, owner: str) -> None:
        await self._execute("DELETE FROM lease WHERE account = ? AND owner = ?", account, owner)

    async def rehearse(self, grant: Grant) -> None:
        sealed = self._records.seal_grant(grant)
        self._records.open_grant(grant.account, grant.version, sealed)
        # Noise and no copy: what lies about sealed would have to be sealed anew with the rest.
        size = len(sealed) * _SAVES_TO_COME
        await self._execute("INSERT OR REPLACE INTO meta VALUES ('rehearsal', randomblob(?))", size)

    def is_gone(self, owner: str) -> bool:
        return self._owners.is_dead(owner)

    async def put_login(self, login: Login) -> None:
        row = (login.account, self._records.state_digest(login.state), micros(login.expires_at))
        sealed = self._records.seal_login(login)
        await self._execute("INSERT OR REPLACE INTO login VALUES (?, ?, ?, ?)", *row, sealed)

    async def take_login(self, state: str, now: datetime) -> Login | None:
        digest = self._records.state_digest(state)
        row = await self._commits.submit(lambda it: changes.take_login(it, digest, micros(now)))
        return None if row is None else self._records.open_login(*row)

    async def is_waiting(self, login: Login) -> bool:
        digest = self._records.state_digest(login.state)
        return await self._row("SELECT 1 FROM login WHERE state = ?", digest) is not None

    async def end_login(self, login: Login, told: bytes) -> None:
        value = self._records.state_digest(login.state) + told
        await self._execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", _login_end(login), value)

    async def login_end(self, login: Login) -> bytes | None:
        digest = self._records.state_digest(login.state)
        row = await self._row("SELECT value FROM meta WHERE name = ?", _login_end(login))
        return bytes(row[0])[len(digest) :] if row is not None and row[0].startswith(digest) else None

    # -- the store itself --

    async def rekey(self) -> Sequence[rekeying.Resealed]:
        """What is sealed here is sealed under the first key, but for what no key opens; raises CannotStart."""
        rekeying.refuse_unless_all_seal_under(self._owners, self._records.key_ids[0])
        return await rekeying.reseal_all(self._commits, self._lists, self._records, self.journal)

    async def ping(self) -> None:
        # A full disk may still take a few bytes: what became of the last event tells more.
        if self._refused_at is not None and monotonic() < self._refused_at + _REFUSAL_COUNTS_S:
            raise Unavailable("the store could not confirm the last event")
        await self._execute("INSERT OR REPLACE INTO meta VALUES ('ping', randomblob(8))")

    async def aclose(self) -> None:
        await self._lists.aclose()
        await self._lookups.aclose()
        await self._commits.aclose()
        self._owners.close()

    async def _execute(self, statement: str, *values: object) -> None:
        def change(connection: sqlite3.Connection) -> None:
            connection.execute(statement, values)

        await self._commits.submit(change)

    async def _row(self, statement: str, key: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = await self._lookups.run(lambda it: it.execute(statement, (key,)).fetchone())
        return row

    def _sealed(self, message: Message, letter: Letter) -> tuple[bytes, bytes | None]:
        """The letter, and the digest that its message is found by."""
        digest = None if letter.phone is None else self._records.phone_digest(letter.phone)
        return self._records.seal_letter(message.tracking_id, letter), digest

    def _callback(self, message: Message) -> outbox.Row | None:
        """What the message's caller is to be told if this status is a new one; None if nobody is."""
        callback = of_message(message) if message.caller in self._told else None
        return None if callback is None else self._rows([callback])[0]

    def _raw(self, account: str, sealed: bytes) -> bytes:
        try:
            return self._records.open_receipt(account, sealed)
        except CannotOpen:
            # What it says of a message stands beside it: a key that is gone must not keep that back.
            return b""


def _login_end(login: Login) -> str:
    return f"login-end:{login.account}"
