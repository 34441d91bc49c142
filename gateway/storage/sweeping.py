"""What has outlived its retention in the SQLite store goes, a few rows to a transaction."""

import sqlite3
from typing import Final

from .changes import drop_logins
from .records import MAX_OTHERS

_AT_ONCE: Final = 500

Ids = list[tuple[int]]


def sweep(
    connection: sqlite3.Connection, now: int, final_before: int, receipts_before: int, max_orphans: int
) -> int:
    """How much of what has outlived its retention is deleted now; 0 when there is no more."""
    return (
        _messages(connection, final_before)
        + _receipts(connection, receipts_before, max_orphans)
        + _news(connection, final_before, receipts_before)
        + _drop(connection, "callback", "seq", _older(connection, "seq FROM callback WHERE made_at", final_before))
        + drop_logins(connection, now)
    )


def _messages(connection: sqlite3.Connection, final_before: int) -> int:
    # The newest change stays, so that the numbers of the feed never run backwards.
    swept = connection.execute(
        "SELECT seq FROM message WHERE updated_at < ? AND status NOT IN ('queued', 'sending') AND lease_until IS NULL"
        " AND changed < (SELECT max(changed) FROM message) LIMIT ?",
        (final_before, _AT_ONCE),
    ).fetchall()
    for table in ("letter", "identity"):
        _drop(connection, table, "seq", swept)
    return _drop(connection, "message", "seq", swept)


def _receipts(connection: sqlite3.Connection, receipts_before: int, max_orphans: int) -> int:
    aged = _older(connection, "id FROM receipt WHERE NOT is_new AND received_at", receipts_before)
    return _drop(connection, "receipt", "id", aged + _excess(connection, "receipt WHERE NOT is_new", max_orphans))


def _news(connection: sqlite3.Connection, final_before: int, receipts_before: int) -> int:
    old = _older(connection, "id FROM news WHERE received_at", final_before)
    aged = _older(connection, "id FROM news WHERE kind = 'other' AND received_at", receipts_before)
    return _drop(
        connection, "news", "id", old + aged + _excess(connection, "news WHERE kind = 'other'", MAX_OTHERS)
    )


def _older(connection: sqlite3.Connection, what: str, before: int) -> Ids:
    return connection.execute(f"SELECT {what} < ? LIMIT ?", (before, _AT_ONCE)).fetchall()


def _excess(connection: sqlite3.Connection, what: str, most: int) -> Ids:
    """What is beyond so many of an account, of the oldest."""
    excess = f"SELECT id FROM {what} AND account = ? ORDER BY id DESC LIMIT ? OFFSET ?"  # noqa: S608 - constants
    found: Ids = []
    for (account,) in connection.execute(f"SELECT DISTINCT account FROM {what}").fetchall():  # noqa: S608 - constants
        found += connection.execute(excess, (account, _AT_ONCE, most)).fetchall()
    return found


def _drop(connection: sqlite3.Connection, table: str, key: str, ids: Ids) -> int:
    statement = f"DELETE FROM {table} WHERE {key} = ?"  # noqa: S608 - constants
    return connection.executemany(statement, set(ids)).rowcount if ids else 0
