"""The tables of a store: made at its first use, or grown from those of an older version.

Each in one transaction under the write lock: as a whole or not at all, and whoever comes second finds it done.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gateway.core.errors import CannotOpen

from .records import Records

VERSION: Final = b"4"
OLDER: Final = (b"2", b"3")
"""The versions that grow by themselves. 2 lacks tables of 3, and its grants are written otherwise."""

_SCHEMA: Final = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
# Webhook events that were no receipts changed nothing; from version 4 on they are news.
_BEFORE: Final = """
DELETE FROM receipt WHERE tracking_id IS NULL AND msg_id IS NULL;
ALTER TABLE receipt DROP COLUMN name;
ALTER TABLE message ADD COLUMN ask_at INTEGER;
"""
# Two hours, as for a template whose time limit is not known, and the minute that a receipt may be late.
_AFTER: Final = "UPDATE message SET ask_at = updated_at + 7260000000 WHERE status = 'sent';"


def make(writer: sqlite3.Connection, marks: Mapping[str, bytes]) -> None:
    """The tables and the store's marks are there; those of another process if it came first."""
    with _transaction(writer):
        _run(writer, _SCHEMA)
        writer.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", {**marks, "schema": VERSION}.items())


def grow(writer: sqlite3.Connection, records: Records) -> None:
    """A store of an older version is one of this version."""
    with _transaction(writer):
        (version,) = writer.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
        if version == VERSION:
            return
        _run(writer, _BEFORE + _SCHEMA + _AFTER)
        if version == b"2":
            _reseal_grants(writer, records)
        writer.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (VERSION,))


def _reseal_grants(writer: sqlite3.Connection, records: Records) -> None:
    for account, version, sealed in writer.execute("SELECT account, version, body FROM credential").fetchall():
        with suppress(CannotOpen):  # whoever asks for it is told; it may open once its key is back
            newly = records.reseal_grant(account, version, sealed)
            writer.execute("UPDATE credential SET body = ? WHERE account = ?", (newly, account))


@contextmanager
def _transaction(writer: sqlite3.Connection) -> Iterator[None]:
    writer.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        writer.execute("ROLLBACK")
        raise
    writer.execute("COMMIT")


def _run(writer: sqlite3.Connection, script: str) -> None:
    # Not executescript, which commits what was begun before it.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            writer.execute(statement)
            statement = ""
