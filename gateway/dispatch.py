"""A Message becomes an Attempt and a recorded Outcome.

Whether it came from a waiting caller, a batch, a retry or a backlog, it goes this one way: the intent is durable,
one request, the outcome is durable, then whoever waits is told.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from .alarm import Alarm
from .core.conclusion import concluded
from .core.delivery import (
    NEVER_LEFT,
    NO_OUTCOME,
    NO_TOKEN,
    Accepted,
    Deferred,
    Outcome,
    Quota,
    Reason,
    Refused,
    Uncertain,
    Until,
)
from .core.errors import CannotOpen, Unavailable
from .core.grant import Token
from .core.message import Attempt, Letter, Message, claimed, expired, waiting
from .core.schedule import Backoff, next_try
from .core.window import Window
from .gates import Gates, Obstacle
from .ports import Chance, Clock, Courier, Ledger, Observer, Renewer, Tell, TokenSource

MAX_AT_ONCE: Final = 256
MAX_UNDER_WAY: Final = 1024
_NEVER_LESS: Final = 16  # however much else is under way, so that a queued one-time password gets its turn
LEASE_MARGIN: Final = timedelta(seconds=5)
"""How much longer than a whole exchange an attempt's lease is: the request begins within it or not at all."""

_RECORD_AGAIN_S: Final = 0.5
_SEALED_PAUSE: Final = timedelta(minutes=5)


