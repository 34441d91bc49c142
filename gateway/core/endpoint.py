"""How the endpoint of a caller does, as its last calls have shown: what it is spared, and when it is called no more."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

GONE: Final = 410
FAILING_AFTER: Final = 5
"""So many failures in a row, and the endpoint counts as failing: it gets one call at a time."""

HOPELESS_AFTER: Final = timedelta(days=1)
"""How long an endpoint may fail before it is called no more."""

_SPARED_AFTER: Final = timedelta(seconds=10)
_SHARE_OF_REST: Final = 10
_LONGEST_REST: Final = timedelta(seconds=30)


class Standing(msgspec.Struct, frozen=True):
    """The failures since the last success: how many, since when, and until when the endpoint is left alone."""

    failures: int = 0
    since: datetime | None = None
    not_before: datetime | None = None

    @property
    def is_failing(self) -> bool:
        """True once it is the endpoint that fails, not this or that callback."""
        return self.failures >= FAILING_AFTER

    def room(self, at_once: int, now: datetime) -> int:
        """How many calls it may have at once; a failing one gets one, and none while it is left alone."""
        # A clock that was set back does not prolong the rest.
        if self.not_before is not None and now < self.not_before <= now + _LONGEST_REST:
            return 0
        return 1 if self.is_failing else at_once

    def is_hopeless(self, now: datetime) -> bool:
        """True when it has failed for a day."""
        return self.is_failing and self.since is not None and now >= self.since + HOPELESS_AFTER


class Disabled(msgspec.Struct, frozen=True):
    """Since when an endpoint is called no more, until the next reload, and why."""

    since: datetime
    cause: str


def is_taken(status: int | None) -> bool:
    """True if this answer ends a callback."""
    return status is not None and 200 <= status < 300


def after_failure(standing: Standing, now: datetime, *, retry_after_s: int | None) -> Standing:
    """The standing with one failure more.

    A failing endpoint is left alone after each call for a tenth of the time that it has failed, from 10 s on, up
    to 30 s; so what waits for it is not tried in vain all the time, and it is soon known that it answers again.
    """
    since = standing.since or now
    after = Standing(standing.failures + 1, since)
    if not after.is_failing:
        return after
    rest = max(timedelta(), now - since - _SPARED_AFTER) / _SHARE_OF_REST
    if retry_after_s is not None:
        rest = max(rest, timedelta(seconds=min(retry_after_s, _LONGEST_REST.total_seconds())))
    return msgspec.structs.replace(after, not_before=now + min(rest, _LONGEST_REST))
