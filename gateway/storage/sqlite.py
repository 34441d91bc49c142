"""The Ledger and the Vault on SQLite: one file, WAL, an fsync before anything is promised.

Changes go through one thread that commits many at once; reads have a connection and a thread of their own, so
that a slow list never delays a promise.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

from gateway.core.errors import Unavailable
from gateway.core.event import Event
from gateway.core.grant import Grant
from gateway.core.hold import Hold
from gateway.core.identity import Identity, TrackingId
from gateway.core.message import Letter, Message
from gateway.core.receipt import Receipt
from gateway.ports import Acceptance, Conflicting, Depth, KeptReceipt, Known, Overtaken, Page, Query, Stored

from . import queries
from .commits import Commits
from .owners import Owners
from .records import RANKS, Records, micros, moment, read_hold, read_message, write_hold, write_message

T = TypeVar("T")

_INSERT = """INSERT INTO message (tracking_id, version, state, status, caller, type, event_id, account, template_id,
    priority, rank, phone_digest, msg_id, accepted_at, updated_at, expires_at, due_at, lease_until, owner, body, changed)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT ifnull(max(changed), 0) + 1 FROM message))"""
_UPDATE = """UPDATE message SET version = ?, state = ?, status = ?, msg_id = ?, updated_at = ?, expires_at = ?,
    due_at = ?, lease_until = ?, owner = ?, body = ?, changed = (SELECT max(changed) + 1 FROM message)
    WHERE tracking_id = ? AND version = ?"""


class SqliteStore:
    """Keeps the Ledger and the Vault in one file."""

    def __init__(self, commits: Commits, reader: sqlite3.Connection, records: Records, owners: Owners) -> None:
        self._commits = commits
        self._reader = reader
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="store-read")
        self._records = records
        self._owners = owners

    @property
    def owner(self) -> str:
        """The name under which this process's attempts are recorded."""
        return self._owners.name

    async def accept(
        self, message: Message, letter: Letter, identity: Identity, *, despite: int | None = None
    ) -> Acceptance:
        fingerprint = self._records.fingerprint(letter.event)
        sealed = self._records.seal_letter(message.tracking_id, letter)
        digest = None if letter.phone is None else self._records.phone_digest(letter.phone)
        body = write_message(message)

        def change(connection: sqlite3.Connection) -> Acceptance:
            known = _known(connection, identity, fingerprint, binds=True)
            if known is not None:
                return known
            if despite is not None:
                connection.execute("DELETE FROM receipt WHERE id = ?", (despite,))
            elif (overtaken := _overtaken(connection, message)) is not None:
                return overtaken
            cursor = connection.execute(_INSERT, _inserted(message, digest, body))
            seq = cursor.lastrowid
            connection.execute("INSERT INTO letter (seq, body) VALUES (?, ?)", (seq, sealed))
            for name in identity.names:
                connection.execute("INSERT INTO identity VALUES (?, ?, ?)", (name, seq, fingerprint))
            return Stored()

        return await self._commits.submit(change)

    async def known(self, identity: Identity, event: Event) -> Known | Conflicting | None:
        fingerprint = self._records.fingerprint(event)
        return await self._read(lambda reader: _known(reader, identity, fingerprint, binds=False))

    async def save(self, message: Message, *, expected: int) -> bool:
        values = (*_updated(message, write_message(message)), message.tracking_id, expected)

        def change(connection: sqlite3.Connection) -> bool:
            if connection.execute(_UPDATE, values).rowcount != 1:
                return False
            if message.msg_id is not None:
                # A receipt that named only this msg_id may have come before we knew it: it is worked on again.
                connection.execute(
                    "UPDATE receipt SET is_new = 1 WHERE msg_id = ? AND account = ? AND NOT is_new",
                    (message.msg_id, message.account),
                )
            return True

        return await self._commits.submit(change)

    async def load(self, tracking_id: str) -> Message | None:
        body = await self._read(
            lambda reader: _value(reader, "SELECT body FROM message WHERE tracking_id = ?", tracking_id)
        )
        return None if body is None else read_message(body)

    async def letter(self, tracking_id: str) -> Letter | None:
        sealed = await self._read(
            lambda reader: _value(
                reader,
                "SELECT letter.body FROM letter JOIN message USING (seq) WHERE tracking_id = ?",
                tracking_id,
            )
        )
        return None if sealed is None else self._records.open_letter(tracking_id, sealed)

    async def find(self, query: Query) -> Page:
        digest = None if query.phone is None else self._records.phone_digest(query.phone)
        return await self._read(lambda reader: queries.find(reader, query, digest))

    async def due(self, account: str, now: datetime, *, held: Collection[Hold], limit: int) -> Sequence[Message]:
        return await self._read(lambda reader: queries.due(reader, account, micros(now), held, limit))

    async def probe(self, hold: Hold, now: datetime) -> Message | None:
        return await self._read(lambda reader: queries.probe(reader, hold, micros(now)))

    async def overdue(self, now: datetime, limit: int) -> Sequence[Message]:
        return await self._read(lambda reader: queries.overdue(reader, micros(now), limit))

    async def stalled(self, now: datetime, limit: int) -> Sequence[Message]:
        return await self._read(lambda reader: queries.stalled(reader, micros(now), self._owners.is_dead, limit))

    async def depths(self) -> Sequence[Depth]:
        return await self._read(queries.depths)

    async def put_hold(self, hold: Hold) -> None:
        row = (hold.key, write_hold(hold))
        await self._commits.submit(lambda it: it.execute("INSERT OR REPLACE INTO hold VALUES (?, ?)", row) and None)

    async def drop_hold(self, key: str) -> None:
        await self._commits.submit(lambda it: it.execute("DELETE FROM hold WHERE key = ?", (key,)) and None)

    async def holds(self) -> Sequence[Hold]:
        rows = await self._read(lambda reader: reader.execute("SELECT body FROM hold ORDER BY key").fetchall())
        return [read_hold(body) for (body,) in rows]

    async def keep_receipt(
        self, account: str, received_at: datetime, name: str, receipt: Receipt | None, body: bytes
    ) -> int:
        it = receipt or Receipt(None, None, None)
        delivered = None if it.delivered_at is None else micros(it.delivered_at)
        sealed = self._records.seal_receipt(account, body)
        row = (account, micros(received_at), name, it.tracking_id, it.msg_id, delivered, sealed)

        def change(connection: sqlite3.Connection) -> int:
            cursor = connection.execute(
                "INSERT INTO receipt (account, received_at, name, is_new, tracking_id, msg_id, delivered_at, body)"
                " VALUES (?, ?, ?, 1, ?, ?, ?, ?)",
                row,
            )
            return cursor.lastrowid or 0

        return await self._commits.submit(change)

    async def receipts(self, limit: int) -> Sequence[KeptReceipt]:
        rows = await self._read(lambda reader: queries.new_receipts(reader, limit))
        return [
            KeptReceipt(
                id=row[0],
                account=row[1],
                received_at=moment(row[2]),
                name=row[3],
                receipt=queries.receipt(*row[4:7]),
                body=self._records.open_receipt(row[1], row[7]),
            )
            for row in rows
        ]

    async def match(self, account: str, receipt: Receipt) -> Message | None:
        return await self._read(lambda reader: queries.match(reader, account, receipt))

    async def settle_receipt(self, receipt_id: int, *, is_matched: bool) -> None:
        statement = "DELETE FROM receipt WHERE id = ?" if is_matched else "UPDATE receipt SET is_new = 0 WHERE id = ?"
        await self._commits.submit(lambda it: it.execute(statement, (receipt_id,)) and None)

    async def sweep(self, now: datetime, *, final_before: datetime, receipts_before: datetime) -> int:
        limits = micros(final_before), micros(receipts_before)
        return await self._commits.submit(lambda connection: queries.sweep(connection, *limits))

    async def ping(self) -> None:
        statement = "INSERT OR REPLACE INTO meta VALUES ('ping', randomblob(8))"
        await self._commits.submit(lambda it: it.execute(statement) and None)

    async def grant(self, account: str) -> Grant | None:
        row = await self._read(
            lambda reader: reader.execute(
                "SELECT version, body FROM credential WHERE account = ?", (account,)
            ).fetchone()
        )
        return None if row is None else self._records.open_grant(account, *row)

    async def put_grant(self, grant: Grant, *, expected: int) -> bool:
        sealed = self._records.seal_grant(grant)

        def change(connection: sqlite3.Connection) -> bool:
            if expected == 0:
                statement = "INSERT OR IGNORE INTO credential VALUES (?, ?, ?)"
                return connection.execute(statement, (grant.account, grant.version, sealed)).rowcount == 1
            statement = "UPDATE credential SET version = ?, body = ? WHERE account = ? AND version = ?"
            return connection.execute(statement, (grant.version, sealed, grant.account, expected)).rowcount == 1

        return await self._commits.submit(change)

    async def aclose(self) -> None:
        await self._commits.aclose()
        self._reading.shutdown(wait=True)
        self._reader.close()
        self._owners.close()

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reading, query, self._reader)
        except sqlite3.Error as error:
            raise Unavailable("the store cannot be read") from error
        except RuntimeError as error:  # the executor has been shut down
            raise Unavailable("the store is closed") from error


