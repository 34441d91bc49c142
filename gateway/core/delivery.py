"""What can become of a message: its states, the facts that move it, and the literal table between them.

`NEXT` is the contract's table of facts. What is not in it cannot happen. An attempt whose lease has lapsed is
uncertain, never pending again; `docs/statuses.md` holds the diagram that is generated from here.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec


class State(StrEnum):
    """Where a message is. The two `AGAIN` states are a second try while an earlier attempt is unsettled."""

    QUEUED = "queued"
    SENDING = "sending"
    QUEUED_AGAIN = "queued-again"
    SENDING_AGAIN = "sending-again"
    SENT = "sent"
    UNKNOWN = "unknown"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def status(self) -> str:
        """The word that callers see."""
        return _STATUS.get(self, self.value)

    @property
    def is_waiting(self) -> bool:
        """True while nothing has left for Zalo in this try."""
        return self in (State.QUEUED, State.QUEUED_AGAIN)

    @property
    def is_sending(self) -> bool:
        """True while a request to Zalo is under way."""
        return self in (State.SENDING, State.SENDING_AGAIN)

    @property
    def is_again(self) -> bool:
        """True during a second try."""
        return self in (State.QUEUED_AGAIN, State.SENDING_AGAIN)


_STATUS: Final = {State.QUEUED_AGAIN: "queued", State.SENDING_AGAIN: "sending"}


class Fact(StrEnum):
    """What can happen to a message."""

    CLAIM = "claim"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    DEFERRED = "deferred"
    UNCERTAIN = "uncertain"
    RECEIPT = "receipt"
    SILENT = "silent"
    EXPIRY = "expiry"
    CANCEL = "cancel"
    RESEND = "resend"


class Special(StrEnum):
    """What a cell of the table says when it does not name a state outright."""

    NOTED = "="  # the timeline says it, nothing else changes
    CONFLICT = "409"  # an operator asked for what this status does not allow
    NEVER = "×"  # cannot happen; an error of ours
    BACK = "back"  # to what the message was before its second try
    MAYBE_AGAIN = "unknown | queued-again"  # a second try if the mapping says `resend`
    FAILED_IF_ALONE = "failed | ="  # unless another attempt is still unsettled
    QUEUED_IF_ALONE = "queued | ="


Cell = State | Special

_NOTED, _CONFLICT, _NEVER, _BACK = Special.NOTED, Special.CONFLICT, Special.NEVER, Special.BACK


def _row(*cells: Cell) -> Mapping[Fact, Cell]:
    return dict(zip(Fact, cells, strict=True))


# fmt: off
NEXT: Final[Mapping[State, Mapping[Fact, Cell]]] = {
    # one column a Fact:       claim, accepted, refused, deferred, uncertain, receipt, silent, expiry, cancel, resend
    State.QUEUED: _row(
        State.SENDING, _NEVER, _NEVER, _NEVER, _NEVER,
        State.DELIVERED, _NEVER, State.EXPIRED, State.CANCELLED, _CONFLICT),
    State.SENDING: _row(
        _NEVER, State.SENT, State.FAILED, State.QUEUED, Special.MAYBE_AGAIN,
        State.DELIVERED, _NEVER, _NOTED, _CONFLICT, _CONFLICT),
    State.QUEUED_AGAIN: _row(
        State.SENDING_AGAIN, State.SENT, State.FAILED, State.QUEUED, _NOTED,
        State.DELIVERED, _NOTED, _BACK, _BACK, _CONFLICT),
    State.SENDING_AGAIN: _row(
        _NEVER, State.SENT, _BACK, State.QUEUED_AGAIN, State.UNKNOWN,
        State.DELIVERED, _NOTED, _NOTED, _CONFLICT, _CONFLICT),
    State.SENT: _row(
        _NEVER, _NOTED, _NOTED, _NOTED, _NOTED,
        State.DELIVERED, State.UNDELIVERED, _NOTED, _CONFLICT, _CONFLICT),
    State.UNKNOWN: _row(
        _NEVER, State.SENT, Special.FAILED_IF_ALONE, Special.QUEUED_IF_ALONE, _NOTED,
        State.DELIVERED, _NOTED, _NOTED, _CONFLICT, State.QUEUED_AGAIN),
    State.DELIVERED: _row(
        _NEVER, _NOTED, _NOTED, _NOTED, _NOTED,
        _NOTED, _NOTED, _NOTED, _CONFLICT, _CONFLICT),
    State.UNDELIVERED: _row(
        _NEVER, _NOTED, _NOTED, _NOTED, _NOTED,
        State.DELIVERED, _NOTED, _NOTED, _CONFLICT, State.QUEUED_AGAIN),
    State.FAILED: _row(
        _NEVER, _NOTED, _NOTED, _NOTED, _NOTED,
        State.DELIVERED, _NEVER, _NOTED, _CONFLICT, State.QUEUED),
    State.EXPIRED: _row(
        _NEVER, _NEVER, _NEVER, _NEVER, _NEVER,
        State.DELIVERED, _NEVER, _NOTED, _CONFLICT, State.QUEUED),
    State.CANCELLED: _row(
        _NEVER, _NEVER, _NEVER, _NEVER, _NEVER,
        State.DELIVERED, _NEVER, _NOTED, _CONFLICT, _CONFLICT),
    State.SKIPPED: _row(
        _NEVER, _NEVER, _NEVER, _NEVER, _NEVER,
        _NOTED, _NEVER, _NOTED, _CONFLICT, _CONFLICT),
}
# fmt: on


class Reason(StrEnum):
    """What a queued message waits for; none means its turn."""

    RETRY = "retry"
    QUIET_HOURS = "quiet-hours"
    QUOTA = "quota"
    RATE = "rate"
    CREDENTIALS = "credentials"
    BILLING = "billing"
    CONFIGURATION = "configuration"
    UPSTREAM = "upstream"
    OPERATOR = "operator"
    NOT_BEFORE = "not-before"


class Scope(StrEnum):
    """How much one answer of Zalo holds up."""

    MESSAGE = "message"
    TEMPLATE = "template"
    ACCOUNT = "account"


class Until(StrEnum):
    """What ends a wait. The moments are Vietnam's; `core.schedule` turns them into a time."""

    BACKOFF = "backoff"  # a growing random delay
    MORNING = "morning"  # 06:00
    NEXT_DAY = "next-day"  # 00:00
    NEXT_MONTH = "next-month"  # 00:00 on the first
    NEW_GRANT = "new-grant"  # at once, with a generation newer than the one that was refused
    CURE = "cure"  # a probe succeeds, or a person has mended it


