"""The callbacks in plain dictionaries, and what they tell operators of: the part of the MemoryStore about telling."""
# ruff: noqa: D102 - what each operation promises is said once, in gateway/ports

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from gateway.core.callback import Callback, of_message
from gateway.core.hold import Hold
from gateway.core.message import Message
from gateway.core.news import Kind, News
from gateway.ports import KeptNews, Replay, Untold

from .memory_keeper import MemoryKeeper
from .records import MAX_OTHERS


class _Kept(msgspec.Struct):
    """One callback: `due_at` is None once it was taken or is given up."""

    callback: Callback
    made_at: datetime
    due_at: datetime | None


class MemoryOutbox(MemoryKeeper):
    """Keeps the callbacks, the news, and which pauses operators were told of, as long as the process lives."""

    def __init__(self, told: Collection[str]) -> None:
        self._told = told
        self._callbacks: dict[str, _Kept] = {}
        self._pauses: dict[str, Hold] = {}
        self._news: dict[tuple[str, str], KeptNews] = {}

    async def due_callers(self, now: datetime) -> Collection[str]:
        self._check()
        return {
            kept.callback.caller
            for kept in self._callbacks.values()
            if kept.due_at is not None and kept.due_at <= now
        }

    async def take_callbacks(
        self, caller: str, now: datetime, *, until: datetime, limit: int
    ) -> Sequence[Callback]:
        self._check()
        waiting = [
            (kept.due_at, kept.callback.since, kept)
            for kept in self._callbacks.values()
            if kept.callback.caller == caller and kept.due_at is not None and kept.due_at <= now
        ]
        taken = [kept for *_, kept in sorted(waiting, key=lambda it: it[:2])[:limit]]
        for kept in taken:
            since = kept.callback.since if kept.callback.tries else now
            kept.callback = msgspec.structs.replace(kept.callback, since=since, tries=kept.callback.tries + 1)
            kept.due_at = until
        return [kept.callback for kept in taken]

    async def settle_callback(self, callback_id: str, *, taken_until: datetime, next_at: datetime | None) -> None:
        self._check()
        kept = self._callbacks.get(callback_id)
        if kept is not None and kept.due_at == taken_until:
            kept.due_at = next_at

    async def replay_callbacks(self, replay: Replay, now: datetime) -> int:
        self._check()
        meant = [kept for kept in self._callbacks.values() if _is_meant(kept, replay)]
        for kept in meant:
            kept.callback = msgspec.structs.replace(kept.callback, since=now, tries=0)
            kept.due_at = now
        return len(meant)

    async def untold(self) -> Sequence[Untold]:
        self._check()
        waiting: dict[str, list[datetime]] = {}
        for kept in self._callbacks.values():
            if kept.due_at is not None:
                waiting.setdefault(kept.callback.caller, []).append(kept.callback.since)
        return [Untold(caller, len(times), min(times)) for caller, times in sorted(waiting.items())]

    async def pauses(self) -> Mapping[str, Hold]:
        self._check()
        return dict(self._pauses)

    async def note_pause(
        self, account: str, hold: Hold | None, *, before: Hold | None, callbacks: Sequence[Callback]
    ) -> bool:
        self._check()
        if self._pauses.get(account) != before:
            return False
        self._pauses.pop(account, None)
        if hold is not None:
            self._pauses[account] = hold
        self._put(callbacks)
        return True

    async def keep_news(
        self,
        account: str,
        received_at: datetime,
        news: News,
        body: bytes,  # noqa: ARG002 - nobody can ask for it here
        callbacks: Sequence[Callback],
    ) -> bool:
        self._check()
        if (account, news.key) in self._news:
            return False
        self._news[account, news.key] = KeptNews(account, received_at, news)
        self._put(callbacks)
        return True

    async def news(self, limit: int) -> Sequence[KeptNews]:
        self._check()
        return [kept for kept in reversed(self._news.values()) if kept.news.kind is not Kind.OTHER][:limit]

    def _announce(self, message: Message, before: str | None) -> None:
        """The message's caller will be told that its status was `before` and is another one now."""
        if message.caller not in self._told or message.state.status == before:
            return
        callback = of_message(message)
        self._put([] if callback is None else [callback])

    def _put(self, callbacks: Iterable[Callback]) -> None:
        for callback in callbacks:
            self._callbacks.setdefault(callback.id, _Kept(callback, callback.since, callback.since))

    def _sweep_outbox(self, final_before: datetime, others_before: datetime) -> int:
        """Callbacks and news that have outlived their retention are gone; how many that were."""
        count = len(self._callbacks) + len(self._news)
        self._callbacks = {id_: it for id_, it in self._callbacks.items() if it.made_at >= final_before}
        self._news = {key: it for key, it in self._news.items() if it.received_at >= final_before}
        others: dict[str, list[KeptNews]] = {}
        for kept in self._news.values():
            if kept.news.kind is Kind.OTHER:
                others.setdefault(kept.account, []).append(kept)
        for own in others.values():
            excess = len(own) - MAX_OTHERS
            for number, kept in enumerate(own):
                if number < excess or kept.received_at < others_before:
                    del self._news[kept.account, kept.news.key]
        return count - len(self._callbacks) - len(self._news)


def _is_meant(kept: _Kept, replay: Replay) -> bool:
    return (
        replay.caller in (None, kept.callback.caller)
        and (not replay.ids or kept.callback.id in replay.ids)
        and (replay.since is None or replay.since <= kept.made_at)
        and (replay.until is None or kept.made_at < replay.until)
    )