def _value(reader: sqlite3.Connection, statement: str, key: str) -> bytes | None:
    row = reader.execute(statement, (key,)).fetchone()
    return None if row is None else bytes(row[0])


def _known(
    connection: sqlite3.Connection, identity: Identity, fingerprint: bytes, *, binds: bool
) -> Known | Conflicting | None:
    """What is known of an identity; with `binds`, a name that was new now names the same message."""
    found = {
        name: (seq, told)
        for name in identity.names
        for seq, told in connection.execute("SELECT seq, fingerprint FROM identity WHERE name = ?", (name,))
    }
    if not found:
        return None
    seqs = {seq for seq, _ in found.values()}
    seq = next(iter(seqs))
    tracking_id, body = connection.execute("SELECT tracking_id, body FROM message WHERE seq = ?", (seq,)).fetchone()
    if len(seqs) > 1 or any(told != fingerprint for _, told in found.values()):
        return Conflicting(TrackingId(tracking_id))
    if binds:
        for name in identity.names:
            if name not in found:
                connection.execute("INSERT INTO identity VALUES (?, ?, ?)", (name, seq, fingerprint))
    return Known(read_message(body))


def _overtaken(connection: sqlite3.Connection, message: Message) -> Overtaken | None:
    row = connection.execute(
        "SELECT id, tracking_id, msg_id, delivered_at FROM receipt"
        " WHERE tracking_id = ? AND account = ? AND NOT is_new LIMIT 1",
        (message.tracking_id, message.account),
    ).fetchone()
    if row is None:
        return None
    receipt = queries.receipt(*row[1:])
    return None if receipt is None else Overtaken(row[0], receipt)


def _inserted(message: Message, digest: bytes | None, body: bytes) -> tuple[object, ...]:
    _version, state, status, msg_id, updated_at, expires_at, due_at, lease_until, owner, _body = _updated(message, body)
    return (
        message.tracking_id,
        message.version,
        state,
        status,
        message.caller,
        message.event_type,
        message.event_id,
        message.account,
        message.template_id,
        message.priority,
        RANKS[message.priority],
        digest,
        msg_id,
        micros(message.accepted_at),
        updated_at,
        expires_at,
        due_at,
        lease_until,
        owner,
        body,
    )


def _updated(message: Message, body: bytes) -> tuple[object, ...]:
    """What the columns that change hold of this message."""
    attempt = message.open_attempt
    due = (message.next_attempt_at or message.accepted_at) if message.state.is_waiting else None
    return (
        message.version,
        message.state.value,
        message.state.status,
        message.msg_id,
        micros(message.updated_at),
        micros(message.expires_at),
        None if due is None else micros(due),
        None if attempt is None else micros(attempt.lease_until),
        None if attempt is None else attempt.owner,
        body,
    )

