"""What is left of an account's day at Zalo, as far as it is known, and the last of it that is kept for what is urgent."""

from collections import deque
from datetime import datetime, timedelta
from typing import Final

import msgspec

from .delivery import Quota
from .schedule import next_day

_LOOK_AGAIN: Final = timedelta(seconds=1)
_FORGOTTEN_AFTER: Final = timedelta(seconds=30)


class KnownQuota(msgspec.Struct, frozen=True):
    """The daily quota as Zalo told it at `as_of`; `remaining` says nothing once that day is over."""

    daily: int | None
    remaining: int | None
    as_of: datetime


def left_today(known: KnownQuota | None, now: datetime) -> int | None:
    """What remains of the Vietnamese day that it is; None if that is not known."""
    if known is None or now >= next_day(known.as_of):
        return None
    return known.remaining


def heard_from_a_send(known: KnownQuota | None, quota: Quota, now: datetime) -> KnownQuota:
    """What is known after the answer to a send.

    Answers overtake one another, so that of two in a day the lower is the later; a new daily quota begins anew.
    """
    if known is None:
        return KnownQuota(quota.daily, quota.remaining, now)
    daily = known.daily if quota.daily is None else quota.daily
    before = left_today(known, now) if daily == known.daily else None
    if quota.remaining is None:
        return msgspec.structs.replace(known, daily=daily)
    remaining = quota.remaining if before is None else min(before, quota.remaining)
    return KnownQuota(daily, remaining, now)


class Reserve:
    """The last so many messages of the day, which only urgent ones may use; 0 keeps nothing back.

    What has departed since Zalo's last word counts, until its own answer has come or will not come any more.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._departed: deque[datetime] = deque()

    def until(self, remaining: int | None, now: datetime) -> datetime | None:
        """When a message that is not urgent may be looked at again; None: it may go now."""
        if self.size == 0 or remaining is None:
            return None
        if remaining <= self.size:
            return next_day(now)
        while self._departed and self._departed[0] + _FORGOTTEN_AFTER <= now:
            self._departed.popleft()
        return now + _LOOK_AGAIN if remaining - len(self._departed) <= self.size else None

    def depart(self, now: datetime) -> None:
        """One message more is on its way."""
        if self.size:
            self._departed.append(now)

    def arrive(self) -> None:
        """One that was on its way has been answered."""
        if self._departed:
            self._departed.popleft()
