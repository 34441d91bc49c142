"""A Zalo that answers questions as it is told to, and remembers them."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec

from gateway.core.delivery import Quota
from gateway.core.grant import Token
from gateway.core.silence import Pending, StatusAnswer, Unclear

from .stage import Clock, error

NO_IDEA = Unclear(error(-1, "no-such-message"))
TOKEN_REJECTED = Unclear(error(-124, "access-token-invalid"), wants_new_grant=True)


class Question(msgspec.Struct, frozen=True):
    """One question that reached Zalo; `about` is a msg_id, or None where it was the quota."""

    token: Token
    about: str | None
    at: datetime


class Oracle:
    """Answers by its rule about messages, and with `told` about the quota."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.rule: Callable[[Question], StatusAnswer] = lambda _: Pending()
        self.told: Quota | Unclear = Quota(500, 400)
        self.questions: list[Question] = []
        self.under_way = 0
        self.most_at_once = 0
        self.takes_s = 0.0
        self.opening: asyncio.Event | None = None

    def hold_back(self) -> asyncio.Event:
        """Questions wait for their answer until the event is set."""
        self.opening = asyncio.Event()
        return self.opening

    async def status(self, token: Token, msg_id: str) -> StatusAnswer:
        question = Question(token, msg_id, self._clock())
        await self._take(question)
        return self.rule(question)

    async def quota(self, token: Token) -> Quota | Unclear:
        await self._take(Question(token, None, self._clock()))
        return self.told

    async def _take(self, question: Question) -> None:
        self.questions.append(question)
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        if self.opening is not None:
            await self.opening.wait()
        await asyncio.sleep(self.takes_s)
        self.under_way -= 1
