"""Where messages, grants and receipts are kept: one contract, its keepers.

`open_store` gives the keeper that a URL names. A store is marked live or simulated at its first use, and holds a
random key of its own, sealed, under which phone numbers and events are digested. Only this room speaks sqlite3.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from gateway.core.errors import CannotOpen, CannotStart

from .commits import Commits, connect
from .memory import MemoryStore
from .owners import Owners
from .reads import Reads
from .records import MAX_ORPHANS, Records
from .sealing import KEY_BYTES, Digests, KeyRing
from .sqlite import SqliteStore

__all__ = ["KeyRing", "MemoryStore", "SqliteStore", "kind_of", "open_store"]

_SCHEMA: Final = (Path(__file__).parent / "schema.sql").read_text(encoding="utf-8")
_SCHEMA_VERSION: Final = b"2"
_DIGEST_LABEL: Final = "digest-key:"
_KEEPERS_TO_COME: Final = ("redis", "rediss", "redis+sentinel", "redis+cluster")


async def open_store(
    url: str, keys: Sequence[bytes], *, is_simulated: bool, max_orphans: int = MAX_ORPHANS
) -> SqliteStore:
    """The store at `url`, made if it is not there; raises CannotStart with the cure."""
    path = _path(url)
    ring = KeyRing(keys)
    with ExitStack() as opened:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = opened.enter_context(closing(connect(path, is_writer=True)))
            digests = _prepare(writer, ring, is_simulated=is_simulated)
            lookups, lists = (opened.enter_context(closing(connect(path, is_writer=False))) for _ in range(2))
            owners = Owners(path.with_name(path.name + ".owners"))
        except sqlite3.Error as error:
            raise CannotStart(f"the store {path} cannot be used: {error}") from error
        except OSError as error:
            raise CannotStart(
                f"the folder of the store, {path.parent}, cannot be used: {error.strerror}"
            ) from error
        opened.pop_all()  # whoever reads and writes on them closes them
    return SqliteStore(
        Commits(writer, "store-write"),
        Reads(lookups, "store-read"),
        Reads(lists, "store-list"),
        Records(ring, digests),
        owners,
        max_orphans=max_orphans,
    )


def kind_of(url: str) -> str | None:
    """What the store was marked as at its first use, "live" or "simulated"; None if there is no store yet."""
    path = _path(url)
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
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
    if parts.scheme != "sqlite" or parts.netloc or parts.query or parts.fragment or len(parts.path) < 2:
        raise CannotStart(
            'store.url must look like "sqlite:///var/gateway.db" (relative) or "sqlite:////srv/gateway.db"'
        )
    return Path(unquote(parts.path[1:]))


def _prepare(writer: sqlite3.Connection, ring: KeyRing, *, is_simulated: bool) -> Digests:
    """The tables are there, the store is of the right kind, and its own key opens.

    One transaction: a store that is killed while it is being made is not there yet.
    """
    kind = b"simulated" if is_simulated else b"live"
    if writer.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
        # Another process may be doing the same: the first to come makes it.
        writer.executescript(f"BEGIN IMMEDIATE;\n{_SCHEMA}")
        sealed = ring.seal(_DIGEST_LABEL, os.urandom(KEY_BYTES))
        marks = {"schema": _SCHEMA_VERSION, "kind": kind, "digest-key": sealed}
        writer.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", marks.items())
        writer.execute("COMMIT")
    meta = {name: bytes(value) for name, value in writer.execute("SELECT name, value FROM meta")}
    if meta.get("schema") != _SCHEMA_VERSION:
        raise CannotStart(
            "the store was made by another version of the gateway; use that version, or another store.url"
        )
    if meta["kind"] != kind:
        raise CannotStart(
            f"the store is {meta['kind'].decode()} and this gateway is {kind.decode()}: real and simulated messages "
            "are never mixed; use another store.url"
        )
    try:
        return Digests(ring.open(_DIGEST_LABEL, meta["digest-key"]))
    except CannotOpen as error:
        raise CannotStart(
            "secrets.keys does not open this store: put the key back that it was made with"
        ) from error
