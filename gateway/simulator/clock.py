"""Time: the wall's, Vietnam's days, and a simulated one that may run faster."""

import heapq
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

VIETNAM_OFFSET_S = 7 * 3600
DAY_S = 86_400
NIGHT_STARTS_HOUR, NIGHT_ENDS_HOUR = 22, 6

T = TypeVar("T")


class Clock:
    """Simulated seconds pass `scale` times as fast as real ones, and never jump when the scale changes."""

    def __init__(
        self,
        scale: float = 1.0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Start at simulated zero."""
        self.scale = scale
        self.wall = wall
        self._monotonic = monotonic
        self._since = monotonic()
        self._before = 0.0

    def elapsed(self) -> float:
        """Simulated seconds since the start."""
        return self._before + (self._monotonic() - self._since) * self.scale

    def rescale(self, scale: float) -> None:
        """From now on simulated time runs `scale` times as fast as real time; `scale` is positive."""
        self._before = self.elapsed()
        self._since = self._monotonic()
        self.scale = scale


class Agenda(Generic[T]):
    """What is to happen at which simulated second; things of one moment keep their order."""

    def __init__(self) -> None:
        """Start empty."""
        self._heap: list[tuple[float, int, T]] = []
        self._count = 0
        self.on_sooner: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        """How many things are still to happen."""
        return len(self._heap)

    def put(self, due: float, thing: T) -> None:
        """`thing` comes out of `take` once `due` has come; `on_sooner` is told if it is now the first."""
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, thing))
        if self._heap[0][1] == self._count:
            self.on_sooner()

    def take(self, now: float) -> list[T]:
        """All that was due by `now`, in order; it is no longer here."""
        taken = []
        while self._heap and self._heap[0][0] <= now:
            taken.append(heapq.heappop(self._heap)[2])
        return taken

    def next_due(self) -> float | None:
        """The simulated second of the first thing, or None when there is nothing."""
        return self._heap[0][0] if self._heap else None


def vietnam_day(wall: float) -> int:
    """The number of the day that it is in Vietnam, where a day of quota begins at midnight."""
    return int((wall + VIETNAM_OFFSET_S) // DAY_S)


def vietnam_month(wall: float) -> tuple[int, int]:
    """The year and month that it is in Vietnam."""
    there = datetime.fromtimestamp(wall + VIETNAM_OFFSET_S, UTC)
    return there.year, there.month


def is_night(wall: float) -> bool:
    """Whether it is between 22:00 and 05:59 in Vietnam."""
    hour = int((wall + VIETNAM_OFFSET_S) % DAY_S // 3600)
    return hour >= NIGHT_STARTS_HOUR or hour < NIGHT_ENDS_HOUR


def text_of(wall: float | None) -> str | None:
    """RFC 3339 in UTC with milliseconds; None stays None."""
    if wall is None:
        return None
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
