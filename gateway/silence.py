"""When nothing is heard of a message, Zalo is asked what became of it; where nobody can say, people are told."""

import asyncio
from contextlib import suppress
from typing import Final

from .core.delivery import Reason
from .core.errors import Unavailable
from .core.grant import Token
from .core.message import Message
from .core.silence import (
    Delivered,
    Pending,
    StatusAnswer,
    Unclear,
    answered,
    asking,
    given_up,
    last_word,
    may_ask,
    msg_ids,
)
from .gates import Gates
from .ports import Clock, Ledger, Observer, Oracle, Renewer, Tell, TokenSource

# After an hour without webhooks a hundred thousand questions are due at once: they must not be in the way of sends.
_TURN_S: Final = 1.0
_EACH_TURN: Final = 20
_AT_ONCE: Final = 8


class Silence:
    """Asks about messages that were sent and have been silent for too long, and reports what stays unknown."""

    def __init__(
        self,
        ledger: Ledger,
        oracle: Oracle,
        tokens: TokenSource,
        renewer: Renewer,
        gates: Gates,
        tell: Tell,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._ledger = ledger
        self._oracle = oracle
        self._tokens = tokens
        self._renewer = renewer
        self._gates = gates
        self._tell = tell
        self._clock = clock
        self._observer = observer
        self._renewed: dict[str, int] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Each account's messages are asked about when their time has come, until `stop`."""
        await asyncio.gather(*(self._watch(account) for account in self._gates.accounts))

    def stop(self) -> None:
        """`run` ends after the questions that are under way; no further one is begun."""
        self._stopping.set()

    async def _watch(self, account: str) -> None:
        while not self._stopping.is_set():
            end = asyncio.get_running_loop().time() + _TURN_S
            try:
                await self._turn(account)
            except Unavailable as error:
                self._observer.fact("store-unavailable", doing="silence", cause=str(error.__cause__ or error))
            except Exception as error:  # noqa: BLE001 - one message that goes wrong must not silence the others
                self._observer.fact("turn-failed", error=error)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(end):
                    await self._stopping.wait()

    async def _turn(self, account: str) -> None:
        """What is longest due is worked on, as much of it as one turn allows."""
        hands = asyncio.Semaphore(_AT_ONCE)
        due = await self._ledger.silent(account, self._clock(), limit=_EACH_TURN)
        ends = await asyncio.gather(*(self._look_into(one, hands) for one in due), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end  # only now, so that one that went wrong takes no other with it

    async def _look_into(self, message: Message, hands: asyncio.Semaphore) -> None:
        async with hands:
            if self._stopping.is_set():
                return
            if not may_ask(message):
                await self._give_up(message)
            elif message.open_attempt is None and (token := self._token(message.account)) is not None:
                await self._find_out(message, token)

    def _token(self, account: str) -> Token | None:
        """What to ask with now; None while an answer is not to be had."""
        hold = self._gates.account_hold(account, self._clock())
        if hold is not None and hold.reason is Reason.UPSTREAM:
            return None
        return self._tokens.usable(account)

    async def _give_up(self, message: Message) -> None:
        """Nothing more will be heard of it by itself: whoever reads the log knows it, once."""
        if await self._ledger.save(given_up(message, self._clock()), expected=message.version):
            self._observer.fact(last_word(message), message=message, account=message.account)

    async def _find_out(self, message: Message, token: Token) -> None:
        """The question is recorded before it is asked, so that others do not ask it too, and the answer after it."""
        begun = asking(message, self._clock())
        if not await self._ledger.save(begun, expected=message.version):
            return
        about = msg_ids(begun)
        answer = await self._ask(begun.account, about, token)
        self._observer.fact("asked", account=begun.account, outcome=type(answer).__name__.lower())
        if not isinstance(answer, Unclear):
            await self._record(begun, answer, about)

    async def _record(self, message: Message, answer: Delivered | Pending, about: tuple[str, ...]) -> None:
        """The answer is in the message, whatever has become of that meanwhile."""
        found: Message | None = message
        while found is not None:
            after = answered(found, answer, self._clock(), about=about)
            if await self._ledger.save(after, expected=found.version):
                self._observer.fact("receipt" if isinstance(answer, Delivered) else "silent", message=after)
                self._tell(after)
                return
            found = await self._ledger.load(found.tracking_id)

    async def _ask(self, account: str, about: tuple[str, ...], token: Token) -> StatusAnswer:
        """Delivered as soon as Zalo says so of one of the ids; Pending only if it says so of all of them."""
        answers: list[StatusAnswer] = []
        for msg_id in about:
            answer = await self._ask_once(account, msg_id, token)
            if isinstance(answer, Unclear) and answer.wants_new_grant:
                newer = await self._renew(account, token)
                if newer is not None:
                    token = newer
                    answer = await self._ask_once(account, msg_id, token)
            if isinstance(answer, Delivered):
                return answer
            answers.append(answer)
        return next((one for one in answers if isinstance(one, Unclear)), Pending())

    async def _ask_once(self, account: str, msg_id: str, token: Token) -> StatusAnswer:
        answer = await self._oracle.status(token, msg_id)
        if not isinstance(answer, Unclear):
            with suppress(Unavailable):  # the answer counts all the same
                await self._tokens.prove(account, token.generation)
        return answer

    async def _renew(self, account: str, token: Token) -> Token | None:
        """A token newer than the one that was rejected, if there is one now.

        What a question has had renewed no question has renewed again: where Zalo lets nobody ask with a token that
        it takes for sending, each question would spend a refresh.
        """
        if token.generation != self._renewed.get(account):
            await self._renewer.renew(account, token.generation)
        newer = self._tokens.usable(account)
        if newer is None or newer.generation <= token.generation:
            return None
        self._renewed[account] = max(newer.generation, self._renewed.get(account, 0))
        return newer
