"""What is changed in the SQLite store: each function is a part of one transaction, on the connection it is given."""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway.core.identity import Identity
from gateway.core.message import Message
from gateway.ports import Acceptance, Conflicting, Known, Overtaken, Stored

from . import queries
from .records import RANKS, micros, write_message

_FIXED: Final = ("tracking_id", "caller", "type", "event_id", "accepted_at")
_MOVING: Final = (
    "version",
    "status",
    "account",
    "template_id",
    "rank",
    "msg_id",
    "updated_at",
    "expires_at",
    "due_at",
    "lease_until",
    "owner",
    "body",
)
_NEXT_CHANGE: Final = "(SELECT ifnull(max(changed), 0) + 1 FROM message)"
_INSERT: Final = f"""INSERT INTO message ({", ".join(_FIXED + _MOVING)}, phone_digest, changed)
    VALUES ({"?, " * len(_FIXED + _MOVING)} ?, {_NEXT_CHANGE})"""  # noqa: S608 - constants
_UPDATE: Final = f"""UPDATE message SET {" = ?, ".join(_MOVING)} = ?, changed = {_NEXT_CHANGE}
    WHERE tracking_id = ? AND version = ?"""  # noqa: S608 - constants
_SWEPT_AT_ONCE: Final = 500


def accept(
    connection: sqlite3.Connection,
    message: Message,
    sealed_letter: bytes,
    phone_digest: bytes | None,
    identity: Identity,
    fingerprint: bytes,
    despite: int | None,
) -> Acceptance:
    """The message is stored under every name, unless it is known or a receipt has overtaken it."""
    found = queries.named(connection, identity)
    known = queries.judge(found, fingerprint)
    if isinstance(known, Conflicting):
        return known
    if isinstance(known, Known):
        new = [name for name in identity.names if name not in found]
        _bind(connection, new, known.message.tracking_id, fingerprint)
        return known
    if despite is None and (overtaken := _overtaken(connection, message)) is not None:
        return overtaken
    seq = connection.execute(_INSERT, (*_fixed(message), *_moving(message), phone_digest)).lastrowid
    connection.execute("INSERT INTO letter VALUES (?, ?)", (seq, sealed_letter))
    _bind(connection, identity.names, message.tracking_id, fingerprint)
    if despite is not None:
        connection.execute("DELETE FROM receipt WHERE id = ?", (despite,))
        _renew_receipts(connection, message)
    return Stored()


def _bind(connection: sqlite3.Connection, names: Iterable[str], tracking_id: str, fingerprint: bytes) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO identity SELECT ?, seq, ? FROM message WHERE tracking_id = ?",
        [(name, fingerprint, tracking_id) for name in names],
    )


def _overtaken(connection: sqlite3.Connection, message: Message) -> Overtaken | None:
    # Also by one that has not been worked on yet: whoever works on it may have looked for the message before it came.
    row = connection.execute(
        "SELECT id, tracking_id, msg_id, delivered_at FROM receipt WHERE tracking_id = ? AND account = ?"
        " ORDER BY id LIMIT 1",
        (message.tracking_id, message.account),
    ).fetchone()
    receipt = None if row is None else queries.receipt(*row[1:])
    return None if receipt is None else Overtaken(row[0], receipt)


def save(connection: sqlite3.Connection, message: Message, expected: int) -> bool:
    """The message has replaced its version `expected`, and receipts that it explains are worked on again."""
    values = (*_moving(message), message.tracking_id, expected)
    if connection.execute(_UPDATE, values).rowcount != 1:
        return False
    _renew_receipts(connection, message)
    return True


def _renew_receipts(connection: sqlite3.Connection, message: Message) -> None:
    # A receipt that named only the msg_id may have come before we knew it. The + keeps SQLite from walking through
    # all orphans of the account.
    connection.execute(
        "UPDATE receipt SET is_new = 1 WHERE (tracking_id = ? OR msg_id = ?) AND +account = ? AND NOT is_new",
        (message.tracking_id, message.msg_id, message.account),
    )


def keep_receipt(connection: sqlite3.Connection, row: tuple[object, ...]) -> int:
    """The webhook event is stored, to be worked on; its number."""
    cursor = connection.execute(
        "INSERT INTO receipt (account, received_at, name, tracking_id, msg_id, delivered_at, body, is_new)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 1)",
        row,
    )
    return cursor.lastrowid or 0


