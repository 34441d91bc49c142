"""When: Vietnam's mornings, days and months, quiet hours, growing delays.

Zalo counts days and nights in Vietnam, which is seven hours ahead of UTC and has no summer time.
`chance` is a number from 0 to 1 that the caller has drawn; everything else is an argument too.
"""

import re
from collections.abc import Callable
from datetime import datetime, time, timedelta, timezone
from typing import Final, assert_never

import msgspec

from .delivery import Deferred, Until

VIETNAM: Final = timezone(timedelta(hours=7))
MORNING: Final = time(6, 0)
SHORTEST_DELAY: Final = timedelta(milliseconds=100)
MORNING_SPREAD: Final = timedelta(minutes=5)
JUST_NOW: Final = timedelta(minutes=1)
"""So far at most the clocks of Zalo and of this machine are apart."""
SHORT_WAIT: Final = timedelta(minutes=1)
_QUIET: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


class Backoff(msgspec.Struct, frozen=True):
    """How delays grow: `first` doubles with each try, up to `cap`."""

    first: timedelta
    cap: timedelta

    def delay(self, tries: int, chance: float) -> timedelta:
        """A random delay after so many tries: from 100 ms to what the doubling has come to."""
        growth = 2 ** min(max(tries - 1, 0), 62)
        longest = self.first * growth if self.first < self.cap / growth else self.cap
        return max(SHORTEST_DELAY, SHORTEST_DELAY + (longest - SHORTEST_DELAY) * chance)


class QuietHours(msgspec.Struct, frozen=True):
    """A stretch of every Vietnamese day, start included, end excluded; it may pass midnight."""

    start: time
    end: time

    def until(self, now: datetime) -> datetime | None:
        """When the quiet that `now` lies in ends, or None if `now` is not quiet."""
        local = now.astimezone(VIETNAM)
        clock = local.time()
        passes_midnight = self.start > self.end
        is_quiet = (clock >= self.start or clock < self.end) if passes_midnight else self.start <= clock < self.end
        if not is_quiet:
            return None
        ends_tomorrow = passes_midnight and clock >= self.start
        day = local.date() + timedelta(days=1 if ends_tomorrow else 0)
        return datetime.combine(day, self.end, VIETNAM).astimezone(now.tzinfo)


def read_quiet_hours(text: str) -> QuietHours | None:
    """The hours in text such as "22:00-06:00"; empty text is None. Raises ValueError for anything else."""
    if not text:
        return None
    found = _QUIET.fullmatch(text)
    if found is None or found[1] + found[2] == found[3] + found[4]:
        raise ValueError('must be "" or two different times such as "22:00-06:00"')
    start_hour, start_minute, end_hour, end_minute = (int(part) for part in found.groups())
    return QuietHours(time(start_hour, start_minute), time(end_hour, end_minute))


def next_morning(now: datetime) -> datetime:
    """The next 06:00 in Vietnam.

    Source: docs/zalo.md, "Hours" (-133 from 22:00 to 05:59).
    """
    local = now.astimezone(VIETNAM)
    day = local.date() if local.time() < MORNING else local.date() + timedelta(days=1)
    return datetime.combine(day, MORNING, VIETNAM).astimezone(now.tzinfo)


def next_day(now: datetime) -> datetime:
    """The next midnight in Vietnam, when daily quotas are thought to start anew."""
    tomorrow = now.astimezone(VIETNAM).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), VIETNAM).astimezone(now.tzinfo)


def next_month(now: datetime) -> datetime:
    """The next first of a month, midnight in Vietnam."""
    first = now.astimezone(VIETNAM).date().replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return datetime.combine(following, time(), VIETNAM).astimezone(now.tzinfo)


def earliest_try(until: Until, now: datetime) -> datetime | None:
    """The first moment at which a message that waits so could go out; None: not known."""
    match until:
        case Until.BACKOFF:
            return now + SHORTEST_DELAY
        case Until.MORNING:
            return _next(next_morning, now)
        case Until.NEXT_DAY:
            return _next(next_day, now)
        case Until.NEXT_MONTH:
            return _next(next_month, now)
        case Until.NEW_GRANT:
            return now
        case Until.CURE:
            return None
    assert_never(until)


def _next(moment: Callable[[datetime], datetime], now: datetime) -> datetime:
    """The next such moment, or soon, where one has only just been here and may lie ahead at Zalo yet."""
    # Whole seconds, so that what comes back at the same time waits for the same moment.
    return now.replace(microsecond=0) + SHORT_WAIT if moment(now - JUST_NOW) <= now else moment(now)


def next_try(
    outcome: Deferred, tries: int, now: datetime, expires_at: datetime, *, backoff: Backoff, chance: float
) -> datetime | None:
    """When a deferred message is tried again, or None if only a cure can tell.

    Jitter alone never carries a message past its expiry: where the earliest moment lies before it, so does the
    one that is returned.
    """
    wait = outcome.wait
    earliest = earliest_try(wait.until, now)
    if earliest is None:
        return None
    if outcome.retry_after_s is not None:
        earliest = max(earliest, now + timedelta(seconds=outcome.retry_after_s))
    match wait.until:
        case Until.BACKOFF:
            chosen = max(earliest, now + backoff.delay(tries, chance))
        case Until.MORNING | Until.NEXT_DAY | Until.NEXT_MONTH:
            chosen = earliest + MORNING_SPREAD * chance
        case _:
            chosen = earliest
    if chosen >= expires_at > earliest:
        return earliest
    return chosen
