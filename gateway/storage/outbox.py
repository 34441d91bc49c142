"""Callbacks in the SQLite store, and what they tell operators of. Each function is a part of one transaction."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from gateway.core.hold import Hold
from gateway.core.news import News
from gateway.ports import Replay, Untold

from .records import micros, moment, read_hold, write_hold

Row = tuple[str, str, str, int, bytes]
"""A callback's id, caller, type and making, and what it says, sealed."""

_DUE: Final = "FROM callback WHERE caller = ? AND due_at <= ?"
_NEXT_CALLER: Final = "SELECT caller FROM callback WHERE due_at IS NOT NULL AND caller > ? ORDER BY caller LIMIT 1"


def put(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """The callbacks are due at once, but for those that were here before."""
    connection.executemany(
        "INSERT INTO callback (id, caller, type, made_at, since, due_at, body)"
        " VALUES (?1, ?2, ?3, ?4, ?4, ?4, ?5) ON CONFLICT (id) DO NOTHING",
        rows,
    )


def due_callers(reader: sqlite3.Connection, now: int) -> list[str]:
    """The callers of whom a callback is due: one step in the index for each that waits, however much that is."""
    found = []
    caller = ""
    while (row := reader.execute(_NEXT_CALLER, (caller,)).fetchone()) is not None:
        (caller,) = row
        if reader.execute(f"SELECT 1 {_DUE} LIMIT 1", (caller, now)).fetchone() is not None:
            found.append(caller)
    return found


def take(connection: sqlite3.Connection, caller: str, now: int, until: int, limit: int) -> list[tuple[Any, ...]]:
    """Id, type, when trying began, how many tries with this one, and the sealed body of what is due no more before `until`."""
    due = connection.execute(
        f"SELECT seq, id, type, since, tries, body {_DUE} ORDER BY due_at, since, seq LIMIT ?",
        (caller, now, limit),
    ).fetchall()
    # Its day begins with the first try: one that waited while nobody could try it is not given up at once.
    taken = [
        (seq, id_, type_, since if tries else now, tries + 1, body) for seq, id_, type_, since, tries, body in due
    ]
    connection.executemany(
        "UPDATE callback SET due_at = ?, since = ?, tries = ? WHERE seq = ?",
        [(until, since, tries, seq) for seq, _, _, since, tries, _ in taken],
    )
    return [row[1:] for row in taken]


def settle(connection: sqlite3.Connection, callback_id: str, taken_until: int, next_at: int | None) -> None:
    """The callback is due then or never, unless it has ended, was taken by another since, or is to be told anew."""
    connection.execute(
        "UPDATE callback SET due_at = ? WHERE id = ? AND due_at = ?", (next_at, callback_id, taken_until)
    )


def meant(reader: sqlite3.Connection, replay: Replay) -> list[int]:
    """The numbers of the callbacks that are to be told again."""
    asked: list[tuple[str, object]] = [
        ("caller = ?", replay.caller),
        ("made_at >= ?", None if replay.since is None else micros(replay.since)),
        ("made_at < ?", None if replay.until is None else micros(replay.until)),
    ]
    limits = [(condition, value) for condition, value in asked if value is not None]
    statement = f"SELECT seq FROM callback WHERE {' AND '.join(it for it, _ in limits) or 'TRUE'}"  # noqa: S608 - constants
    values = [value for _, value in limits]
    if not replay.ids:
        return [seq for (seq,) in reader.execute(statement, values)]
    named = [reader.execute(f"{statement} AND id = ?", (*values, id_)).fetchone() for id_ in set(replay.ids)]
    return [row[0] for row in named if row is not None]


def renew(connection: sqlite3.Connection, numbers: Sequence[int], now: int) -> int:
    """These callbacks are due, as if never tried; how many are still there."""
    return connection.executemany(
        "UPDATE callback SET tries = 0, since = ?, due_at = ? WHERE seq = ?", [(now, now, seq) for seq in numbers]
    ).rowcount


def untold(reader: sqlite3.Connection) -> list[Untold]:
    """How much waits, by caller."""
    rows = reader.execute(
        "SELECT caller, count(*), min(since) FROM callback WHERE due_at IS NOT NULL GROUP BY caller"
    )
    return [Untold(caller, count, moment(oldest)) for caller, count, oldest in rows]


def note_pause(
    connection: sqlite3.Connection, account: str, hold: Hold | None, before: Hold | None, rows: Sequence[Row]
) -> bool:
    """Operators were told of this pause last, or of none, and will be told so; False if they were not told of `before`."""
    found = connection.execute("SELECT body FROM told_pause WHERE account = ?", (account,)).fetchone()
    if (None if found is None else read_hold(found[0])) != before:
        return False
    if hold is None:
        connection.execute("DELETE FROM told_pause WHERE account = ?", (account,))
    else:
        connection.execute("INSERT OR REPLACE INTO told_pause VALUES (?, ?)", (account, write_hold(hold)))
    put(connection, rows)
    return True


def keep_news(
    connection: sqlite3.Connection, account: str, received_at: int, news: News, sealed: bytes, rows: Sequence[Row]
) -> bool:
    """The news is stored, and operators will be told; False if it was here before."""
    is_new = connection.execute(
        "INSERT INTO news (account, key, kind, received_at, body) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (account, key) DO NOTHING",
        (account, news.key, news.kind.value, received_at, sealed),
    ).rowcount
    if is_new:
        put(connection, rows)
    return bool(is_new)


def news(reader: sqlite3.Connection, limit: int) -> list[tuple[Any, ...]]:
    """Account, time, key and sealed body of what Zalo told last, but for what changes nothing here."""
    return reader.execute(
        "SELECT account, received_at, key, body FROM news WHERE kind <> 'other' ORDER BY id DESC LIMIT ?", (limit,)
    ).fetchall()
