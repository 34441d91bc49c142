"""A Hold: something that keeps a whole account, template or event type from sending, and what would cure it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from .delivery import Deferred, Reason, Scope
from .schedule import earliest_try

_BY_ITSELF: Final = "nothing to do: it goes on by itself"
_CURES: Final[Mapping[Reason, str]] = {
    Reason.BILLING: "top up the ZBS account, or link one",
    Reason.CONFIGURATION: "mend the Official Account or the app with Zalo",
    Reason.CREDENTIALS: "correct app_secret of the account, and restart the gateway",
}
"""What a person has to do; for all else time is the cure."""


class Hold(msgspec.Struct, frozen=True):
    """Messages that it covers wait as `queued` with its `reason` and burn no attempts.

    No `template_id` and no `event_type`: the whole account. `until` is when it ends by itself; None: a probe or
    a person ends it.
    """

    account: str
    reason: Reason
    since: datetime
    cause: str
    cure: str
    template_id: str | None = None
    event_type: str | None = None
    until: datetime | None = None

    @property
    def is_narrow(self) -> bool:
        """True if it holds a template or a type, and not the whole account."""
        return self.template_id is not None or self.event_type is not None

    @property
    def key(self) -> str:
        """What it covers, as one word: a later hold on the same replaces it."""
        return f"{self.account}|{self.template_id or ''}|{self.event_type or ''}"

    def covers(self, account: str, template_id: str | None, event_type: str) -> bool:
        """True if a message of this account, template and type has to wait."""
        return (
            self.account == account
            and self.template_id in (None, template_id)
            and self.event_type in (None, event_type)
        )

    def is_over(self, now: datetime) -> bool:
        """True once its own end has come."""
        return self.until is not None and now >= self.until


def hold_for(account: str, template_id: str | None, outcome: Deferred, now: datetime) -> Hold | None:
    """What an answer about a message of this account and template puts in the way of others; None if nothing."""
    wait = outcome.wait
    if not wait.brings_hold:
        return None
    return Hold(
        account,
        wait.reason,
        now,
        outcome.error.code,
        _CURES.get(wait.reason, _BY_ITSELF),
        template_id=template_id if wait.scope is Scope.TEMPLATE else None,
        until=earliest_try(wait.until, now),
    )
