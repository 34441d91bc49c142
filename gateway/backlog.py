"""What waits has its turn: what is due is sent, what is late has expired, what is paused is tried now and then."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime

import msgspec

from .alarm import Alarm
from .core.delivery import Reason
from .core.errors import Unavailable
from .core.hold import Hold
from .core.message import Message, expired, waiting
from .core.schedule import next_day
from .dispatch import MAX_AT_ONCE, Dispatch
from .gates import Gates
from .ports import Clock, Courier, Ledger, Observer, Query, Renewer, Tell, TokenSource


class Backlog:
    """Works on the queue, turn by turn."""

    def __init__(
        self,
        ledger: Ledger,
        dispatch: Dispatch,
        courier: Courier,
        tokens: TokenSource,
        renewer: Renewer,
        gates: Gates,
        tell: Tell,
        clock: Clock,
        observer: Observer,
        alarm: Alarm,
    ) -> None:
        self._ledger = ledger
        self._dispatch = dispatch
        self._courier = courier
        self._tokens = tokens
        self._renewer = renewer
        self._gates = gates
        self._tell = tell
        self._clock = clock
        self._observer = observer
        self._alarm = alarm
        self._turning = asyncio.Lock()
        self._is_stopping = False

    async def run(self) -> None:
        """Sends what is due, until `drain`; one bad turn of the store does not end it."""
        while not self._is_stopping:
            async with self._turning:
                await self._try_turn()
            await self._alarm.wait()

    async def drain(self) -> None:
        """Nothing more is begun: what the last turn has claimed is under way."""
        self._is_stopping = True
        self._dispatch.stop()
        self._alarm.at(self._clock())
        async with self._turning:
            pass

    async def _try_turn(self) -> None:
        now = self._clock()
        if self._is_stopping:
            return
        self._alarm.begin()
        try:
            await self._turn(now)
        except Unavailable as error:
            self._observer.fact("store-unavailable", doing="dispatch", cause=str(error.__cause__ or error))
        except Exception as error:  # noqa: BLE001 - a backlog that nobody works on any more helps nobody
            self._observer.fact("turn-failed", error=error)

    async def _turn(self, now: datetime) -> None:
        await self._gates.reload(now)
        await self._renewer.look()
        await self._dispatch.recover()
        await self._expire(now)
        for account in self._gates.accounts:
            if self._gates.reopened(account):
                self._dispatch.begin(self._let_go(account, now))
            if self._gates.account_hold(account, now) is None:
                await self._send_due(account, now)
            elif (hold := self._gates.probe_due(account, now)) is not None:
                await self._try_one(hold, now)

    async def _expire(self, now: datetime) -> None:
        """What is queued and past its time, or can only go when that is past, says so."""
        late = list(await self._ledger.overdue(now, limit=MAX_AT_ONCE))
        for account in self._gates.accounts:
            for hold in self._gates.holds(account):
                if hold.until is not None:
                    # What this outlasts need not wait for its own end: it cannot go any more.
                    late += await self._ledger.overdue(hold.until, limit=MAX_AT_ONCE, under=hold)
        expiries = [(message, expired(self._as_held(message, now), now)) for message in late]
        saved = await asyncio.gather(*(self._ledger.save(it, expected=old.version) for old, it in expiries))
        for (_, after), is_saved in zip(expiries, saved, strict=True):
            if is_saved:
                self._observer.fact("expired", message=after)
                self._tell(after)
        if len(late) >= MAX_AT_ONCE:
            self._alarm.at(now)

    def _as_held(self, message: Message, now: datetime) -> Message:
        """With what it waits for now: what is written in it may be older than the hold."""
        hold = self._gates.hold_on(message, now)
        return message if hold is None else msgspec.structs.replace(message, reason=hold.reason)

    async def _send_due(self, account: str, now: datetime) -> None:
        """What is due goes, as far as the account's rate and our own hands allow."""
        free = self._dispatch.room(account)
        if free <= 0:
            return
        batch = await self._ledger.due(account, now, held=self._gates.holds(account), limit=free)
        steps: list[Coroutine[None, None, None]] = []
        for message in batch:
            if now >= message.expires_at:
                continue
            obstacle = self._gates.obstacle(message, now)
            if obstacle is None:
                steps.append(self._dispatch.send(message))
            elif obstacle.reason is Reason.RATE:
                self._alarm.at(obstacle.until)
                break
            else:
                steps.append(self._dispatch.put_off(message, obstacle, now))
        else:
            if len(batch) == free:
                self._alarm.at(now)
        await asyncio.gather(*steps)  # together, so that one commit serves many claims

    async def _let_go(self, account: str, now: datetime) -> None:
        """What waits for the next day for the reserve's sake is due now."""
        try:
            queued = await self._ledger.matching(Query(account=account), {"queued"})
            for start in range(0, len(queued), MAX_AT_ONCE):
                if self._is_stopping:
                    return
                some = queued[start : start + MAX_AT_ONCE]
                found = await asyncio.gather(*(self._ledger.load(tracking_id) for tracking_id in some))
                put_off = [one for one in found if one is not None and _waits_for_tomorrow(one, now)]
                due = [waiting(one, reason=None, next_attempt_at=None) for one in put_off]
                await asyncio.gather(*(self._ledger.save(one, expected=one.version - 1) for one in due))
        except Unavailable as error:
            self._gates.keep_back(account)
            self._observer.fact("store-unavailable", doing="let-go", cause=str(error.__cause__ or error))
            return
        self._alarm.at(now)

    async def _try_one(self, hold: Hold, now: datetime) -> None:
        """One message of what is paused is being tried, if there is one; a success resumes all."""
        narrower = [one for one in self._gates.holds(hold.account) if one.key != hold.key]
        for message in await self._ledger.due(hold.account, now, held=narrower, limit=1):
            if self._gates.disturbance(message, now) is None:
                self._gates.note_probe(hold.account, now)
                self._dispatch.begin(self._probe(hold, message))  # not waited for: other accounts have their turn

    async def _probe(self, hold: Hold, message: Message) -> None:
        trial = self._tokens.on_trial(hold.account) if hold.reason is Reason.CREDENTIALS else None
        if hold.reason is Reason.UPSTREAM:
            token = self._tokens.usable(hold.account)
            if token is None or not await self._courier.answers(token):
                return
        await self._dispatch.send(message, trial)


def _waits_for_tomorrow(message: Message, now: datetime) -> bool:
    return message.reason is Reason.QUOTA and message.next_attempt_at == next_day(now)
