"""What is asked of the SQLite store: each function reads (or sweeps) on the connection that it is given."""

import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from gateway.core.errors import InvalidRequest
from gateway.core.hold import Hold
from gateway.core.message import Message
from gateway.core.receipt import Receipt
from gateway.ports import Depth, Page, Query

from .records import micros, moment, read_message

_CURSOR: Final = re.compile(r"[sc][0-9]{1,18}")
_UNDER_WAY: Final = ("queued", "sending")
_SWEPT_AT_ONCE: Final = 2000


def find(reader: sqlite3.Connection, query: Query, phone_digest: bytes | None) -> Page:
    """One page: newest accepted first, or with `updated_after` the feed, oldest change first."""
    is_feed = query.updated_after is not None
    where, values = _filters(query, phone_digest)
    if query.cursor is not None:
        if _CURSOR.fullmatch(query.cursor) is None or (query.cursor[0] == "c") != is_feed:
            raise InvalidRequest("`cursor` must be the `next_cursor` of an earlier answer to the same list")
        where.append("changed > ?" if is_feed else "seq < ?")
        values.append(int(query.cursor[1:]))
    elif query.updated_after is not None:
        # From the first change after that time on, in commit order: what was committed later is not left out
        # because its own clock was a little behind.
        where.append("changed >= (SELECT ifnull(min(changed), 1 << 62) FROM message WHERE updated_at > ?)")
        values.append(micros(query.updated_after))
    order, column = ("changed", "changed") if is_feed else ("seq DESC", "seq")
    condition = " AND ".join(where) or "TRUE"
    rows = reader.execute(
        f"SELECT {column}, body FROM message WHERE {condition} ORDER BY {order} LIMIT ?",  # noqa: S608 - no input in it
        (*values, query.limit + 1),
    ).fetchall()
    items = tuple(read_message(body) for _, body in rows[: query.limit])
    if is_feed:
        return Page(items, _feed_cursor(reader, query, [position for position, _ in rows[: query.limit]]))
    return Page(items, f"s{rows[query.limit - 1][0]}" if len(rows) > query.limit else None)


def _feed_cursor(reader: sqlite3.Connection, query: Query, positions: Sequence[int]) -> str:
    if positions:
        return f"c{positions[-1]}"
    if query.cursor is not None:
        return query.cursor
    (last,) = reader.execute("SELECT ifnull(max(changed), 0) FROM message").fetchone()
    return f"c{last}"


def _filters(query: Query, phone_digest: bytes | None) -> tuple[list[str], list[object]]:
    wanted: list[tuple[str, object]] = [
        ("caller = ?", query.caller),
        ("status = ?", query.status),
        ("type = ?", query.event_type),
        ("event_id = ?", query.event_id),
        ("account = ?", query.account),
        ("phone_digest = ?", phone_digest),
        ("accepted_at >= ?", None if query.since is None else micros(query.since)),
        ("accepted_at < ?", None if query.until is None else micros(query.until)),
    ]
    asked = [(condition, value) for condition, value in wanted if value is not None]
    return [condition for condition, _ in asked], [value for _, value in asked]


def due(
    reader: sqlite3.Connection, account: str, now: int, held: Collection[Hold], limit: int
) -> list[Message]:
    """The account's queued messages whose time has come, but for those that a narrower hold covers."""
    where = ["account = ?", "due_at <= ?"]
    values: list[object] = [account, now]
    for hold in held:
        covered, held_values = _covered(hold)
        where.append(f"NOT ({covered})")
        values.extend(held_values)
    return _messages(reader, where, values, "rank, due_at", limit)


def probe(reader: sqlite3.Connection, hold: Hold, now: int) -> Message | None:
    """The first message that the hold covers."""
    covered, values = _covered(hold)
    found = _messages(reader, [covered, "due_at <= ?"], [*values, now], "rank, due_at", 1)
    return found[0] if found else None


