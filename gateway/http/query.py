"""Which messages a list is asked for: its parameters, read."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from gateway.core.caller import Caller
from gateway.core.errors import InvalidPhone, InvalidRequest, clip
from gateway.core.phone import normalise
from gateway.core.rfc3339 import read_time
from gateway.core.view import Status
from gateway.ports import Query

_KNOWN: Final = frozenset(
    {"status", "type", "phone", "event_id", "caller", "since", "until", "updated_after", "limit", "cursor"}
)
TIMES: Final = ("since", "until", "updated_after")
_STATUSES: Final[tuple[str, ...]] = Status.__args__  # type: ignore[attr-defined]  # a Literal has them
_MAX_LIMIT: Final = 1000

Refuse = Callable[[str, str], Exception]
"""The error that tells of a parameter by its name, and what is wrong with it, as that is told where it was given."""


def of_parameter(name: str, what: str) -> InvalidRequest:
    """The error that tells of a parameter in a query string."""
    return InvalidRequest(f"`{name}` {what}")


def read_query(given: dict[str, str], caller: Caller, refuse: Refuse = of_parameter) -> Query:
    """What the parameters ask for, narrowed to what the caller may see; raises InvalidRequest, or what `refuse` makes."""
    for name in given.keys() - _KNOWN:
        raise InvalidRequest(f"there is no parameter `{clip(name)}`; there are {', '.join(sorted(_KNOWN))}")
    status = given.get("status")
    if status is not None and status not in _STATUSES:
        raise refuse("status", f"must be one of {', '.join(_STATUSES)}")
    return Query(
        caller=given.get("caller") if caller.is_operator else caller.name,
        status=status,
        event_type=given.get("type"),
        phone=_phone(given.get("phone"), refuse),
        event_id=given.get("event_id"),
        since=read_moment("since", given.get("since"), refuse),
        until=read_moment("until", given.get("until"), refuse),
        updated_after=read_moment("updated_after", given.get("updated_after"), refuse),
        cursor=given.get("cursor"),
        limit=_limit(given.get("limit"), refuse),
    )


def read_moment(name: str, text: str | None, refuse: Refuse) -> datetime | None:
    """The time that the parameter of this name gives, in UTC; raises what `refuse` makes."""
    try:
        return None if text is None else read_time(text)
    except ValueError as error:
        raise refuse(name, str(error)) from None


def _phone(text: str | None, refuse: Refuse) -> str | None:
    try:
        return None if text is None else normalise(text)
    except InvalidPhone as error:
        raise refuse("phone", error.errors[0].detail) from None


def _limit(text: str | None, refuse: Refuse) -> int:
    if text is None:
        return 100
    if text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_LIMIT)) and 1 <= int(text) <= _MAX_LIMIT:
        return int(text)
    raise refuse("limit", f"must be a whole number from 1 to {_MAX_LIMIT}")
