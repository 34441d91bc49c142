"""Which messages a list is asked for: its parameters, read."""

from datetime import UTC, datetime
from typing import Final

from gateway.core.caller import Caller
from gateway.core.errors import InvalidPhone, InvalidRequest, clip
from gateway.core.phone import normalise
from gateway.core.view import Status
from gateway.ports import Query

_KNOWN: Final = frozenset(
    {"status", "type", "phone", "event_id", "caller", "since", "until", "updated_after", "limit", "cursor"}
)
_STATUSES: Final[tuple[str, ...]] = Status.__args__  # type: ignore[attr-defined]  # a Literal has them
_MAX_LIMIT: Final = 1000


def read_query(given: dict[str, str], caller: Caller) -> Query:
    """What the parameters ask for, narrowed to what the caller may see; raises InvalidRequest."""
    for name in given.keys() - _KNOWN:
        raise InvalidRequest(f"there is no parameter `{clip(name)}`; there are {', '.join(sorted(_KNOWN))}")
    status = given.get("status")
    if status is not None and status not in _STATUSES:
        raise InvalidRequest(f"`status` must be one of {', '.join(_STATUSES)}")
    return Query(
        caller=given.get("caller") if caller.is_operator else caller.name,
        status=status,
        event_type=given.get("type"),
        phone=_phone(given.get("phone")),
        event_id=given.get("event_id"),
        since=_time(given, "since"),
        until=_time(given, "until"),
        updated_after=_time(given, "updated_after"),
        cursor=given.get("cursor"),
        limit=_limit(given.get("limit")),
    )


def _phone(text: str | None) -> str | None:
    try:
        return None if text is None else normalise(text)
    except InvalidPhone as error:
        raise InvalidRequest(f"`phone`: {error.detail}") from None


def _limit(text: str | None) -> int:
    if text is None:
        return 100
    if text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_LIMIT)) and 1 <= int(text) <= _MAX_LIMIT:
        return int(text)
    raise InvalidRequest(f"`limit` must be a whole number from 1 to {_MAX_LIMIT}")


def _time(given: dict[str, str], name: str) -> datetime | None:
    text = given.get(name)
    if text is None:
        return None
    try:
        # In a query a bare + means a space: give the plus of a zone back.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"`{name}` must be a time such as 2026-11-23T08:00:00Z") from None
