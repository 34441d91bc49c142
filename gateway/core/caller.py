"""A Caller: a service, or a person with an operator's rights, that calls the gateway."""

from datetime import datetime
from typing import Literal

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """Who calls, and what it may do. `events` are patterns; `*` in them matches any characters, dots too."""

    name: str
    events: tuple[str, ...] = ()
    is_operator: bool = False
    mode: Literal["live", "development"] = "live"
    max_per_second: int = 0

    def may_send(self, event_type: str) -> bool:
        """True if a pattern covers the type."""
        return any(_matches(pattern, event_type) for pattern in self.events)


def _matches(pattern: str, text: str) -> bool:
    """True if the pieces between the stars stand in the text in their order; one walk through it, no backtracking."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    if not text.startswith(first):
        return False
    *middle, last = rest
    at = len(first)
    for part in middle:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(text) - len(last) >= at and text.endswith(last)


class Bucket:
    """So many a second, with at most a second's worth at once; 0 means no limit."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._left = float(per_second)
        self._at: datetime | None = None

    def take(self, now: datetime) -> float:
        """0 if one may go now, and then it has been taken; else the seconds until one may."""
        if self._per_second == 0:
            return 0.0
        if self._at is not None:
            gained = max(0.0, (now - self._at).total_seconds()) * self._per_second
            self._left = min(float(self._per_second), self._left + gained)
        self._at = now
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / self._per_second
