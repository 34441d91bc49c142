"""What is asked of the SQLite store: each function reads on the connection that it is given."""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from gateway.core.hold import Hold
from gateway.core.identity import Identity, TrackingId
from gateway.core.message import Message
from gateway.core.receipt import Receipt
from gateway.ports import Conflicting, Depth, Known, Page, Query

from .records import RANKS, check_feed_position, cursor_position, micros, moment, read_message

_LOOKED_THROUGH_AT_ONCE: Final = 10_000
_PRIORITIES: Final = {rank: priority for priority, rank in RANKS.items()}


def named(reader: sqlite3.Connection, identity: Identity) -> dict[str, tuple[str, bytes, bytes]]:
    """By each name that is known: its message's tracking_id, what the event said, and the message's body."""
    statement = "SELECT tracking_id, fingerprint, body FROM identity JOIN message USING (seq) WHERE name = ?"
    rows = {name: reader.execute(statement, (name,)).fetchone() for name in identity.names}
    return {name: row for name, row in rows.items() if row is not None}


def judge(found: dict[str, tuple[str, bytes, bytes]], fingerprint: bytes) -> Known | Conflicting | None:
    """What the known names make of an event that says `fingerprint`."""
    if not found:
        return None
    tracking_id, _, body = next(iter(found.values()))
    if any(owner != tracking_id or told != fingerprint for owner, told, _ in found.values()):
        return Conflicting(TrackingId(tracking_id))
    return Known(read_message(body))


def find(reader: sqlite3.Connection, query: Query, phone_digest: bytes | None) -> Page:
    """One page: newest accepted first, or with `updated_after` the feed, oldest change first."""
    where, values = _filters(query, phone_digest)
    position = cursor_position(query)
    if query.updated_after is not None:
        return _feed(reader, query.updated_after, position, where, values, query.limit)
    if position is not None:
        where.append("seq < ?")
        values.append(position)
    rows = _rows(reader, "seq", where, values, "seq DESC", query.limit)
    items = tuple(read_message(body) for _, body in rows[: query.limit])
    return Page(items, f"s{rows[query.limit - 1][0]}" if len(rows) > query.limit else None)


def _feed(
    reader: sqlite3.Connection,
    after: datetime,
    position: int | None,
    where: list[str],
    values: list[object],
    limit: int,
) -> Page:
    """What was changed behind `position`; without one, from the first change after that time on.

    In commit order: what was committed later is not left out because its own clock was a little behind.
    """
    newest = _newest(reader)
    check_feed_position(position, newest)
    if position is None:
        # The + keeps SQLite from walking through all changes for the smallest number.
        first = "SELECT min(+changed) FROM message WHERE updated_at > ?"
        (start,) = reader.execute(first, (micros(after),)).fetchone()
        position = newest if start is None else start - 1
    rows = _rows(reader, "changed", [*where, "changed > ?"], [*values, position], "changed", limit)
    items = tuple(read_message(body) for _, body in rows[:limit])
    # At the end, what the filters left out has been seen as well.
    end = rows[limit - 1][0] if len(rows) > limit else newest
    return Page(items, f"c{end}")


def _newest(reader: sqlite3.Connection) -> int:
    """The number of the newest change ever: no sweep takes its message away."""
    (changed,) = reader.execute("SELECT ifnull(max(changed), 0) FROM message").fetchone()
    return int(changed)


def _rows(
    reader: sqlite3.Connection, column: str, where: list[str], values: list[object], order: str, limit: int
) -> list[tuple[int, bytes]]:
    condition = " AND ".join(where) or "TRUE"
    return reader.execute(
        f"SELECT {column}, body FROM message WHERE {condition} ORDER BY {order} LIMIT ?",  # noqa: S608 - no input in it
        (*values, limit + 1),
    ).fetchall()


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


