"""What every keeper in memory has in common: it can be down, and closed."""

from gateway.core.errors import Unavailable


class MemoryKeeper:
    """Keeps things for as long as the process lives; while `is_down` nothing can be had of it."""

    is_down = False
    _is_closed = False

    def _check(self) -> None:
        if self._is_closed or self.is_down:
            raise Unavailable("the store is closed" if self._is_closed else "the store is down")