class Dispatch:
    """Makes attempts, and concludes those that dead processes left open. When more can go now, the `alarm` is set."""

    def __init__(
        self,
        ledger: Ledger,
        courier: Courier,
        tokens: TokenSource,
        renewer: Renewer,
        gates: Gates,
        tell: Tell,
        clock: Clock,
        chance: Chance,
        observer: Observer,
        alarm: Alarm,
        *,
        owner: str,
        lease: timedelta,
        backoff: Backoff,
        heed_quota: Callable[[str, Quota, datetime], None],
    ) -> None:
        self._ledger = ledger
        self._courier = courier
        self._tokens = tokens
        self._renewer = renewer
        self._gates = gates
        self._tell = tell
        self._clock = clock
        self._chance = chance
        self._observer = observer
        self._alarm = alarm
        self._owner = owner
        self._lease = lease
        self._backoff = backoff
        self._heed_quota = heed_quota
        self._under_way: set[asyncio.Task[None]] = set()
        self._left: set[tuple[str, int]] = set()
        self._windows: dict[str, Window] = {}
        self._is_crowded = False
        self._is_stopping = False

    def is_busy(self, account: str, *, for_batch: bool, besides: int) -> bool:
        """True while so many requests are under way, or about to be, that a further message had better wait its turn.

        Nobody waits for one of a batch, and each request under way is an unknown message if the process is killed.
        """
        hands = (MAX_AT_ONCE if for_batch else MAX_UNDER_WAY) - len(self._under_way)
        is_busy = besides > hands or not self._window(account).fits(besides, is_waited_for=not for_batch)
        self._is_crowded |= is_busy
        return is_busy

    def room(self, account: str) -> int:
        """How many messages of the account's backlog may go now; if none, the alarm is set when a request has ended."""
        busy = len(self._under_way)
        room = min(max(MAX_AT_ONCE - busy, _NEVER_LESS), MAX_UNDER_WAY - busy, self._window(account).room)
        self._is_crowded |= room <= 0
        return room

    def depart(self, message: Message, letter: Letter, trial: Token | None = None) -> None:
        """The message, whose attempt has begun, is on its way; nobody has to wait for it. `trial`: with this token."""
        self.begin(self._go(message, letter, trial))

    def stop(self) -> None:
        """Nothing more is claimed."""
        self._is_stopping = True

    async def drain(self) -> None:
        """Nothing new is begun, and every request that was under way has its outcome recorded."""
        self.stop()
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def recover(self) -> None:
        """Attempts whose process is dead or whose lease has lapsed are concluded: uncertain, if they may have left."""
        for message in await self._ledger.stalled(self._clock(), limit=MAX_AT_ONCE):
            attempt = message.open_attempt
            if attempt is None:
                continue
            is_ours = attempt.owner == self._owner
            has_left = not is_ours or (message.tracking_id, attempt.number) in self._left
            outcome = NO_OUTCOME if has_left else NEVER_LEFT
            after = self._concluded(message, attempt.number, outcome)
            if await self._ledger.save(after, expected=message.version):
                self._note(after, outcome)
                self._alarm.at(after.next_attempt_at)

    # -- one message --

    async def _go(self, message: Message, letter: Letter, trial: Token | None) -> None:
        """The message's attempt is made and recorded, and again while it may be tried again at once."""
        begun: Message | None = message
        window = self._window(message.account)
        window.enter(self._clock())
        try:
            while begun is not None and (attempt := begun.open_attempt) is not None:
                token, trial = trial or self._tokens.usable(begun.account), None
                outcome = await self._ask(begun, letter, token, attempt)
                _note_answer(window, outcome)
                # Together, so that one commit serves both: what waits for a hold is due as soon as there is none.
                _, after = await asyncio.gather(
                    self._heed_hold(begun, outcome, attempt), self._record(begun, attempt.number, outcome)
                )
                await self._heed_token(begun, outcome, token)
                begun = await self._again(after)
        finally:
            window.leave(self._clock())
            if self._is_crowded:
                self._is_crowded = False
                self._alarm.at(self._clock())

    async def _ask(self, message: Message, letter: Letter, token: Token | None, attempt: Attempt) -> Outcome:
        """What became of the request, or why there was none."""
        if token is None or letter.phone is None or message.template_id is None:
            return NO_TOKEN
        if self._clock() >= min(attempt.begun_at + LEASE_MARGIN, message.expires_at):
            # We were held up for so long that others might conclude this attempt while its request is under way.
            return NEVER_LEFT
        self._left.add((message.tracking_id, attempt.number))
        return await self._courier.send(
            token,
            phone=letter.phone,
            template_id=message.template_id,
            template_data=letter.template_data,
            tracking_id=message.tracking_id,
            development=message.mode == "development",
        )

    async def _record(self, message: Message, number: int, outcome: Outcome) -> Message:
        """The message with the outcome in it, durable, however long the store takes to come back."""
        after = self._concluded(message, number, outcome)
        while True:
            try:
                if await self._ledger.save(after, expected=message.version):
                    break
                current = await self._ledger.load(message.tracking_id)
            except Unavailable as error:
                # Until it is recorded the message stays `sending`, and that is what its caller is told.
                self._observer.fact("store-unavailable", doing="record", cause=str(error.__cause__ or error))
                await asyncio.sleep(_RECORD_AGAIN_S)
                continue
            if current is None or current.timeline[: len(after.timeline)] == after.timeline:
                after = current or after  # it was stored, although that could not be confirmed
                break
            message, after = current, self._concluded(current, number, outcome)
        self._left.discard((message.tracking_id, number))
        self._note(after, outcome)
        return after

    def _concluded(self, message: Message, number: int, outcome: Outcome) -> Message:
        now, moment = self._clock(), None
        if isinstance(outcome, Deferred):
            chance = self._chance()
            moment = next_try(outcome, number, now, message.expires_at, backoff=self._backoff, chance=chance)
        return concluded(message, number, outcome, now, next_attempt_at=moment)

    def _note(self, message: Message, outcome: Outcome) -> None:
        """Whoever wants to know how an attempt ended knows it, now that it is durable."""
        self._observer.fact("attempted", message=message, outcome=outcome)
        self._tell(message)

    async def _heed_hold(self, message: Message, outcome: Outcome, attempt: Attempt) -> None:
        """What the outcome says of the quota, the account or the template is in force: here before anybody is told."""
        if isinstance(outcome, Accepted) and outcome.quota is not None:
            self._heed_quota(message.account, outcome.quota, self._clock())
        try:
            await self._gates.heed(message, outcome, self._clock(), begun_at=attempt.begun_at)
        except Unavailable as error:
            self._observer.fact("store-unavailable", doing="heed", cause=str(error.__cause__ or error))

    async def _heed_token(self, message: Message, outcome: Outcome, token: Token | None) -> None:
        """What the outcome says of the access token is in force."""
        try:
            if token is not None and _took_the_token(outcome):
                await self._tokens.prove(message.account, token.generation)
            if token is not None and isinstance(outcome, Deferred) and outcome.wait.until is Until.NEW_GRANT:
                await self._renewer.renew(message.account, token.generation)
                self._alarm.at(self._clock())
        except Unavailable as error:
            self._observer.fact("store-unavailable", doing="heed", cause=str(error.__cause__ or error))

    async def _again(self, message: Message) -> Message | None:
        """The message with its next attempt begun, if it may be tried again at this very moment."""
        now = self._clock()
        if self._is_stopping or not message.state.is_waiting:
            return None
        if message.next_attempt_at is None or message.next_attempt_at > now:
            self._alarm.at(message.next_attempt_at)
            return None
        with suppress(Unavailable):  # then it is the backlog's turn
            obstacle = self._gates.obstacle(message, now)
            if obstacle is None:
                return await self._claim(message, now)
            await self.put_off(message, obstacle, now)
        return None

    async def _claim(self, message: Message, now: datetime) -> Message | None:
        """The message with a new attempt begun, durable; None if another has it, or its time has passed."""
        if now >= message.expires_at:
            return None
        begun = claimed(message, owner=self._owner, now=now, lease=self._lease)
        return begun if await self._ledger.save(begun, expected=message.version) else None

    # -- the backlog's --

    async def send(self, message: Message, trial: Token | None = None) -> None:
        """The queued message is on its way, unless another process was faster, we are stopping, or its letter does not open."""
        try:
            letter = await self._ledger.letter(message.tracking_id)
        except CannotOpen as error:
            self._observer.fact("letter-sealed", cause=error.detail, cure="put the key back into secrets.keys")
            now = self._clock()
            again_at = now + _SEALED_PAUSE
            await self.put_off(message, Obstacle(Reason.CONFIGURATION, again_at, due_at=again_at), now)
            return
        if letter is None or self._is_stopping:
            return
        begun = await self._claim(message, self._clock())
        if begun is not None:
            self.depart(begun, letter, trial)

    async def put_off(self, message: Message, obstacle: Obstacle, now: datetime) -> None:
        """The message says what it waits for; where that ends too late for it, it has expired."""
        if (message.reason, message.next_attempt_at) == (obstacle.reason, obstacle.due_at):
            return
        later = waiting(message, reason=obstacle.reason, next_attempt_at=obstacle.due_at)
        if obstacle.until is not None and obstacle.until >= message.expires_at:
            later = expired(later, now)
        if await self._ledger.save(later, expected=message.version):
            self._tell(later)
            self._alarm.at(obstacle.until)

    def begin(self, step: Coroutine[None, None, None]) -> None:
        """The step goes on beside everything else, and `drain` waits for it."""
        task = asyncio.create_task(step)
        self._under_way.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its attempt, if it had one, is concluded when the lease lapses.
            self._observer.fact("turn-failed", error=error)

    def _window(self, account: str) -> Window:
        return self._windows.setdefault(account, Window(MAX_UNDER_WAY))


def _note_answer(window: Window, outcome: Outcome) -> None:
    if isinstance(outcome, Uncertain):
        window.doubted()
    elif isinstance(outcome, Accepted) or outcome.error.zalo is not None:
        window.answered()


def _took_the_token(outcome: Outcome) -> bool:
    """True if Zalo's answer was about something else than the access token, so that this one works."""
    match outcome:
        case Accepted():
            return True
        case Refused(error):
            return error.zalo is not None
        case Deferred(error, wait):
            return error.zalo is not None and wait.reason is not Reason.CREDENTIALS
        case Uncertain():
            return False
