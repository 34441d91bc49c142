"""What Zalo's webhook says is stored, answered, and then worked on: a Receipt finds its Message, News are passed on."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import timedelta
from typing import Final

from .core.callback import of_news
from .core.errors import Unavailable
from .core.message import Message, has_heard_enough, received
from .core.news import News
from .core.receipt import Receipt
from .ports import Clock, Judge, KeptReceipt, Ledger, Observer, Probe, Signed, Tell

_LOOK_EVERY_S: Final = 1.0
_AT_ONCE: Final = 200
KEPT_FOR: Final = timedelta(hours=72)

Hear = Callable[[str, News], None]
"""Is told of an account's news, once it is stored."""


class Receipts:
    """Takes webhook calls, and matches what they say with messages."""

    def __init__(
        self,
        ledger: Ledger,
        judge: Judge,
        tell: Tell,
        clock: Clock,
        observer: Observer,
        *,
        operators: Collection[str],
        hear: Hear,
    ) -> None:
        self._ledger = ledger
        self._judge = judge
        self._tell = tell
        self._clock = clock
        self._observer = observer
        self._operators = operators
        self._hear = hear
        self._wake = asyncio.Event()
        self._is_stopping = False

    async def take(self, account: str, signature: bytes | None, server: bytes | None, body: bytes) -> bool:
        """True once a rightly signed event is stored (or Zalo's empty probe was recognised); False for a forged one."""
        verdict = self._judge(account, signature, server, body)
        if isinstance(verdict, Signed):
            await self._keep(verdict.account, verdict.said, body)
        self._observer.fact("webhook", account=account, verdict=verdict)
        return isinstance(verdict, Signed | Probe)

    async def _keep(self, account: str, said: Receipt | News, body: bytes) -> None:
        now = self._clock()
        if isinstance(said, Receipt):
            await self._ledger.keep_receipt(account, now, said, body)
            self._wake.set()
            return
        callbacks = of_news(self._operators, account, said, now)
        if await self._ledger.keep_news(account, now, said, body, callbacks):
            self._observer.fact("news", account=account, news=said)
            self._hear(account, said)

    async def run(self) -> None:
        """Works on what was stored, until `stop`; what is left then is worked on after the next start."""
        while not self._is_stopping:
            self._wake.clear()
            try:
                is_more = await self._turn()
            except Unavailable as error:
                is_more = False
                self._observer.fact("store-unavailable", doing="receipts", cause=str(error.__cause__ or error))
            except Exception as error:  # noqa: BLE001 - one event that we cannot read must not stop the others
                is_more = False
                self._observer.fact("turn-failed", error=error)
            if not is_more:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._wake.wait()

    def stop(self) -> None:
        """`run` ends after what it is working on."""
        self._is_stopping = True
        self._wake.set()

    async def _turn(self) -> bool:
        """Everything that was new is worked on; True if there may be more."""
        batch = await self._ledger.receipts(_AT_ONCE)
        ends = await asyncio.gather(*(self._work_on(kept) for kept in batch), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end  # only now, so that one that went wrong takes no other with it
        return len(batch) == _AT_ONCE

    async def _work_on(self, kept: KeptReceipt) -> None:
        message, is_noted = await self._deliver(kept.account, kept.receipt)
        if message is not None and is_noted:
            self._observer.fact("receipt", message=message)
            self._tell(message)
        await self._ledger.settle_receipt(kept.id, is_matched=message is not None)

    async def _deliver(self, account: str, receipt: Receipt) -> tuple[Message | None, bool]:
        """The message that the receipt speaks of, if there is one; and whether the receipt is in it now."""
        while (message := await self._ledger.match(account, receipt)) is not None:
            if has_heard_enough(message):
                return message, False
            after = received(message, receipt, self._clock())
            if await self._ledger.save(after, expected=message.version):
                return after, True
        return None, False
