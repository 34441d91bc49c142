"""Who waits for what becomes of a message: the callers of `POST /v1/events`."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from .core.errors import Unavailable
from .core.hold import Hold
from .core.message import Message
from .ports import Clock, Ledger

# Another process may be the one that sends: then its word is found in the Ledger.
_LOOK_EVERY_S: Final = 0.5


def _give_up(waiter: "asyncio.Future[Message | None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


Held = Callable[[Message, datetime], Hold | None]
"""What holds the message at that time."""


class Waiting:
    """Wakes those who wait for a message when it has changed."""

    def __init__(self, ledger: Ledger, clock: Clock, held: Held) -> None:
        self._ledger = ledger
        self._clock = clock
        self._held = held
        self._waiters: dict[str, set[asyncio.Future[Message | None]]] = {}
        self._is_closed = False

    def close(self) -> None:
        """Nobody waits any more: each is answered with what is known."""
        self._is_closed = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                _give_up(waiter)

    def tell(self, message: Message) -> None:
        """Everyone who waits for this message has it as it is now."""
        for waiter in self._waiters.pop(message.tracking_id, ()):
            if not waiter.done():
                waiter.set_result(message)

    async def outcome(self, message: Message, patience: timedelta) -> Message:
        """The message as it stands when nothing more is to be expected within `patience`, or when that is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + patience.total_seconds()
        while not self._is_closed and (left := end - loop.time()) > 0 and self._is_worth_waiting(message, left):
            changed: asyncio.Future[Message | None] = loop.create_future()
            self._waiters.setdefault(message.tracking_id, set()).add(changed)
            look = loop.call_later(min(left, _LOOK_EVERY_S), _give_up, changed)
            try:
                told = await changed
            finally:
                look.cancel()
                self._forget(message.tracking_id, changed)
            message = told or await self._looked_up(message)
        return message

    async def _looked_up(self, message: Message) -> Message:
        """The message as the Ledger has it; while that cannot be asked, as it was last known."""
        with suppress(Unavailable):
            return await self._ledger.load(message.tracking_id) or message
        return message

    def _is_worth_waiting(self, message: Message, left_s: float) -> bool:
        if message.state.is_sending:
            return True
        if not message.state.is_waiting:
            return False
        if (hold := self._held(message, self._clock())) is not None:
            # As it is now, and not as it was when the message began to wait: a refresh may have come to nothing.
            return hold.until is not None and hold.until <= self._clock() + timedelta(seconds=left_s)
        # What nothing holds and no moment puts off has its turn next.
        return message.next_attempt_at is None or message.next_attempt_at <= self._clock() + timedelta(
            seconds=left_s
        )

    def _forget(self, tracking_id: str, waiter: "asyncio.Future[Message | None]") -> None:
        waiters = self._waiters.get(tracking_id)
        if waiters is not None:
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[tracking_id]
