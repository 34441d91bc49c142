"""Where messages, grants and receipts are kept: one contract, its keepers.

`open_store` gives the keeper that a URL names. A store is marked live or simulated at its first use, and holds a
random key of its own, sealed, under which phone numbers and events are digested. Only this room speaks sqlite3.
"""

import os
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from gateway.core.errors import CannotOpen, CannotStart

from . import growing
from .commits import Commits, connect
from .journal import FileJournal
from .memory import MemoryStore
from .memory_journal import MemoryJournal
from .owners import Owners
from .places import Names, is_there
from .private import create, make_folder
from .reads import Reads
from .records import DIGEST_LABEL, MAX_ORPHANS, Records
from .rekeying import Resealed
from .sealing import KEY_BYTES, Digests, KeyRing
from .sqlite import SqliteStore

__all__ = [
    "FileJournal",
    "KeyRing",
    "MemoryJournal",
    "MemoryStore",
    "Resealed",
    "SqliteStore",
    "has_store",
    "kind_of",
    "open_store",
]

_KEEPERS_TO_COME: Final = ("redis", "rediss", "redis+sentinel", "redis+cluster")


async def open_store(
    url: str,
    keys: Sequence[bytes],
    *,
    is_simulated: bool,
    told: Collection[str] = (),
    serves: bool = False,
    max_orphans: int = MAX_ORPHANS,
) -> SqliteStore:
    """The store at `url`, made if it is not there; raises CannotStart with the cure.

    `told` are the callers that have a callback: theirs is stored with every change of a message's status. A process
    that `serves` is known to the others as a gateway.
    """
    path = _path(url)
    ring = KeyRing(keys)
    is_new = not is_there(path)
    with ExitStack() as opened:
        try:
            make_folder(path.parent)
            if is_new:
                # Its other files get the mode of this one. What is wrong SQLite says better.
                with suppress(OSError):
                    os.close(create(path, 0))
            writer = opened.enter_context(closing(connect(path, is_writer=True)))
            records = _prepare(writer, ring, is_simulated=is_simulated)
            lookups, lists = (opened.enter_context(closing(connect(path, is_writer=False))) for _ in range(2))
            names = Names(path)
            owners = Owners(path.with_name(path.name + ".owners"), ring.key_ids, serves=serves)
        except sqlite3.Error as error:
            raise CannotStart(f"the store {path} cannot be used: {error}") from error
        except OSError as error:
            raise CannotStart(
                f"the folder of the store, {path.parent}, cannot be used: {error.strerror}"
            ) from error
        opened.pop_all()  # whoever reads and writes on them closes them
    return SqliteStore(
        Commits(writer, names, "store-write"),
        Reads(lookups, "store-read"),
        Reads(lists, "store-list"),
        records,
        owners,
        FileJournal(path.with_name(path.name + ".answers"), ring),
        told=told,
        max_orphans=max_orphans,
    )


def kind_of(url: str) -> str | None:
    """What the store was marked as at its first use, "live" or "simulated"; None if there is no store yet.

    Raises CannotStart where only the log of one is left.
    """
    path = _path(url)
    if not is_there(path):
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT value FROM meta WHERE name = 'kind'").fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else bytes(row[0]).decode()


def has_store(url: str) -> bool:
    """True if something lies where the store is to be; raises CannotStart where only the log of one is left."""
    return is_there(_path(url))


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
    path = unquote(parts.path[1:])
    if path == ":memory:":
        raise CannotStart("what is in memory only is no store: put it in a file on a local disk")
    return Path(path)


def _prepare(writer: sqlite3.Connection, ring: KeyRing, *, is_simulated: bool) -> Records:
    """The tables are there, the store is of the right kind, and its own key opens."""
    kind = b"simulated" if is_simulated else b"live"
    if writer.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
        sealed = ring.seal(DIGEST_LABEL, os.urandom(KEY_BYTES))
        growing.make(writer, {"kind": kind, "digest-key": sealed})
    meta = {name: bytes(value) for name, value in writer.execute("SELECT name, value FROM meta")}
    if meta.get("schema") not in (growing.VERSION, *growing.OLDER):
        raise CannotStart(
            "the store was made by another version of the gateway; use that version, or another store.url"
        )
    if meta["kind"] != kind:
        raise CannotStart(
            f"the store is {meta['kind'].decode()} and this gateway is {kind.decode()}: real and simulated messages "
            "are never mixed; use another store.url"
        )
    try:
        records = Records(ring, Digests(ring.open(DIGEST_LABEL, meta["digest-key"])))
    except CannotOpen as error:
        raise CannotStart(
            "secrets.keys does not open this store: put the key back that it was made with"
        ) from error
    if meta["schema"] != growing.VERSION:
        growing.grow(writer, records)
    return records
