"""What is known of every account's daily quota: from the answers to sends, and by asking now and then."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from .core.delivery import Quota
from .core.quota import KnownQuota, heard_from_a_send, left_today
from .core.schedule import next_day
from .core.silence import Unclear
from .ports import Clock, Observer, Oracle, TokenSource

_ASK_EVERY: Final = timedelta(minutes=5)
_ASK_AGAIN: Final = timedelta(seconds=30)
_AFTER_MIDNIGHT: Final = timedelta(seconds=5)  # the clocks of Zalo and of this machine need not agree
_LOOK_EVERY_S: Final = 1.0


class Quotas:
    """Knows the quota; never holds anything up, and knows nothing rather than what was true yesterday."""

    def __init__(
        self,
        oracle: Oracle,
        tokens: TokenSource,
        clock: Clock,
        observer: Observer,
        *,
        accounts: Collection[str],
    ) -> None:
        self._oracle = oracle
        self._tokens = tokens
        self._clock = clock
        self._observer = observer
        self._known: dict[str, KnownQuota] = {}
        self._ask_at: dict[str, datetime] = dict.fromkeys(accounts, clock())
        self._stopping = asyncio.Event()

    def known(self, account: str) -> KnownQuota | None:
        """What Zalo last told of the account's quota; None if it has not told yet."""
        return self._known.get(account)

    def remaining(self, account: str) -> int | None:
        """How many messages the account has left today; None if that is not known."""
        return left_today(self._known.get(account), self._clock())

    def heed(self, account: str, quota: Quota, now: datetime) -> None:
        """What the answer to a send says of the quota is known."""
        self._known[account] = heard_from_a_send(self._known.get(account), quota, now)

    def refresh(self, account: str) -> None:
        """The account's quota has changed at Zalo: it is asked for within a second."""
        self._ask_at[account] = self._clock()

    async def run(self) -> None:
        """Asks at once, then every five minutes, and when the Vietnamese day has changed, until `stop`."""
        while not self._stopping.is_set():
            try:
                await asyncio.gather(*(self._ask_if_due(account) for account in self._ask_at))
            except Exception as error:  # noqa: BLE001 - what is known must not grow old for one bad answer
                self._observer.fact("turn-failed", error=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._stopping.wait()

    def stop(self) -> None:
        """`run` ends."""
        self._stopping.set()

    async def _ask_if_due(self, account: str) -> None:
        now, token = self._clock(), self._tokens.usable(account)
        if now < self._ask_at[account] or token is None:
            return
        self._ask_at[account] = now + _ASK_AGAIN  # before the question: what changes meanwhile asks once more
        answer = await self._oracle.quota(token)
        self._observer.fact("quota", account=account, outcome=type(answer).__name__.lower())
        if isinstance(answer, Unclear):
            return
        told = self._clock()
        if next_day(now) == next_day(told):  # else it may be yesterday's
            self._known[account] = KnownQuota(answer.daily, answer.remaining, told)
            if self._ask_at[account] == now + _ASK_AGAIN:
                self._ask_at[account] = min(told + _ASK_EVERY, next_day(told) + _AFTER_MIDNIGHT)
