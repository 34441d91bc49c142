"""A Message: one template filled for one phone, and its life.

Every function here takes a message and a fact and returns the message as it is afterwards; `delivery.NEXT` says
where it may go. The flows store what comes back by compare-and-set on `version`.
"""

from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from .delivery import (
    NEXT,
    DeliveryError,
    Fact,
    Quota,
    Reason,
    Special,
    State,
    given_up,
    waited_too_long,
)
from .errors import WrongState
from .event import Event
from .identity import TrackingId
from .receipt import Receipt

Mode = Literal["live", "development"]
RESEND_DELAY: Final = timedelta(seconds=10)
DEFAULT_TIME_LIMIT: Final = timedelta(hours=2)
SAID_AGAIN: Final = "said again"
MOST_SAID_AGAIN: Final = 10
"""So often a receipt that says nothing new is noted: Zalo repeats itself a few times, and whoever replays one, for ever."""


class Attempt(msgspec.Struct, frozen=True):
    """One request to Zalo that is not settled: `is_open` until it is concluded, then uncertain."""

    number: int
    owner: str
    begun_at: datetime
    lease_until: datetime
    is_open: bool = True


class Entry(msgspec.Struct, frozen=True):
    """One line of the timeline: a fact, when it became known, and the status it left behind."""

    at: datetime
    fact: str
    status: str
    attempt: int | None = None
    cause: str | None = None


class Letter(msgspec.Struct, frozen=True):
    """What is confidential of a message: kept sealed, and needed to send. `phone` is None for a skipped event."""

    event: Event
    phone: str | None = None
    template_data: dict[str, str] = {}
    secret: frozenset[str] = frozenset()


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message as the Ledger keeps it; nothing in it is confidential, `phone` is masked.

    `unsettled` are the attempts of which it is not known whether Zalo took them; `back` is where a second try
    returns to when it comes to nothing; `former_accounts` may still have a word to say about them. `ask_at` is when a `sent` message has been silent for so long that Zalo is to
    be asked, and an `unknown` one for so long that nothing can tell any more.
    """

    tracking_id: TrackingId
    caller: str
    mode: Mode
    event_id: str
    event_source: str
    event_type: str
    mapping_version: str
    account: str
    template_id: str | None
    phone: str | None
    priority: str
    resends: bool
    ignores_quiet_hours: bool
    time_limit: timedelta
    life: timedelta
    state: State
    accepted_at: datetime
    expires_at: datetime
    updated_at: datetime
    reason: Reason | None = None
    attempts: int = 0
    unsettled: tuple[Attempt, ...] = ()
    back: State | None = None
    was_resent: bool = False
    former_accounts: tuple[str, ...] = ()
    msg_id: str | None = None
    other_msg_ids: tuple[str, ...] = ()
    not_before: datetime | None = None
    next_attempt_at: datetime | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    quota: Quota | None = None
    error: DeliveryError | None = None
    grace: timedelta = timedelta(seconds=60)
    ask_at: datetime | None = None
    asks: int = 0
    timeline: tuple[Entry, ...] = ()
    version: int = 1

    @property
    def open_attempt(self) -> Attempt | None:
        """The attempt whose request is under way, if there is one."""
        return next((attempt for attempt in reversed(self.unsettled) if attempt.is_open), None)

    def is_of(self, account: str) -> bool:
        """True if a receipt that the account got may be about this message."""
        return account == self.account or account in self.former_accounts

    def is_settled(self, now: datetime) -> bool:
        """False once an unknown message has been unknown for longer than anything could still tell."""
        return self.state is not State.UNKNOWN or now < self.told_by

    @property
    def told_by(self) -> datetime:
        """Until when something may still tell what became of an unknown message."""
        begun = self.unsettled[0].begun_at if self.unsettled else self.accepted_at
        return begun + self.time_limit + timedelta(days=1)


def stored(message: Message, now: datetime, *, cause: str | None = None) -> Message:
    """The message with the first line of its timeline: we have it, durably."""
    return changed(message, now, "stored", message.state, cause=cause)


def claimed(message: Message, *, owner: str, now: datetime, lease: timedelta) -> Message:
    """The message with one more attempt begun; its intent, to be stored before anything leaves."""
    state = target(message, Fact.CLAIM)
    number = message.attempts + 1
    attempt = Attempt(number, owner, now, now + lease)
    return changed(
        message,
        now,
        Fact.CLAIM,
        state,
        attempt=number,
        attempts=number,
        unsettled=(*message.unsettled, attempt),
        reason=None,
        next_attempt_at=None,
    )


def waiting(message: Message, *, reason: Reason | None, next_attempt_at: datetime | None) -> Message:
    """The queued message with what it waits for; nothing has happened to it, so no line is added."""
    return msgspec.structs.replace(
        message, reason=reason, next_attempt_at=next_attempt_at, version=message.version + 1
    )


def received(message: Message, receipt: Receipt, now: datetime, *, cause: str | None = None) -> Message:
    """The message after Zalo's word that the phone has it."""
    state = target(message, Fact.RECEIPT)
    if message.state is state:
        return changed(message, now, Fact.RECEIPT, state, cause=SAID_AGAIN)
    return changed(
        message,
        now,
        Fact.RECEIPT,
        state,
        cause=cause,
        delivered_at=receipt.delivered_at or now,
        msg_id=message.msg_id or receipt.msg_id,
        error=None,
        reason=None,
        next_attempt_at=None,
    )