def overdue(reader: sqlite3.Connection, now: int, limit: int) -> list[Message]:
    """Queued messages whose expiry has come."""
    return _messages(reader, ["due_at IS NOT NULL", "expires_at <= ?"], [now], "expires_at", limit)


def stalled(reader: sqlite3.Connection, now: int, is_dead: Callable[[str], bool], limit: int) -> list[Message]:
    """Messages with an open attempt whose lease has lapsed or whose owner is dead."""
    owners = reader.execute("SELECT DISTINCT owner FROM message WHERE lease_until IS NOT NULL").fetchall()
    dead = [owner for (owner,) in owners if is_dead(owner)]
    gone = f"owner IN ({', '.join('?' * len(dead))})" if dead else "FALSE"
    where = ["lease_until IS NOT NULL", f"(lease_until <= ? OR {gone})"]
    return _messages(reader, where, [now, *dead], "lease_until", limit)


def _covered(hold: Hold) -> tuple[str, list[object]]:
    pairs = [("account", hold.account), ("template_id", hold.template_id), ("type", hold.event_type)]
    asked = [(column, value) for column, value in pairs if value is not None]
    return " AND ".join(f"{column} IS ?" for column, _ in asked), [value for _, value in asked]


def _messages(
    reader: sqlite3.Connection, where: Iterable[str], values: Sequence[object], order: str, limit: int
) -> list[Message]:
    statement = f"SELECT body FROM message WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?"  # noqa: S608 - as above
    return [read_message(body) for (body,) in reader.execute(statement, (*values, limit))]


def depths(reader: sqlite3.Connection) -> list[Depth]:
    """How much is queued, by account and priority."""
    rows = reader.execute(
        "SELECT account, priority, count(*), min(accepted_at) FROM message"
        " WHERE due_at IS NOT NULL GROUP BY account, priority"
    )
    return [Depth(account, priority, count, moment(oldest)) for account, priority, count, oldest in rows]


def new_receipts(reader: sqlite3.Connection, limit: int) -> list[tuple[Any, ...]]:
    """The rows of the webhook events that have not been worked on."""
    return reader.execute(
        "SELECT id, account, received_at, name, tracking_id, msg_id, delivered_at, body"
        " FROM receipt WHERE is_new ORDER BY id LIMIT ?",
        (limit,),
    ).fetchall()


def receipt(tracking_id: str | None, msg_id: str | None, delivered_at: int | None) -> Receipt | None:
    """The Receipt in these columns, or None for a webhook event that is not one."""
    if tracking_id is None and msg_id is None:
        return None
    return Receipt(msg_id, tracking_id, None if delivered_at is None else moment(delivered_at))


def match(reader: sqlite3.Connection, account: str, found: Receipt) -> Message | None:
    """The account's message that the receipt speaks of."""
    for column, value in (("tracking_id", found.tracking_id), ("msg_id", found.msg_id)):
        if value is not None:
            messages = _messages(reader, [f"{column} = ?", "account = ?"], [value, account], "seq", 1)
            if messages:
                return messages[0]
    return None


def sweep(connection: sqlite3.Connection, final_before: int, receipts_before: int) -> int:
    """What has outlived its retention is deleted, a bounded number at a time.

    The newest change stays, so that the numbers of the feed never run backwards.
    """
    # Only the oldest rows are looked at, so that a sweep costs the same whatever the size of the store.
    rows = connection.execute(
        f"SELECT seq FROM (SELECT * FROM message ORDER BY seq LIMIT {_SWEPT_AT_ONCE})"  # noqa: S608 - constants
        f" WHERE updated_at < ? AND status NOT IN {_UNDER_WAY} AND lease_until IS NULL"
        " AND changed < (SELECT max(changed) FROM message)",
        (final_before,),
    ).fetchall()
    for table in ("message", "letter", "identity"):
        connection.executemany(f"DELETE FROM {table} WHERE seq = ?", rows)  # noqa: S608 - constants
    gone = connection.execute("DELETE FROM receipt WHERE NOT is_new AND received_at < ?", (receipts_before,))
    return len(rows) + gone.rowcount
