"""A Message becomes an Attempt and a recorded Outcome.

Whether it came from a waiting caller, a batch, a retry or a backlog, it goes this one way: the intent is durable,
one request, the outcome is durable, then whoever waits is told.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from .core.delivery import (
    Accepted,
    Category,
    Deferred,
    DeliveryError,
    Outcome,
    Reason,
    Refused,
    Scope,
    Uncertain,
    Until,
    Wait,
)
from .core.errors import Unavailable
from .core.hold import Hold
from .core.message import Letter, Message, claimed, concluded, expired, waiting
from .core.schedule import Backoff, earliest_try, next_try
from .gates import Gates, Obstacle
from .ports import Chance, Clock, Courier, Ledger, Observer, Tell, Token, TokenSource

TICK_S: Final = 0.5
MAX_UNDER_WAY: Final = 256
_RECORD_AGAIN_S: Final = 0.5

NO_TOKEN: Final = Deferred(
    DeliveryError(
        code="no-access-token",
        category=Category.CREDENTIALS,
        detail="the account has no working access token",
        permanent=False,
        advice="wait; the platform team has been told how to cure it",
    ),
    Wait(Reason.CREDENTIALS, Scope.ACCOUNT, Until.NEW_GRANT),
)
LEASE_LAPSED: Final = Uncertain(
    DeliveryError(
        code="no-outcome",
        category=Category.TRANSIENT,
        detail="the process that sent this ended before it could record the outcome",
        permanent=False,
        advice="wait for the receipt; do not send it again another way if a second message would hurt",
    )
)


class Dispatch:
    """Sends messages, retries them, and concludes what dead processes left open."""

    def __init__(
        self,
        ledger: Ledger,
        courier: Courier,
        tokens: TokenSource,
        gates: Gates,
        tell: Tell,
        clock: Clock,
        chance: Chance,
        observer: Observer,
        *,
        owner: str,
        lease: timedelta,
        backoff: Backoff,
        probe_every: timedelta,
        pause_after_uncertain: int,
        app_secret: Callable[[str], str | None],
    ) -> None:
        self._ledger = ledger
        self._courier = courier
        self._tokens = tokens
        self._gates = gates
        self._tell = tell
        self._clock = clock
        self._chance = chance
        self._observer = observer
        self._owner = owner
        self._lease = lease
        self._backoff = backoff
        self._probe_every = probe_every
        self._pause_after_uncertain = pause_after_uncertain
        self._app_secret = app_secret
        self._under_way: set[asyncio.Task[None]] = set()
        self._uncertain_in_a_row: dict[str, int] = {}
        self._probed_at: dict[str, datetime] = {}
        self._wake = asyncio.Event()
        self._soonest: datetime | None = None
        self._is_stopping = False

    def depart(self, message: Message, letter: Letter) -> None:
        """The message, whose attempt has begun, is on its way; nobody has to wait for it."""
        task = asyncio.create_task(self._go(message, letter))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def run(self) -> None:
        """Sends what is due, until `drain`; one bad turn of the store does not end it."""
        while not self._is_stopping:
            now = self._clock()
            if self._soonest is not None and self._soonest <= now:
                self._soonest = None
            try:
                await self._turn(now)
            except Unavailable as error:
                self._observer.fact("store-unavailable", doing="dispatch", cause=str(error.__cause__ or error))
            except Exception as error:  # noqa: BLE001 - a backlog that nobody works on any more helps nobody
                self._observer.fact("turn-failed", error=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            self._wake.clear()

    async def drain(self) -> None:
        """Nothing new is begun, and every request that was under way has its outcome recorded."""
        self._is_stopping = True
        self._wake.set()
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def recover(self) -> None:
        """Attempts whose process is dead or whose lease has lapsed are concluded as uncertain."""
        now = self._clock()
        for message in await self._ledger.stalled(now, limit=MAX_UNDER_WAY):
            attempt = message.open_attempt
            if attempt is not None:
                await self._record(message, attempt.number, LEASE_LAPSED, None)

    # -- one message --

    async def _go(self, message: Message, letter: Letter) -> None:
        """The message's attempt is made and recorded, and again while it may be tried again at once."""
        begun: Message | None = message
        while begun is not None and (attempt := begun.open_attempt) is not None:
            token = await self._tokens.fresh(begun.account)
            outcome = await self._ask(begun, letter, token, attempt.lease_until)
            after = await self._record(begun, attempt.number, outcome, token)
            await self._heed(begun, outcome, token)
            self._tell(after)
            begun = await self._again(after)

    async def _ask(self, message: Message, letter: Letter, token: Token | None, lease_until: datetime) -> Outcome:
        if token is None or letter.phone is None or message.template_id is None:
            return NO_TOKEN
        if self._clock() >= lease_until:
            # We were stopped for so long that others may have concluded this attempt: it must not leave now.
            return LEASE_LAPSED
        return await self._courier.send(
            token.access.value,
            phone=letter.phone,
            template_id=message.template_id,
            template_data=letter.template_data,
            tracking_id=message.tracking_id,
            development=message.mode == "development",
            app_secret=self._app_secret(message.account),
        )

    async def _record(self, message: Message, number: int, outcome: Outcome, token: Token | None) -> Message:
        """The message with the outcome in it, durable, however long the store takes to come back."""
        while True:
            now = self._clock()
            moment = None
            if isinstance(outcome, Deferred):
                moment = next_try(
                    outcome, number, now, message.expires_at, backoff=self._backoff, chance=self._chance()
                )
            after = concluded(message, number, outcome, now, next_attempt_at=moment)
            try:
                if await self._ledger.save(after, expected=message.version):
                    self._observer.fact("attempted", message=after, outcome=outcome)
                    self._wake_at(after.next_attempt_at)
                    return after
                message = await self._ledger.load(message.tracking_id) or message
            except Unavailable as error:
                # Until it is recorded the message stays `sending`, and that is what its caller is told.
                self._observer.fact("store-unavailable", doing="record", cause=str(error.__cause__ or error))
                await asyncio.sleep(_RECORD_AGAIN_S)

    async def _again(self, message: Message) -> Message | None:
        """The message with its next attempt begun, if it may be tried again at this very moment."""
        now = self._clock()
        if self._is_stopping or not message.state.is_waiting:
            return None
        if message.next_attempt_at is None or message.next_attempt_at > now:
            return None
        if self._gates.obstacle(message, now) is not None:
            return None
        with suppress(Unavailable):
            return await self._claim(message, now)
        return None

    async def _claim(self, message: Message, now: datetime) -> Message | None:
        """The message with a new attempt begun, durable; None if another has it."""
        begun = claimed(message, owner=self._owner, now=now, lease=self._lease)
        return begun if await self._ledger.save(begun, expected=message.version) else None

    # -- what an outcome means for others --

    async def _heed(self, message: Message, outcome: Outcome, token: Token | None) -> None:
        """What the outcome says of the account, the template or the token is in force."""
        try:
            if isinstance(outcome, Uncertain):
                await self._count_uncertain(message, outcome)
                return
            self._uncertain_in_a_row[message.account] = 0
            if isinstance(outcome, Accepted):
                await self._heed_success(message, token)
            elif isinstance(outcome, Deferred):
                await self._heed_wait(message, outcome, token)
            elif isinstance(outcome, Refused) and outcome.blocks_template:
                self._observer.fact("template-blocked", template=message.template_id, account=message.account)
        except Unavailable as error:
            self._observer.fact("store-unavailable", doing="heed", cause=str(error.__cause__ or error))

    async def _heed_success(self, message: Message, token: Token | None) -> None:
        if token is not None:
            await self._tokens.prove(message.account, token.generation)
        for hold in self._gates.holds(message.account):
            is_covered = hold.covers(message.account, message.template_id, message.event_type)
            if is_covered and hold.reason is not Reason.OPERATOR:
                await self._gates.release(hold, "a message went through")

    async def _heed_wait(self, message: Message, outcome: Deferred, token: Token | None) -> None:
        wait = outcome.wait
        if wait.until is Until.NEW_GRANT:
            if token is not None:
                await self._tokens.renew(message.account, token.generation)
            return
        if wait.scope is Scope.MESSAGE:
            return
        now = self._clock()
        await self._gates.hold(
            Hold(
                account=message.account,
                reason=wait.reason,
                since=now,
                cause=outcome.error.code,
                cure=outcome.error.advice,
                template_id=message.template_id if wait.scope is Scope.TEMPLATE else None,
                until=earliest_try(wait.until, now),
            )
        )

    async def _count_uncertain(self, message: Message, outcome: Uncertain) -> None:
        count = self._uncertain_in_a_row.get(message.account, 0) + 1
        self._uncertain_in_a_row[message.account] = count
        if self._pause_after_uncertain and count >= self._pause_after_uncertain:
            cure = "nothing to do: one message is tried now and then, and the first success resumes all"
            await self._gates.hold(Hold(message.account, Reason.UPSTREAM, self._clock(), outcome.error.code, cure))

    # -- the backlog --

    async def _turn(self, now: datetime) -> None:
        await self._gates.reload(now)
        await self._tokens.reload()
        await self.recover()
        for message in await self._ledger.overdue(now, limit=MAX_UNDER_WAY):
            after = expired(message, now)
            if await self._ledger.save(after, expected=message.version):
                self._observer.fact("expired", message=after)
                self._tell(after)
        for account in self._gates.accounts:
            hold = self._gates.account_hold(account, now)
            if hold is None:
                await self._send_due(account, now)
            for one in [hold] if hold is not None else self._gates.holds(account):
                await self._probe(one, now)

    async def _send_due(self, account: str, now: datetime) -> None:
        """What is due goes, as far as the account's rate and our own hands allow."""
        free = MAX_UNDER_WAY - len(self._under_way)
        if free <= 0:
            return
        batch = await self._ledger.due(account, now, held=self._gates.holds(account), limit=free)
        steps: list[Coroutine[None, None, None]] = []
        for message in batch:
            obstacle = self._gates.obstacle(message, now)
            if obstacle is None:
                steps.append(self._send_one(message, now))
            elif obstacle.reason is Reason.RATE:
                self._wake_at(obstacle.until)
                break
            else:
                steps.append(self._put_off(message, obstacle, now))
        else:
            if len(batch) == free:
                self._wake_at(now)
        await asyncio.gather(*steps)  # together, so that one commit serves many claims

    async def _send_one(self, message: Message, now: datetime) -> None:
        """The message is on its way, unless another process was faster."""
        letter = await self._ledger.letter(message.tracking_id)
        begun = await self._claim(message, now) if letter is not None else None
        if begun is not None and letter is not None:
            self.depart(begun, letter)

    async def _put_off(self, message: Message, obstacle: Obstacle, now: datetime) -> None:
        """The message says what it waits for; where that ends too late for it, it has expired."""
        if obstacle.until is None:
            return
        later = waiting(message, reason=obstacle.reason, next_attempt_at=obstacle.until)
        if obstacle.until >= message.expires_at:
            later = expired(later, now)
        if await self._ledger.save(later, expected=message.version):
            self._tell(later)

    async def _probe(self, hold: Hold, now: datetime) -> None:
        """One message of what is paused is tried, every so often; a success resumes all."""
        if hold.until is not None or hold.reason in (Reason.OPERATOR, Reason.CREDENTIALS):
            return
        if now < self._probed_at.get(hold.key, hold.since) + self._probe_every:
            return
        self._probed_at[hold.key] = now
        if hold.reason is Reason.UPSTREAM:
            token = await self._tokens.fresh(hold.account)
            secret = self._app_secret(hold.account)
            if token is None or not await self._courier.answers(token.access.value, app_secret=secret):
                return
        message = await self._ledger.probe(hold, now)
        if message is not None and self._gates.disturbance(message, now) is None:
            await self._send_one(message, now)

    def _wake_at(self, moment: datetime | None) -> None:
        """The next turn comes no later than `moment`."""
        if moment is not None and (self._soonest is None or moment < self._soonest):
            self._soonest = moment
            if moment <= self._clock() + timedelta(seconds=TICK_S):
                self._wake.set()

    def _pause_s(self) -> float:
        if self._soonest is None:
            return TICK_S
        return min(TICK_S, max(0.01, (self._soonest - self._clock()).total_seconds()))
