"""An Event becomes a Message in the Ledger: durable, with its first attempt's intent when it may go at once."""

import asyncio
from datetime import timedelta
from typing import Protocol

import msgspec

from .core.birth import born
from .core.caller import Caller
from .core.delivery import State
from .core.errors import (
    ForbiddenEventType,
    GatewayError,
    IdempotencyConflict,
    InvalidPhone,
    MappingFailed,
    NotAccepted,
    TemplateConstraint,
    TooManyRequests,
    Unavailable,
    UnmappedEvent,
    clip,
)
from .core.event import Event
from .core.identity import Identity, TrackingId, identify
from .core.mapping import MappingSet
from .core.message import Letter, Message, claimed, expired, received, waiting
from .gates import Gates
from .ports import Clock, Conflicting, Depart, Known, Ledger, Observer, Overtaken, Stored


class Taken(msgspec.Struct, frozen=True):
    """The message of an event; `is_replay` when the event had been here before."""

    message: Message
    is_replay: bool


class Queue(Protocol):
    """Knows how many messages wait, as nearly as it can be known without asking each time."""

    def is_full(self) -> bool:
        """True while as many are queued as may be."""

    def count(self) -> None:
        """One more is queued, or about to be."""

    def discount(self) -> None:
        """One that was counted is not queued after all."""


class IsBusy(Protocol):
    """Knows whether a further message had better wait its turn."""

    def __call__(self, account: str, *, for_batch: bool, besides: int) -> bool:
        """True if so, `besides` being about to leave; one of a batch gives way sooner."""


