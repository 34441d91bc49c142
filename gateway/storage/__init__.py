"""Where messages, grants and receipts are kept: one contract, its keepers.

`open_store` gives the keeper that a URL names. A store is marked live or simulated at its first use, and holds a
random key of its own, sealed, under which phone numbers and events are digested. Only this room speaks sqlite3.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from gateway.core.errors import CannotStart

from .commits import Commits, connect
from .owners import Owners
from .records import Records
from .sealing import KEY_BYTES, CannotOpen, Digests, KeyRing
from .sqlite import SqliteStore

__all__ = ["KeyRing", "SqliteStore", "kind_of", "open_store"]

_SCHEMA: Final = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
_SCHEMA_VERSION: Final = b"1"
_DIGEST_LABEL: Final = "digest-key:"
_KEEPERS_TO_COME: Final = ("redis", "rediss", "redis+sentinel", "redis+cluster")


async def open_store(url: str, keys: Sequence[bytes], *, is_simulated: bool) -> SqliteStore:
    """The store at `url`, made if it is not there; raises CannotStart with the cure."""
    path = _path(url)
    ring = KeyRing(keys)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"the folder of the store, {path.parent}, cannot be made: {error.strerror}") from error
    writer = connect(path, is_writer=True)
    try:
        digests = _prepare(writer, ring, is_simulated=is_simulated)
    except sqlite3.Error as error:
        writer.close()
        raise CannotStart(f"the store {path} cannot be used: {error}") from error
    except CannotStart:
        writer.close()
        raise
    owners = Owners(path.with_name(path.name + ".owners"))
    commits = Commits(writer, "store-write")
    return SqliteStore(commits, connect(path, is_writer=False), Records(ring, digests), owners)


def kind_of(url: str) -> str | None:
    """"live" or "simulated" as the store was marked at its first use, or None if there is no store yet."""
    path = _path(url)
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT value FROM meta WHERE name = 'kind'").fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else bytes(row[0]).decode()


def _path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme in _KEEPERS_TO_COME:
        raise CannotStart(
            f"store.url = {parts.scheme}://…: this version keeps its messages in SQLite only; "
            'set store.url = "sqlite:///var/gateway.db"'
        )
    if parts.scheme != "sqlite" or parts.netloc or len(parts.path) < 2:
        raise CannotStart('store.url must look like "sqlite:///var/gateway.db" (relative) or "sqlite:////srv/gateway.db"')
    return Path(unquote(parts.path[1:]))


def _prepare(writer: sqlite3.Connection, ring: KeyRing, *, is_simulated: bool) -> Digests:
    """The tables are there, the store is of the right kind, and its own key opens."""
    writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
    writer.executescript(_SCHEMA)
    writer.execute("BEGIN IMMEDIATE")
    meta = {name: bytes(value) for name, value in writer.execute("SELECT name, value FROM meta")}
    kind = "simulated" if is_simulated else "live"
    if not meta:
        sealed = ring.seal(_DIGEST_LABEL, os.urandom(KEY_BYTES))
        meta = {"schema": _SCHEMA_VERSION, "kind": kind.encode(), "digest-key": sealed}
        writer.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
    writer.execute("COMMIT")
    if meta.get("schema") != _SCHEMA_VERSION:
        raise CannotStart("the store was made by another version of the gateway")
    if meta["kind"] != kind.encode():
        raise CannotStart(
            f"the store is {meta['kind'].decode()} and this gateway is {kind}: real and simulated messages are never "
            "mixed; use another store.url"
        )
    try:
        return Digests(ring.open(_DIGEST_LABEL, meta["digest-key"]))
    except CannotOpen as error:
        raise CannotStart("secrets.keys does not open this store: put the key back that it was made with") from error
