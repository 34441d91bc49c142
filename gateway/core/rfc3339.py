"""Times as callers and operators write them when they ask: RFC 3339, with a zone, so that nothing is guessed."""

import re
from datetime import UTC, datetime
from typing import Final

WISHED: Final = "a time with its zone, such as 2026-11-23T08:00:00Z or 2026-11-23T15:00:00+07:00"

_DATE_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,20})?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)


def read_time(text: str) -> datetime:
    """The moment, in UTC; raises ValueError, whose text is what is wished, for anything but an RFC 3339 date-time."""
    if _DATE_TIME.fullmatch(text) is not None:
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # a day or an hour that the calendar does not have
    raise ValueError(f"must be {WISHED}")