class Wait(msgspec.Struct, frozen=True):
    """Why, how widely and until when to wait."""

    reason: Reason
    scope: Scope
    until: Until

    @property
    def brings_hold(self) -> bool:
        """True if others wait for the same: a hold stands in their way, and is all that this message waits for, too."""
        return self.scope is not Scope.MESSAGE and self.until is not Until.NEW_GRANT


class Category(StrEnum):
    """Whose business an error is."""

    RECIPIENT = "recipient"
    REQUEST = "request"
    CONFIGURATION = "configuration"
    CREDENTIALS = "credentials"
    BILLING = "billing"
    QUOTA = "quota"
    WINDOW = "window"
    TRANSIENT = "transient"
    UNRECOGNISED = "unrecognised"


class ZaloWord(msgspec.Struct, frozen=True):
    """What Zalo said, as it said it."""

    error: int
    message: str


class DeliveryError(msgspec.Struct, frozen=True):
    """The last word about a message that was not taken: Zalo's, or ours when `zalo` is None."""

    code: str
    category: Category
    detail: str
    permanent: bool
    advice: str
    zalo: ZaloWord | None = None


class Quota(msgspec.Struct, frozen=True):
    """The account's daily quota as Zalo's last answer told it."""

    daily: int | None
    remaining: int | None


class Accepted(msgspec.Struct, frozen=True):
    """Zalo took it. `sent_at` is Zalo's time where it gave one."""

    msg_id: str
    sent_at: datetime | None = None
    quota: Quota | None = None


class Refused(msgspec.Struct, frozen=True):
    """Zalo will not take it, for good. `blocks_template` when every message of the template would fail alike."""

    error: DeliveryError
    blocks_template: bool = False


class Deferred(msgspec.Struct, frozen=True):
    """It provably was not taken, and may be tried again when `wait` is over."""

    error: DeliveryError
    wait: Wait
    retry_after_s: int | None = None


class Uncertain(msgspec.Struct, frozen=True):
    """The request may or may not have been taken: it is never repeated by itself."""

    error: DeliveryError


Outcome = Accepted | Refused | Deferred | Uncertain

# What we come to by ourselves, without a word of Zalo's or of the network's.
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
NEVER_LEFT: Final = Deferred(
    DeliveryError(
        code="not-begun",
        category=Category.TRANSIENT,
        detail="the gateway was held up before it could send this; nothing left for Zalo",
        permanent=False,
        advice="nothing: it goes out by itself if its time limit allows",
    ),
    Wait(Reason.RETRY, Scope.MESSAGE, Until.BACKOFF),
)
NO_OUTCOME: Final = Uncertain(
    DeliveryError(
        code="no-outcome",
        category=Category.TRANSIENT,
        detail="the process that sent this ended before it could record the outcome",
        permanent=False,
        advice="wait for the receipt; do not send it again another way if a second message would hurt",
    )
)

_OTHERWISE: Final = "use another channel, or ask an operator to resend it"
_WAITED: Final[dict[Reason | None, tuple[Category, str]]] = {
    None: (Category.TRANSIENT, "its turn"),
    Reason.RETRY: (Category.TRANSIENT, "another try"),
    Reason.QUIET_HOURS: (Category.WINDOW, "the end of the quiet hours"),
    Reason.QUOTA: (Category.QUOTA, "more quota"),
    Reason.RATE: (Category.TRANSIENT, "its turn"),
    Reason.CREDENTIALS: (Category.CREDENTIALS, "the account to have a working access token"),
    Reason.BILLING: (Category.BILLING, "the account's billing to be mended"),
    Reason.CONFIGURATION: (Category.CONFIGURATION, "the account's settings to be mended"),
    Reason.UPSTREAM: (Category.TRANSIENT, "Zalo to answer again"),
    Reason.OPERATOR: (Category.TRANSIENT, "an operator who had stopped it"),
    Reason.NOT_BEFORE: (Category.WINDOW, "the moment before which it was not to be sent"),
}


def waited_too_long(reason: Reason | None, *, has_passed: bool) -> DeliveryError:
    """Why a message that Zalo has said nothing of was not sent while its time lasted, or, if that lasts, will not be."""
    category, what = _WAITED[reason]
    passed = "passed" if has_passed else "would have passed"
    return DeliveryError(
        code="waited-too-long",
        category=category,
        detail=f"its time {passed} while it waited for {what}",
        permanent=True,
        advice=_OTHERWISE,
    )


def given_up(error: DeliveryError) -> DeliveryError:
    """The error that a message waited with, now that it waits no more."""
    return msgspec.structs.replace(error, permanent=True, advice=_OTHERWISE)