def settle_receipt(connection: sqlite3.Connection, receipt_id: int, *, is_matched: bool) -> None:
    """The receipt is forgotten if it was matched, else an orphan; but new if its message has come in between."""
    row = connection.execute(
        "SELECT account, tracking_id, msg_id FROM receipt WHERE id = ?", (receipt_id,)
    ).fetchone()
    if is_matched:
        connection.execute("DELETE FROM receipt WHERE id = ?", (receipt_id,))
    elif row is not None and queries.match(connection, *row) is None:
        connection.execute("UPDATE receipt SET is_new = 0 WHERE id = ?", (receipt_id,))


def put_grant(connection: sqlite3.Connection, account: str, version: int, sealed: bytes, expected: int) -> bool:
    """The grant has replaced the one of version `expected`, or there was none and it is the first."""
    if expected == 0:
        statement = "INSERT OR IGNORE INTO credential VALUES (?, ?, ?)"
        return connection.execute(statement, (account, version, sealed)).rowcount == 1
    statement = "UPDATE credential SET version = ?, body = ? WHERE account = ? AND version = ?"
    return connection.execute(statement, (version, sealed, account, expected)).rowcount == 1


def take_lease(
    connection: sqlite3.Connection, account: str, owner: str, now: int, until: int, is_dead: Callable[[str], bool]
) -> bool:
    """The account's lease is the owner's, unless it is another one's who lives and whose time is not over."""
    row = connection.execute("SELECT owner, until FROM lease WHERE account = ?", (account,)).fetchone()
    if row is not None and row[0] != owner and now < row[1] and not is_dead(row[0]):
        return False
    connection.execute("INSERT OR REPLACE INTO lease VALUES (?, ?, ?)", (account, owner, until))
    return True


def take_login(connection: sqlite3.Connection, state: bytes, now: int) -> tuple[Any, ...] | None:
    """The row of the login of that state, which is not there any more; nor is any whose time is over."""
    _drop_logins(connection, now)
    found = connection.execute("SELECT account, state, body FROM login WHERE state = ?", (state,)).fetchone()
    connection.execute("DELETE FROM login WHERE state = ?", (state,))
    row: tuple[Any, ...] | None = found
    return row


def _drop_logins(connection: sqlite3.Connection, now: int) -> int:
    return connection.execute("DELETE FROM login WHERE expires_at <= ?", (now,)).rowcount


def sweep(
    connection: sqlite3.Connection, now: int, final_before: int, receipts_before: int, max_orphans: int
) -> int:
    """How much of what has outlived its retention is deleted now; 0 when there is no more.

    The newest change stays, so that the numbers of the feed never run backwards.
    """
    swept = connection.execute(
        "SELECT seq FROM message WHERE updated_at < ? AND status NOT IN ('queued', 'sending') AND lease_until IS NULL"
        " AND changed < (SELECT max(changed) FROM message) LIMIT ?",
        (final_before, _SWEPT_AT_ONCE),
    ).fetchall()
    for table in ("message", "letter", "identity"):
        connection.executemany(f"DELETE FROM {table} WHERE seq = ?", swept)  # noqa: S608 - constants
    aged = "SELECT id FROM receipt WHERE NOT is_new AND received_at < ? LIMIT ?"
    gone = connection.execute(aged, (receipts_before, _SWEPT_AT_ONCE)).fetchall()
    excess = "SELECT id FROM receipt WHERE NOT is_new AND account = ? ORDER BY id DESC LIMIT ? OFFSET ?"
    for (account,) in connection.execute("SELECT DISTINCT account FROM receipt WHERE NOT is_new").fetchall():
        gone += connection.execute(excess, (account, _SWEPT_AT_ONCE, max_orphans)).fetchall()
    orphans = set(gone)
    connection.executemany("DELETE FROM receipt WHERE id = ?", orphans)
    return len(swept) + len(orphans) + _drop_logins(connection, now)


def _fixed(message: Message) -> tuple[object, ...]:
    return (
        message.tracking_id,
        message.caller,
        message.event_type,
        message.event_id,
        micros(message.accepted_at),
    )


def _moving(message: Message) -> tuple[object, ...]:
    attempt = message.open_attempt
    due = (message.next_attempt_at or message.accepted_at) if message.state.is_waiting else None
    return (
        message.version,
        message.state.status,
        message.account,
        message.template_id,
        RANKS[message.priority],
        message.msg_id,
        micros(message.updated_at),
        micros(message.expires_at),
        None if due is None else micros(due),
        None if attempt is None else micros(attempt.lease_until),
        None if attempt is None else attempt.owner,
        write_message(message),
    )
