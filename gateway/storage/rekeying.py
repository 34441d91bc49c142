"""Everything sealed in a store, sealed anew under the first key, while other processes use the store.

Row by row, each replaced only if it is what was read; a few to a transaction. What has been done stays done, so after a
kill the next run goes on with the rest.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

import msgspec

from gateway.core.errors import CannotOpen, CannotStart, Unavailable

from .commits import Commits
from .journal import FileJournal
from .owners import Owners
from .reads import Reads
from .records import Records

_AT_ONCE: Final = 100
_MAX_WALKS: Final = 10
_TRY_AGAIN_S: Final = (0.2, 1.0, 3.0)

Row = tuple[Any, ...]


class Resealed(msgspec.Struct, frozen=True):
    """What became of the sealed things of one kind. `unopened`: no key opens them, and they are as they were.

    Not `is_settled`: while this went on, somebody sealed more and more under an older key.
    """

    kind: str
    resealed: int = 0
    unopened: int = 0
    is_settled: bool = True


class _Kind(msgspec.Struct, frozen=True):
    """One sealed column. `select` gives key, sealed thing, and what `reseal` also needs, from behind `:after` on."""

    name: str
    select: str
    update: str
    reseal: Callable[[Records, Row], bytes]


# The digest key first: from then on, no process without the first key opens the store.
_KINDS: Final = (
    _Kind(
        "digest-key",
        "SELECT name, value FROM meta WHERE name = 'digest-key' AND :after IS NULL AND substr(value, 1, 5) <> :head"
        " LIMIT :limit",
        "UPDATE meta SET value = ? WHERE name = ? AND value = ?",
        lambda records, row: records.reseal_digest_key(row[1]),
    ),
    _Kind(
        "grants",
        "SELECT account, body, version FROM credential WHERE (:after IS NULL OR account > :after)"
        " AND substr(body, 1, 5) <> :head ORDER BY account LIMIT :limit",
        "UPDATE credential SET body = ? WHERE account = ? AND body = ?",
        lambda records, row: records.reseal_grant(row[0], row[2], row[1]),
    ),
    _Kind(
        "logins",
        "SELECT account, body, state FROM login WHERE (:after IS NULL OR account > :after)"
        " AND substr(body, 1, 5) <> :head ORDER BY account LIMIT :limit",
        "UPDATE login SET body = ? WHERE account = ? AND body = ?",
        lambda records, row: records.reseal_login(row[0], row[2], row[1]),
    ),
    _Kind(
        "letters",
        "SELECT seq, letter.body, tracking_id FROM letter JOIN message USING (seq)"
        " WHERE letter.seq > ifnull(:after, -1) AND substr(letter.body, 1, 5) <> :head ORDER BY seq LIMIT :limit",
        "UPDATE letter SET body = ? WHERE seq = ? AND body = ?",
        lambda records, row: records.reseal_letter(row[2], row[1]),
    ),
    _Kind(
        "receipts",
        "SELECT id, body, account FROM receipt WHERE id > ifnull(:after, -1) AND substr(body, 1, 5) <> :head"
        " ORDER BY id LIMIT :limit",
        "UPDATE receipt SET body = ? WHERE id = ? AND body = ?",
        lambda records, row: records.reseal_receipt(row[2], row[1]),
    ),
    _Kind(
        "news",
        "SELECT id, body, account, key FROM news WHERE id > ifnull(:after, -1) AND substr(body, 1, 5) <> :head"
        " ORDER BY id LIMIT :limit",
        "UPDATE news SET body = ? WHERE id = ? AND body = ?",
        lambda records, row: records.reseal_news(row[2], row[3], row[1]),
    ),
    _Kind(
        "callbacks",
        "SELECT seq, body, id FROM callback WHERE seq > ifnull(:after, -1) AND substr(body, 1, 5) <> :head"
        " ORDER BY seq LIMIT :limit",
        "UPDATE callback SET body = ? WHERE seq = ? AND body = ?",
        lambda records, row: records.reseal_callback(row[2], row[1]),
    ),
)


def refuse_unless_all_seal_under(owners: Owners, key_id: str) -> None:
    """Every living process that uses the store seals under the key; raises CannotStart.

    One that does not have it could not read on, and one that has it only to open would go on sealing under another.
    """
    others = owners.sealing_otherwise(key_id)
    if others:
        pids = ", ".join(sorted(name.partition("-")[0] for name in others))
        raise CannotStart(
            f"a process that uses this store does not seal under the first of secrets.keys (process id {pids}): "
            "start it again with the new key first in its secrets.keys, then rekey"
        )


async def reseal_all(commits: Commits, reads: Reads, records: Records, journal: FileJournal) -> Sequence[Resealed]:
    """What became of each kind; raises Unavailable if the store or the disk gives up, and then the next run goes on."""
    rows = [await _Rekeying(commits, reads, records).everything(kind) for kind in _KINDS]
    try:
        resealed, unopened = await asyncio.to_thread(journal.reseal)
    except OSError as error:
        raise Unavailable("the answers beside the store cannot be sealed anew") from error
    return [*rows, Resealed("answers", resealed, unopened)]


class _Rekeying:
    """Walks through one kind after the other."""

    def __init__(self, commits: Commits, reads: Reads, records: Records) -> None:
        self._commits = commits
        self._reads = reads
        self._records = records

    async def everything(self, kind: _Kind) -> Resealed:
        """Walks until a walk finds nothing: others write, too, also behind us."""
        total = walks = unopened = 0
        is_settled = False
        while not is_settled and walks < _MAX_WALKS:
            found, resealed, unopened = await self._walk(kind)
            total += resealed
            walks += 1
            is_settled = found == unopened
        return Resealed(kind.name, total, unopened, is_settled=is_settled)

    async def _walk(self, kind: _Kind) -> tuple[int, int, int]:
        """How many were not under the first key, how many of them are now, and how many no key opens."""
        found = resealed = unopened = 0
        after = None
        while rows := await self._stale(kind, after):
            after = rows[-1][0]
            found += len(rows)
            newly = []
            for row in rows:
                try:
                    newly.append((kind.reseal(self._records, row), *row[:2]))
                except CannotOpen:
                    unopened += 1
            if newly:
                resealed += await self._replace(kind, newly)
        return found, resealed, unopened

    async def _stale(self, kind: _Kind, after: object) -> list[Row]:
        values = {"after": after, "head": self._records.head, "limit": _AT_ONCE}
        rows: list[Row] = await self._reads.run(lambda it: it.execute(kind.select, values).fetchall())
        return rows

    async def _replace(self, kind: _Kind, newly: Sequence[Row]) -> int:
        def change(connection: sqlite3.Connection) -> int:
            return sum(connection.execute(kind.update, each).rowcount for each in newly)

        begun = monotonic()
        count = await self._patiently(change)
        # As long again the store is the others': none of them shall wait for the whole of it.
        await asyncio.sleep(monotonic() - begun)
        return count

    async def _patiently(self, change: Callable[[sqlite3.Connection], int]) -> int:
        for pause in _TRY_AGAIN_S:
            try:
                return await self._commits.submit(change)
            except Unavailable:
                await asyncio.sleep(pause)
        return await self._commits.submit(change)