class Intake:
    """Accepts events."""

    def __init__(
        self,
        ledger: Ledger,
        gates: Gates,
        depart: Depart,
        clock: Clock,
        observer: Observer,
        *,
        owner: str,
        lease: timedelta,
        grace: timedelta,
        queue: Queue,
        is_busy: IsBusy,
    ) -> None:
        self._ledger = ledger
        self._gates = gates
        self._depart = depart
        self._clock = clock
        self._observer = observer
        self._owner = owner
        self._lease = lease
        self._grace = grace
        self._queue = queue
        self._is_busy = is_busy
        self._under_way: set[asyncio.Task[Taken]] = set()
        self._leaving = 0
        self._storing: dict[TrackingId, asyncio.Future[None]] = {}
        self.is_closed = False

    async def drain(self) -> None:
        """Events are no longer accepted, and those that were being accepted are stored and on their way, or refused."""
        self.is_closed = True
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def accept(
        self,
        event: Event,
        caller: Caller,
        mappings: MappingSet,
        key: str | None = None,
        *,
        is_in_batch: bool = False,
    ) -> Taken:
        """The event's message, durable and on its way; raises a refusal and then nothing is stored.

        `mappings` is the set that was in force when the request came: no request is filled by a mix of two.

        NotAccepted: the store could not confirm. Posting the same event again is always right.
        """
        if not caller.may_send(event.type):
            raise ForbiddenEventType(f"caller {caller.name} may not send events of this type")
        identity = identify(mode=caller.mode, caller=caller.name, event=event, key=key)
        # A task of its own: a caller that goes away must not leave a message that is stored and never sent.
        task = asyncio.create_task(self._accept(event, caller, mappings, identity, is_in_batch))
        self._under_way.add(task)
        task.add_done_callback(self._end)
        try:
            return await asyncio.shield(task)
        except Unavailable as error:
            raise NotAccepted("the store could not confirm the event; post the same event again") from error

    def _end(self, task: "asyncio.Task[Taken]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, in case that nobody waits for it any more

    async def _accept(
        self, event: Event, caller: Caller, mappings: MappingSet, identity: Identity, is_in_batch: bool
    ) -> Taken:
        try:
            newborn, letter = self._fill(event, caller, mappings, identity)
        except (UnmappedEvent, MappingFailed, TemplateConstraint, InvalidPhone) as refusal:
            # Identity comes before the mapping: what was accepted once is answered whatever the mapping says now.
            return await self._replay_or(refusal, event, identity)
        if self.is_closed:
            return await self._replay_or(NotAccepted("the gateway is stopping"), event, identity)
        if self._queue.is_full():
            full = TooManyRequests("as many messages are queued as delivery.max_queued allows", retry_after_s=10)
            return await self._replay_or(full, event, identity)
        message = newborn if newborn.state is State.SKIPPED else self._first_step(newborn, is_in_batch)
        is_counted = message.state.is_waiting
        if is_counted:
            self._queue.count()  # before it is stored, or a batch would find room for all of its events at once
        is_leaving = message.state.is_sending
        self._leaving += is_leaving  # until it is under way, which others count
        taken: Taken | None = None
        stored = self._storing[identity.tracking_id] = asyncio.get_running_loop().create_future()
        try:
            taken = await self._store(newborn, message, letter, identity)
            return taken
        finally:
            self._leaving -= is_leaving
            stored.set_result(None)
            if self._storing.get(identity.tracking_id) is stored:
                del self._storing[identity.tracking_id]
            if is_counted and (taken is None or taken.is_replay):
                self._queue.discount()

    async def _store(self, newborn: Message, message: Message, letter: Letter, identity: Identity) -> Taken:
        """The message is stored and on its way, or the one that is known already is told."""
        acceptance = await self._ledger.accept(message, letter, identity)
        if isinstance(acceptance, Overtaken):
            message = received(newborn, acceptance.receipt, self._clock())
            acceptance = await self._ledger.accept(message, letter, identity, despite=acceptance.receipt_id)
        match acceptance:
            case Stored():
                self._observer.fact("accepted", message=message)
                if message.state.is_sending:
                    self._depart(message, letter)
                return Taken(message, is_replay=False)
            case Known(before):
                return Taken(before, is_replay=True)
            case Conflicting(tracking_id):
                raise _conflict(tracking_id)
            case Overtaken():
                raise NotAccepted("a receipt for this message came in between; post the same event again")

    def _fill(
        self, event: Event, caller: Caller, mappings: MappingSet, identity: Identity
    ) -> tuple[Message, Letter]:
        """The message as it would be stored, and what is confidential of it."""
        mapping = mappings.mappings.get(event.type)
        if mapping is None:
            raise unmapped(event.type, mappings.nearest(event.type, caller.may_send))
        return born(
            event,
            mapping,
            mappings.templates,
            tracking_id=identity.tracking_id,
            caller=caller.name,
            mode=caller.mode,
            now=self._clock(),
            grace=self._grace,
        )

    def _first_step(self, message: Message, is_in_batch: bool) -> Message:
        """The message with its first attempt begun, or with what it waits for, or expired at once."""
        now = self._clock()
        if self._is_busy(message.account, for_batch=is_in_batch, besides=self._leaving + 1):
            return message  # its turn comes as soon as a hand is free
        obstacle = self._gates.obstacle(message, now)
        if obstacle is None:
            return claimed(message, owner=self._owner, now=now, lease=self._lease)
        message = waiting(message, reason=obstacle.reason, next_attempt_at=obstacle.due_at)
        if obstacle.until is not None and obstacle.until >= message.expires_at:
            return expired(message, now)
        return message

    async def _replay_or(self, refusal: GatewayError, event: Event, identity: Identity) -> Taken:
        """The replay of a known event; raises `refusal` for a new one."""
        while (storing := self._storing.get(identity.tracking_id)) is not None:
            await storing  # the same event, or one that says otherwise: known as soon as it is stored
        match await self._ledger.known(identity, event):
            case Known(message):
                return Taken(message, is_replay=True)
            case Conflicting(tracking_id):
                raise _conflict(tracking_id)
            case None:
                raise refusal


def unmapped(event_type: str, nearest: list[str]) -> UnmappedEvent:
    """The refusal that names the type and those that the caller may have meant."""
    near = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
    return UnmappedEvent(f"no mapping is in force for {clip(event_type)}{near}")


def _conflict(tracking_id: str) -> IdempotencyConflict:
    return IdempotencyConflict(
        f"this identity belongs to message {tracking_id}, which was made from another type or other data; "
        "give a new event a new id (and a new Idempotency-Key)",
        tracking_id=tracking_id,
    )
