"""A Hold: something that keeps a whole account, template or event type from sending, and what would cure it."""

from datetime import datetime

import msgspec

from .delivery import Reason


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
