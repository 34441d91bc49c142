"""The callbacks on SQLite, and what they tell operators of: the part of the SqliteStore that is about telling."""
# ruff: noqa: D102 - what each operation promises is said once, in gateway/ports

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Final

from gateway.core.callback import Callback
from gateway.core.errors import CannotOpen
from gateway.core.hold import Hold
from gateway.core.news import News
from gateway.ports import KeptNews, Replay, Untold

from . import outbox
from .commits import Commits
from .reads import Reads
from .records import Records, micros, moment, read_hold

_REPLAYED_AT_ONCE: Final = 500


class SqliteOutbox:
    """Keeps the callbacks, the news, and which pauses operators were told of."""

    def __init__(self, commits: Commits, lookups: Reads, lists: Reads, records: Records) -> None:
        self._commits = commits
        self._lookups = lookups
        self._lists = lists
        self._records = records

    async def due_callers(self, now: datetime) -> Collection[str]:
        return await self._lookups.run(lambda it: outbox.due_callers(it, micros(now)))

    async def take_callbacks(
        self, caller: str, now: datetime, *, until: datetime, limit: int
    ) -> Sequence[Callback]:
        rows = await self._commits.submit(lambda it: outbox.take(it, caller, micros(now), micros(until), limit))
        taken = []
        for id_, type_, since, tries, sealed in rows:
            with suppress(CannotOpen):  # it keeps back no other, and is told once its key is here again
                body = self._records.open_callback(id_, sealed)
                taken.append(Callback(id_, caller, type_, moment(since), body, tries))
        return taken

    async def settle_callback(self, callback_id: str, *, taken_until: datetime, next_at: datetime | None) -> None:
        due_at = None if next_at is None else micros(next_at)
        await self._commits.submit(lambda it: outbox.settle(it, callback_id, micros(taken_until), due_at))

    async def replay_callbacks(self, replay: Replay, now: datetime) -> int:
        numbers = await self._lists.run(lambda it: outbox.meant(it, replay))
        total = 0
        # Bit by bit, so that no promise waits for the whole of it.
        for start in range(0, len(numbers), _REPLAYED_AT_ONCE):
            bit = numbers[start : start + _REPLAYED_AT_ONCE]
            total += await self._commits.submit(partial(outbox.renew, numbers=bit, now=micros(now)))
        return total

    async def untold(self) -> Sequence[Untold]:
        return await self._lists.run(outbox.untold)

    async def pauses(self) -> Mapping[str, Hold]:
        statement = "SELECT account, body FROM told_pause ORDER BY account"
        rows = await self._lookups.run(lambda it: it.execute(statement).fetchall())
        return {account: read_hold(body) for account, body in rows}

    async def note_pause(
        self, account: str, hold: Hold | None, *, before: Hold | None, callbacks: Sequence[Callback]
    ) -> bool:
        rows = self._rows(callbacks)
        return await self._commits.submit(lambda it: outbox.note_pause(it, account, hold, before, rows))

    async def keep_news(
        self, account: str, received_at: datetime, news: News, body: bytes, callbacks: Sequence[Callback]
    ) -> bool:
        sealed = self._records.seal_news(account, news, body)
        rows = self._rows(callbacks)
        return await self._commits.submit(
            lambda it: outbox.keep_news(it, account, micros(received_at), news, sealed, rows)
        )

    async def news(self, limit: int) -> Sequence[KeptNews]:
        rows = await self._lists.run(lambda it: outbox.news(it, limit))
        told = []
        for account, received_at, key, sealed in rows:
            with suppress(CannotOpen):  # as above
                told.append(KeptNews(account, moment(received_at), self._records.open_news(account, key, sealed)))
        return told

    def _rows(self, callbacks: Iterable[Callback]) -> list[outbox.Row]:
        return [
            (it.id, it.caller, it.type, micros(it.since), self._records.seal_callback(it.id, it.body))
            for it in callbacks
        ]
