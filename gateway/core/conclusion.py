"""How an attempt ends: a message and an outcome make the message afterwards."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from .delivery import Accepted, Deferred, Fact, Outcome, Reason, Refused, State, Uncertain
from .message import RESEND_DELAY, Attempt, Message, changed, expired, target

_FACTS: Final[dict[type, Fact]] = {
    Accepted: Fact.ACCEPTED,
    Refused: Fact.REFUSED,
    Deferred: Fact.DEFERRED,
    Uncertain: Fact.UNCERTAIN,
}


def concluded(
    message: Message,
    number: int,
    outcome: Outcome,
    now: datetime,
    *,
    next_attempt_at: datetime | None = None,
) -> Message:
    """The message after attempt `number` has ended in `outcome`.

    A Deferred message waits until `next_attempt_at`, or for the end of the hold that its outcome brings; where the
    former is not before its expiry it has expired.
    An attempt that is already concluded otherwise than uncertain changes nothing any more.
    """
    fact, cause = _FACTS[type(outcome)], _cause(outcome)
    attempt = next((one for one in message.unsettled if one.number == number), None)
    if attempt is None:
        return changed(message, now, fact, message.state, attempt=number, cause=cause)
    others = tuple(one for one in message.unsettled if one.number != number)
    state = _conclusion(message, attempt, fact, others)
    if isinstance(outcome, Uncertain):
        kept = tuple(
            msgspec.structs.replace(one, is_open=False) if one is attempt else one for one in message.unsettled
        )
    else:
        kept = others
    changes = _changes(message, outcome, state, attempt, next_attempt_at, now)
    after = changed(message, now, fact, state, attempt=number, cause=cause, unsettled=kept, **changes)
    moment = after.next_attempt_at
    if after.state.is_waiting and moment is not None and moment >= after.expires_at:
        return expired(after, now)
    if changes and isinstance(outcome, Deferred) and outcome.wait.brings_hold:
        return msgspec.structs.replace(after, next_attempt_at=None)
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
        return target(message, fact, is_alone=is_alone)
    if fact is Fact.UNCERTAIN or not is_alone:
        return message.state
    return State.SENDING if message.state is State.SENDING_AGAIN else target(message, fact)


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


def _cause(outcome: Outcome) -> str | None:
    """What the timeline says of an outcome."""
    if isinstance(outcome, Accepted):
        return None
    zalo = outcome.error.zalo
    return outcome.error.code if zalo is None else f"{outcome.error.code} ({zalo.error})"