def matching(
    reader: sqlite3.Connection, query: Query, statuses: Collection[str], phone_digest: bytes | None, after: int
) -> tuple[list[TrackingId], int | None]:
    """What the filters leave of the next stretch behind `after`, oldest accepted first; and where that ends, None at the end."""
    (first,) = reader.execute("SELECT min(seq) FROM message WHERE seq > ?", (after,)).fetchone()
    if first is None:
        return [], None
    end = first + _LOOKED_THROUGH_AT_ONCE
    where, values = _filters(query, phone_digest)
    if query.updated_after is not None:
        where.append("updated_at > ?")
        values.append(micros(query.updated_after))
    where += ["seq BETWEEN ? AND ?", f"status IN ({', '.join('?' * len(statuses))})"]
    rows = reader.execute(
        f"SELECT tracking_id FROM message WHERE {' AND '.join(where)} ORDER BY seq",  # noqa: S608 - no input in it
        (*values, first, end, *statuses),
    )
    return [TrackingId(tracking_id) for (tracking_id,) in rows], end


def due(reader: sqlite3.Connection, account: str, now: int, held: Collection[Hold], limit: int) -> list[Message]:
    """The account's queued messages whose time has come, but for those that a hold covers."""
    where = ["account = ?", "due_at <= ?"]
    values: list[object] = [account, now]
    for hold in held:
        covered, held_values = _covered(hold)
        where.append(f"NOT ({covered})")
        values.extend(held_values)
    return _first_due(reader, where, values, limit)


def _first_due(reader: sqlite3.Connection, where: list[str], values: list[object], limit: int) -> list[Message]:
    # One question a rank: so the index stops at `now`, where a single one would pass by all that is to come.
    found: list[Message] = []
    for rank in _PRIORITIES:
        found += _messages(
            reader, [*where, "rank = ?"], [*values, rank], "due_at, accepted_at, seq", limit - len(found)
        )
    return found


def overdue(reader: sqlite3.Connection, now: int, limit: int, under: Hold | None) -> list[Message]:
    """Queued messages whose expiry has come, all or those that a hold covers."""
    where: list[str] = ["due_at IS NOT NULL", "expires_at <= ?"]
    values: list[object] = [now]
    if under is not None:
        covered, held_values = _covered(under)
        where.append(covered)
        values.extend(held_values)
    return _messages(reader, where, values, "expires_at, seq", limit)


def stalled(reader: sqlite3.Connection, now: int, is_dead: Callable[[str], bool], limit: int) -> list[Message]:
    """Messages with an open attempt whose lease has lapsed or whose owner is dead."""
    owners = reader.execute("SELECT DISTINCT owner FROM message WHERE lease_until IS NOT NULL").fetchall()
    dead = [owner for (owner,) in owners if is_dead(owner)]
    gone = f"owner IN ({', '.join('?' * len(dead))})" if dead else "FALSE"
    where = ["lease_until IS NOT NULL", f"(lease_until <= ? OR {gone})"]
    return _messages(reader, where, [now, *dead], "lease_until, seq", limit)


def silent(reader: sqlite3.Connection, account: str, now: int, limit: int) -> list[Message]:
    """The account's messages that are to be asked about."""
    return _messages(reader, ["account = ?", "ask_at <= ?"], [account, now], "ask_at, seq", limit)


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
        "SELECT account, rank, count(*), min(accepted_at) FROM message WHERE due_at IS NOT NULL GROUP BY account, rank"
    )
    return [Depth(account, _PRIORITIES[rank], count, moment(oldest)) for account, rank, count, oldest in rows]


def new_receipts(reader: sqlite3.Connection, limit: int) -> list[tuple[Any, ...]]:
    """The rows of the receipts that have not been worked on."""
    return reader.execute(
        "SELECT id, account, received_at, tracking_id, msg_id, delivered_at, body"
        " FROM receipt WHERE is_new ORDER BY id LIMIT ?",
        (limit,),
    ).fetchall()


def receipt(tracking_id: str | None, msg_id: str | None, delivered_at: int | None) -> Receipt:
    """The Receipt in these columns."""
    return Receipt(msg_id, tracking_id, None if delivered_at is None else moment(delivered_at))


def match(reader: sqlite3.Connection, account: str, tracking_id: str | None, msg_id: str | None) -> Message | None:
    """The account's message of that tracking_id, else of that msg_id."""
    for named in _messages(reader, ["tracking_id = ?"], [tracking_id], "seq", 1):
        if named.is_of(account):
            return named
    return next(iter(_messages(reader, ["account = ?", "msg_id = ?"], [account, msg_id], "seq", 1)), None)
