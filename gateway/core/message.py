"""A Message: one template filled for one phone, and its life.

Every function here takes a message and a fact and returns the message as it is afterwards; `delivery.NEXT` says
where it may go. The flows store what comes back by compare-and-set on `version`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from .delivery import (
    NEXT,
    Accepted,
    Deferred,
    DeliveryError,
    Fact,
    Outcome,
    Quota,
    Reason,
    Refused,
    Special,
    State,
    Uncertain,
)
from .errors import WrongState
from .event import Event
from .identity import TrackingId
from .receipt import Receipt

Mode = Literal["live", "development"]
RESEND_DELAY: Final = timedelta(seconds=10)
DEFAULT_TIME_LIMIT: Final = timedelta(hours=2)


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
    returns to when it comes to nothing.
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
    msg_id: str | None = None
    other_msg_ids: tuple[str, ...] = ()
    not_before: datetime | None = None
    next_attempt_at: datetime | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    quota: Quota | None = None
    error: DeliveryError | None = None
    timeline: tuple[Entry, ...] = ()
    version: int = 1

    @property
    def open_attempt(self) -> Attempt | None:
        """The attempt whose request is under way, if there is one."""
        return next((attempt for attempt in reversed(self.unsettled) if attempt.is_open), None)

    def is_settled(self, now: datetime) -> bool:
        """False once an unknown message has been unknown for longer than anything could still tell."""
        if self.state is not State.UNKNOWN:
            return True
        begun = self.unsettled[0].begun_at if self.unsettled else self.accepted_at
        return now < begun + self.time_limit + timedelta(days=1)


def stored(message: Message, now: datetime, *, cause: str | None = None) -> Message:
    """The message with the first line of its timeline: we have it, durably."""
    return _with(message, now, "stored", message.state, cause=cause)


def claimed(message: Message, *, owner: str, now: datetime, lease: timedelta) -> Message:
    """The message with one more attempt begun; its intent, to be stored before anything leaves."""
    state = _target(message, Fact.CLAIM)
    number = message.attempts + 1
    attempt = Attempt(number, owner, now, now + lease)
    return _with(
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


def concluded(
    message: Message,
    number: int,
    outcome: Outcome,
    now: datetime,
    *,
    next_attempt_at: datetime | None = None,
) -> Message:
    """The message after attempt `number` has ended in `outcome`.

    A Deferred message waits until `next_attempt_at`; where that is not before its expiry it has expired.
    An attempt that is already concluded otherwise than uncertain changes nothing any more.
    """
    fact, cause = _FACTS[type(outcome)], _cause(outcome)
    attempt = next((one for one in message.unsettled if one.number == number), None)
    if attempt is None:
        return _with(message, now, fact, message.state, attempt=number, cause=cause)
    others = tuple(one for one in message.unsettled if one.number != number)
    state = _conclusion(message, attempt, fact, others)
    if isinstance(outcome, Uncertain):
        kept = tuple(
            msgspec.structs.replace(one, is_open=False) if one is attempt else one for one in message.unsettled
        )
    else:
        kept = others
    changes = _changes(message, outcome, state, attempt, next_attempt_at, now)
    after = _with(message, now, fact, state, attempt=number, cause=cause, unsettled=kept, **changes)
    moment = after.next_attempt_at
    if after.state.is_waiting and moment is not None and moment >= after.expires_at:
        return expired(after, now)
    return after


def _conclusion(message: Message, attempt: Attempt, fact: Fact, others: Sequence[Attempt]) -> State:
    """Where `fact` about `attempt` leads.

    A late word about an earlier attempt moves the message only when it leaves nothing in doubt: no other attempt
    that may have gone out, and no earlier one that did. A second try that is under way goes on deciding, no longer
    as a second one.
    """
    is_beside_another = message.state.is_again and message.back is State.UNDELIVERED
    is_alone = not is_beside_another and all(one.is_open for one in others)
    if attempt.is_open or fact is Fact.ACCEPTED:
        return _target(message, fact, is_alone=is_alone)
    if fact is Fact.UNCERTAIN or not is_alone:
        return message.state
    return State.SENDING if message.state is State.SENDING_AGAIN else _target(message, fact)


def _changes(
    message: Message,
    outcome: Outcome,
    state: State,
    attempt: Attempt,
    next_attempt_at: datetime | None,
    now: datetime,
) -> dict[str, Any]:
    """The fields that an outcome changes, beside the state."""
    if isinstance(outcome, Accepted):
        return _taken(message, outcome, state, now)
    if state is message.state:
        return {}
    changes: dict[str, Any] = {"error": outcome.error, "reason": None, "next_attempt_at": None}
    if isinstance(outcome, Deferred) and state.is_waiting:
        changes.update(reason=outcome.wait.reason, next_attempt_at=next_attempt_at)
    elif isinstance(outcome, Uncertain) and state is State.QUEUED_AGAIN:
        changes.update(
            reason=Reason.RETRY,
            next_attempt_at=max(now, attempt.begun_at + RESEND_DELAY),
            back=State.UNKNOWN,
            was_resent=True,
        )
    return changes


def _taken(message: Message, outcome: Accepted, state: State, now: datetime) -> dict[str, Any]:
    """The fields that Zalo's yes changes: all of them if it made the message `sent`, else what was missing.

    `msg_id` is the one that the status goes by; every other one that Zalo gave is kept beside it.
    """
    if state not in (State.SENT, State.DELIVERED):
        return {}
    is_sent_now = state is not message.state
    msg_id = outcome.msg_id if is_sent_now else message.msg_id or outcome.msg_id
    given = dict.fromkeys((*message.other_msg_ids, message.msg_id, outcome.msg_id))
    sent_at = outcome.sent_at or now
    return {
        "msg_id": msg_id,
        "other_msg_ids": tuple(one for one in given if one is not None and one != msg_id),
        "sent_at": sent_at if is_sent_now else message.sent_at or sent_at,
        "quota": outcome.quota or message.quota,
        "error": None,
        "reason": None,
        "next_attempt_at": None,
    }


def received(message: Message, receipt: Receipt, now: datetime) -> Message:
    """The message after Zalo's word that the phone has it."""
    state = _target(message, Fact.RECEIPT)
    if message.state is state:
        return _with(message, now, Fact.RECEIPT, state, cause="said again")
    return _with(
        message,
        now,
        Fact.RECEIPT,
        state,
        delivered_at=receipt.delivered_at or now,
        msg_id=message.msg_id or receipt.msg_id,
        error=None,
        reason=None,
        next_attempt_at=None,
    )


