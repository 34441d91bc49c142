"""What an operator may do to a message: cancel it, send it again, say what became of it."""

from datetime import datetime
from typing import Final, Literal

from .delivery import NEXT, Category, DeliveryError, Fact, Reason, Special, State
from .errors import Fault, InvalidRequest, WrongState
from .event import has_controls
from .message import Message, changed, target
from .phone import without_numbers

Order = Literal["cancel", "resend"]
"""What many messages can be told at once."""
Verdict = Literal["delivered", "failed"]

MAX_NOTE_LENGTH: Final = 200
_FACTS: Final[dict[Order, Fact]] = {"cancel": Fact.CANCEL, "resend": Fact.RESEND}

# What the mapping decides of a message, and decides anew when it is sent again.
_FILLED: Final = (
    "mapping_version",
    "account",
    "template_id",
    "phone",
    "priority",
    "resends",
    "ignores_quiet_hours",
    "time_limit",
    "life",
    "grace",
    "not_before",
    "expires_at",
)


def statuses_for(order: Order) -> frozenset[str]:
    """The statuses that allow it."""
    return frozenset(state.status for state, row in NEXT.items() if row[_FACTS[order]] is not Special.CONFLICT)


def check(message: Message, order: Order) -> None:
    """The message's status allows it; raises WrongState."""
    target(message, _FACTS[order])


def cancelled(message: Message, now: datetime, *, cause: str) -> Message:
    """The message will not be sent; a second try that has not begun is given up. Raises WrongState."""
    state = target(message, Fact.CANCEL)
    return changed(message, now, Fact.CANCEL, state, cause=cause, reason=None, next_attempt_at=None)


def resent(message: Message, filled: Message, now: datetime, *, cause: str) -> Message:
    """The message is queued once more, as `filled` from its event by the mapping in force. Raises WrongState."""
    state = target(message, Fact.RESEND)
    anew = {name: getattr(filled, name) for name in _FILLED}
    if filled.account != message.account:
        anew["former_accounts"] = tuple({*message.former_accounts, message.account} - {filled.account})
    is_early = filled.not_before is not None and filled.not_before > now
    return changed(
        message,
        now,
        Fact.RESEND,
        state,
        cause=cause,
        back=message.state if state is State.QUEUED_AGAIN else None,
        # Of a message that begins anew nothing has been said yet; where an attempt is in doubt, that stands.
        error=message.error if state is State.QUEUED_AGAIN else None,
        reason=Reason.NOT_BEFORE if is_early else None,
        next_attempt_at=filled.not_before if is_early else None,
        **anew,
    )


def settled(message: Message, verdict: Verdict, now: datetime, *, cause: str) -> Message:
    """The unknown message is what a person found out that it is; a later receipt is still heard. Raises WrongState.

    Of one that failed nothing is in doubt any more: what an attempt of it still answers is noted, and no more.
    """
    if message.state is not State.UNKNOWN:
        raise WrongState(f"a message that is {message.state.status} does not allow settle; only unknown does")
    if verdict == "delivered":
        return changed(message, now, "settle", State.DELIVERED, cause=cause, delivered_at=now, error=None)
    return changed(message, now, "settle", State.FAILED, cause=cause, error=_SETTLED_AS_FAILED, unsettled=())


_SETTLED_AS_FAILED: Final = DeliveryError(
    code="settled-as-failed",
    category=Category.TRANSIENT,
    detail="it was unknown whether Zalo took it, and an operator found out that it did not",
    permanent=True,
    advice="use another channel, or ask an operator to resend it",
)


def signed(by: str, note: str | None) -> str:
    """What the timeline says of an order: who gave it, and why; raises InvalidRequest for a note that is no line."""
    if not note:
        return f"by {by}"
    if len(note) > MAX_NOTE_LENGTH or has_controls(note):
        detail = f"`note` may have {MAX_NOTE_LENGTH} characters at most, and no control characters"
        raise InvalidRequest(detail, errors=[Fault("/note", detail)])
    return f"by {by}: {without_numbers(note)}"
