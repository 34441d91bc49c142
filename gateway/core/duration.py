"""Durations as the config writes them: `"250ms"`, `"10s"`, `"5m"`, `"24h"`, `"30d"`."""

import re
from datetime import timedelta
from typing import Final

_WRITTEN: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_LONGEST: Final = timedelta(days=3650)


def read_duration(text: str) -> timedelta:
    """The duration, of at most ten years; raises ValueError, whose text is the cure."""
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ValueError('write a duration like "250ms", "10s", "5m", "24h" or "30d"')
    count, unit = int(written[1]), _UNITS[written[2]]
    if count > _LONGEST // unit:
        raise ValueError("write a duration of at most 3650 days")
    return count * unit
