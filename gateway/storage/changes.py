"""What is changed in the SQLite store: each function is a part of one transaction, on the connection it is given."""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway.core.identity import Identity
from gateway.core.message import Message
from gateway.ports import Acceptance, Conflicting, Known, Overtaken, Stored

from . import outbox, queries
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
    "ask_at",
    "body",
)
_NEXT_CHANGE: Final = "(SELECT ifnull(max(changed), 0) + 1 FROM message)"
_INSERT: Final = f"""INSERT INTO message ({", ".join(_FIXED + _MOVING)}, phone_digest, changed)
    VALUES ({"?, " * len(_FIXED + _MOVING)} ?, {_NEXT_CHANGE})"""  # noqa: S608 - constants
_UPDATE: Final = f"""UPDATE message SET {" = ?, ".join(_MOVING)} = ?, changed = {_NEXT_CHANGE}
    WHERE tracking_id = ? AND version = ?"""  # noqa: S608 - constants
_NEW_LETTER: Final = "UPDATE letter SET body = ? WHERE seq = (SELECT seq FROM message WHERE tracking_id = ?)"
_NEW_PHONE: Final = "UPDATE message SET phone_digest = ? WHERE tracking_id = ?"


def accept(
    connection: sqlite3.Connection,
    message: Message,
    sealed_letter: bytes,
    phone_digest: bytes | None,
    identity: Identity,
    fingerprint: bytes,
    despite: int | None,
    callback: outbox.Row | None,
) -> Acceptance:
    """The message is stored under every name, and its caller will be told, unless it is known or overtaken by a receipt."""
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
    if callback is not None:
        outbox.put(connection, [callback])
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
    return None if row is None else Overtaken(row[0], queries.receipt(*row[1:]))


def save(
    connection: sqlite3.Connection,
    message: Message,
    expected: int,
    letter: tuple[bytes, bytes | None] | None,
    callback: outbox.Row | None,
) -> bool:
    """The message has replaced its version `expected`, and receipts that it explains are worked on again.

    So has its letter, if there is a new one: sealed, and the digest of its phone. `callback` is for its caller if
    the status is another one than before.
    """
    before = None if callback is None else _status(connection, message.tracking_id)
    if connection.execute(_UPDATE, (*_moving(message), message.tracking_id, expected)).rowcount != 1:
        return False
    if callback is not None and before != message.state.status:
        outbox.put(connection, [callback])
    if letter is not None:
        connection.execute(_NEW_LETTER, (letter[0], message.tracking_id))
        connection.execute(_NEW_PHONE, (letter[1], message.tracking_id))
    _renew_receipts(connection, message)
    return True


def _status(connection: sqlite3.Connection, tracking_id: str) -> str | None:
    row = connection.execute("SELECT status FROM message WHERE tracking_id = ?", (tracking_id,)).fetchone()
    return None if row is None else row[0]


def _renew_receipts(connection: sqlite3.Connection, message: Message) -> None:
    # A receipt that named only the msg_id may have come before we knew it. The + keeps SQLite from walking through
    # all orphans of the account.
    connection.execute(
        "UPDATE receipt SET is_new = 1 WHERE (tracking_id = ? OR msg_id = ?) AND +account = ? AND NOT is_new",
        (message.tracking_id, message.msg_id, message.account),
    )


def keep_receipt(connection: sqlite3.Connection, row: tuple[object, ...]) -> int:
    """The receipt is stored, to be worked on; its number."""
    cursor = connection.execute(
        "INSERT INTO receipt (account, received_at, tracking_id, msg_id, delivered_at, body, is_new)"
        " VALUES (?, ?, ?, ?, ?, ?, 1)",
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
    drop_logins(connection, now)
    found = connection.execute("SELECT account, state, body FROM login WHERE state = ?", (state,)).fetchone()
    connection.execute("DELETE FROM login WHERE state = ?", (state,))
    row: tuple[Any, ...] | None = found
    return row


def drop_logins(connection: sqlite3.Connection, now: int) -> int:
    """The logins whose time is over are gone; how many that were."""
    return connection.execute("DELETE FROM login WHERE expires_at <= ?", (now,)).rowcount


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
        None if message.ask_at is None else micros(message.ask_at),
        write_message(message),
    )