def has_heard_enough(message: Message) -> bool:
    """True if one more receipt would say what has been said, and noted, often enough."""
    return sum(entry.cause == SAID_AGAIN for entry in message.timeline) >= MOST_SAID_AGAIN


def expired(message: Message, now: datetime) -> Message:
    """The message after its time has passed, or once what it waits for ends too late for it.

    The error that it waited with is kept, or says what it waited for.
    """
    state, error = target(message, Fact.EXPIRY), message.error
    if state is State.EXPIRED:
        has_passed = now >= message.expires_at
        error = waited_too_long(message.reason, has_passed=has_passed) if error is None else given_up(error)
    cause = None if message.reason is None else f"waited for {message.reason}"
    return changed(message, now, Fact.EXPIRY, state, cause=cause, error=error, reason=None, next_attempt_at=None)


def target(message: Message, fact: Fact, *, is_alone: bool = True) -> State:
    """The state that `fact` leads to; raises WrongState where an operator asked in vain."""
    cell = NEXT[message.state][fact]
    if isinstance(cell, State):
        return cell
    match cell:
        case Special.NOTED:
            return message.state
        case Special.BACK:
            return message.back or State.UNKNOWN
        case Special.MAYBE_AGAIN:
            return State.QUEUED_AGAIN if _may_resend(message) else State.UNKNOWN
        case Special.FAILED_IF_ALONE:
            return State.FAILED if is_alone else message.state
        case Special.QUEUED_IF_ALONE:
            return State.QUEUED if is_alone else message.state
        case Special.CONFLICT:
            raise WrongState(f"a message that is {message.state.status} does not allow {fact.value}")
        case Special.NEVER:
            raise AssertionError(f"{fact.value} cannot happen to a message that is {message.state.value}")


def _may_resend(message: Message) -> bool:
    """True if the mapping wants a second try, there was none yet, and there is time for it."""
    if not message.resends or message.was_resent or not message.unsettled:
        return False
    return message.unsettled[0].begun_at + RESEND_DELAY < message.expires_at


def changed(
    message: Message,
    now: datetime,
    fact: str,
    state: State,
    *,
    attempt: int | None = None,
    cause: str | None = None,
    **changes: Any,
) -> Message:
    """The message after `fact`: one more line of its timeline, in `state`, with these `changes`."""
    entry = Entry(now, str(fact), state.status, attempt, cause)
    after = msgspec.structs.replace(
        message,
        state=state,
        updated_at=max(now, message.updated_at),
        timeline=(*message.timeline, entry),
        version=message.version + 1,
        **changes,
    )
    if state is not message.state:
        return msgspec.structs.replace(after, ask_at=_ask_at(after, now), asks=0)
    if state is State.UNKNOWN and after.ask_at is not None:
        # The attempt that was in doubt the longest may be settled now.
        return msgspec.structs.replace(after, ask_at=after.told_by)
    return after


def _ask_at(message: Message, now: datetime) -> datetime | None:
    """When the silence about a message that has just come to its state will have lasted too long."""
    match message.state:
        case State.SENT:
            return now + message.time_limit + message.grace
        case State.UNKNOWN:
            return message.told_by
        case _:
            return None
