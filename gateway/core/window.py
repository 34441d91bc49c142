"""How many requests may be under way at once: each of them is an unknown message if Zalo stops answering now."""

from datetime import datetime, timedelta
from typing import Final

START: Final = 8
WAITED_FOR: Final = 64
"""So many may be under way before any answer where somebody waits for each."""

_IDLE: Final = timedelta(seconds=10)


class Window:
    """Opens with Zalo's answers, as far as it is used, and closes after an uncertain one, and when nothing was sent.

    So a batch into an outage costs some eight unknown messages, and steady sending about as many as are always
    under way. Callers that wait are not kept waiting for the first answers, unless the last one was in doubt.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = START
        self._under_way = 0
        self._left_at: datetime | None = None
        self._is_short = False
        self._is_doubtful = False

    @property
    def room(self) -> int:
        """How many more may go now."""
        return max(0, self._size - self._under_way)

    def fits(self, count: int, *, is_waited_for: bool) -> bool:
        """True if so many more may go now; False is a wish for more."""
        self._is_short |= count > self.room
        is_eager = is_waited_for and not self._is_doubtful
        return count <= self.room or (is_eager and self._under_way + count <= WAITED_FOR)

    def enter(self, now: datetime) -> None:
        """One more is under way."""
        if not self._under_way and self._left_at is not None and now - self._left_at > _IDLE:
            self._size = START
        self._under_way += 1

    def leave(self, now: datetime) -> None:
        """One less is under way."""
        self._under_way -= 1
        self._left_at = now

    def answered(self) -> None:
        """Zalo has answered one of those under way: there may be one more, or one less if so many were not needed."""
        if self._is_short or self._under_way * 2 >= self._size:
            self._size = min(self._size + 1, self._most)
        elif self._under_way * 4 < self._size:
            self._size = max(self._size - 1, START)
        self._is_short = self._is_doubtful = False

    def doubted(self) -> None:
        """Nobody knows what became of one of those under way."""
        self._size = START
        self._is_doubtful = True
