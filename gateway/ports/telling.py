"""The Outbox: what callers and operators are told, and where."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from gateway.core.callback import Callback
from gateway.core.news import News


class KeptNews(msgspec.Struct, frozen=True):
    """One piece of news, and when it came."""

    account: str
    received_at: datetime
    news: News


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Which callbacks are to be posted again: those with these ids, or those made in this time; of all callers if None."""

    caller: str | None
    ids: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


class Untold(msgspec.Struct, frozen=True):
    """How many callbacks a caller has not yet got, and since when the oldest waits."""

    caller: str
    count: int
    oldest: datetime


class Outbox(Protocol):
    """The callbacks. Each is stored with the change that it tells of, and kept as long as a message, to be replayed."""

    async def due_callers(self, now: datetime) -> Collection[str]:
        """The callers of whom a callback is due. As cheap with a hundred thousand waiting as with one."""

    async def take_callbacks(
        self, caller: str, now: datetime, *, until: datetime, limit: int
    ) -> Sequence[Callback]:
        """The caller's callbacks that are due, the longest due first, with this try counted; nobody else gets them before `until`."""

    async def settle_callback(self, callback_id: str, *, taken_until: datetime, next_at: datetime | None) -> None:
        """The callback is tried again then; never, if None: it was taken, or is given up.

        Nothing changes for who has it no more: it was taken anew since, or is to be told once more.
        """

    async def replay_callbacks(self, replay: Replay, now: datetime) -> int:
        """The callbacks that are meant are due now, as if they had never been tried; how many those are."""

    async def untold(self) -> Sequence[Untold]:
        """How much waits for each caller."""


class Called(msgspec.Struct, frozen=True):
    """How one call of a caller's endpoint ended: `status` is None if there was no answer; then `cause` says why."""

    status: int | None
    cause: str = ""
    retry_after_s: int | None = None  # what the answer asked for; also where it gave a date


class Endpoint(Protocol):
    """Where callers are told; each has one URL."""

    async def call(self, callback: Callback, now: datetime) -> Called:
        """The callback was posted once; never raises for anything that the other side or the network does."""
