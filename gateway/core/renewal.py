"""When a grant is presented to be renewed: decided here, from the grant and the time alone.

Source: docs/zalo.md §3.4, contract §4 "Refreshing".
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from .grant import UNPROVEN, Grant

AHEAD: Final = 2 / 3
"""So much of an access token's life passes before it is renewed: eight of 25 hours are left when that goes wrong."""
JITTER: Final = 0.02
"""So much of its life later at most, so that not every process asks at the same moment."""
LAST_CHANCE_BEFORE: Final = timedelta(hours=2)
LAST_CHANCE_SHARE: Final = 12
LAST_CHANCE_AFTER: Final = timedelta(seconds=3)
"""The last chance comes so long after the loss at the soonest: one hiccup of Zalo's shall not take both."""
_REFUSED_PAUSE: Final = timedelta(seconds=30)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_MOST_DOUBLINGS: Final = 7


class Due(msgspec.Struct, frozen=True):
    """The refresh token is to be presented now."""


class Later(msgspec.Struct, frozen=True):
    """Not before then; None: not at all, unless something else happens to the grant."""

    at: datetime | None = None


def renewal(
    grant: Grant, now: datetime, *, is_rejected: bool, jitter: float = 0.0, is_restarted: bool = False
) -> Due | Later:
    """Whether to present the refresh token now; a lost one only as the last chance, when nothing is left to lose.

    `is_rejected`: Zalo takes the access token no more. `jitter` is from 0 to 1. `is_restarted`: this process has not
    asked yet, and what an earlier one was refused does not hold it up.
    """
    trouble = grant.trouble
    is_unproven = trouble is not None and trouble.kind == UNPROVEN
    if trouble is not None and trouble.is_final and not is_unproven:
        return Later()
    if grant.is_asking:
        return Later()
    ahead_at = grant.obtained_at + grant.life * (AHEAD + JITTER * jitter)
    at = last_chance_at(grant) if grant.is_lost else ahead_at
    if is_rejected and not is_unproven:
        at = min(at, now)
    # Where that lies ahead of us a clock was turned back, and it tells nothing.
    if grant.is_lost and trouble is not None and trouble.since <= now:
        at = max(at, trouble.since + LAST_CHANCE_AFTER)
    if trouble is not None and trouble.refused_at is not None and not is_restarted:
        at = max(at, trouble.refused_at + pause(trouble.refusals))
    return Due() if now >= at else Later(at)


def is_overdue(grant: Grant, now: datetime) -> bool:
    """True if every running gateway has wanted to renew it for a while, and nothing on record says why it is as it was."""
    return grant.trouble is None and now >= grant.obtained_at + grant.life * (AHEAD + 2 * JITTER)


def last_chance_at(grant: Grant) -> datetime:
    """When a lost refresh token is presented once more although the access token still works."""
    return grant.expires_at - min(LAST_CHANCE_BEFORE, grant.life / LAST_CHANCE_SHARE)


def pause(refusals: int) -> timedelta:
    """How long is waited after so many refusals in a row: 30 s, doubling, at most an hour."""
    doublings = min(refusals - 1, _MOST_DOUBLINGS)
    return min(_REFUSED_PAUSE * (1 << doublings), _LONGEST_PAUSE)