def expired(message: Message, now: datetime) -> Message:
    """The message after its time has passed; the error that it waited with is kept."""
    return _with(message, now, Fact.EXPIRY, _target(message, Fact.EXPIRY), reason=None, next_attempt_at=None)


def _target(message: Message, fact: Fact, *, is_alone: bool = True) -> State:
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


_FACTS: Final[dict[type, Fact]] = {
    Accepted: Fact.ACCEPTED,
    Refused: Fact.REFUSED,
    Deferred: Fact.DEFERRED,
    Uncertain: Fact.UNCERTAIN,
}


def _cause(outcome: Outcome) -> str | None:
    """What the timeline says of an outcome."""
    if isinstance(outcome, Accepted):
        return None
    zalo = outcome.error.zalo
    return outcome.error.code if zalo is None else f"{outcome.error.code} ({zalo.error})"


def _with(
    message: Message,
    now: datetime,
    fact: str,
    state: State,
    *,
    attempt: int | None = None,
    cause: str | None = None,
    **changes: Any,
) -> Message:
    entry = Entry(now, str(fact), state.status, attempt, cause)
    return msgspec.structs.replace(
        message,
        state=state,
        updated_at=max(now, message.updated_at),
        timeline=(*message.timeline, entry),
        version=message.version + 1,
        **changes,
    )
