"""`GET /v1/messages` and `/v1/messages/{tracking_id}`: what became of what was sent."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from gateway.core.caller import Caller
from gateway.core.errors import InvalidPhone, InvalidRequest, NotFound, clip
from gateway.core.phone import normalise
from gateway.ports import Query

from . import problems
from .doors import JSON, Doors, headers_in
from .views import MessagePage, Status, view_with_timeline

_KNOWN: Final = frozenset(
    {"status", "type", "phone", "event_id", "caller", "since", "until", "updated_after", "limit", "cursor"}
)
_STATUSES: Final[tuple[str, ...]] = Status.__args__  # type: ignore[attr-defined]  # a Literal has them
_MAX_LIMIT: Final = 1000


def messages_handlers(doors: Doors) -> list[HTTPRouteHandler]:
    """The handlers of this file."""

    @get("/v1/messages/{tracking_id:str}")
    async def show_message(
        request: Request[Any, Any, Any], tracking_id: Annotated[str, Parameter()]
    ) -> Response[bytes]:
        caller = doors.caller_of(headers_in(request.scope))
        message = await doors.ledger.load(tracking_id)
        if message is None or not (caller.is_operator or message.caller == caller.name):
            raise NotFound("there is no message with this tracking_id that you may see")
        now = doors.clock()
        hold = doors.gates.hold_on(message, now) if message.state.is_waiting else None
        return Response(problems.encode(view_with_timeline(message, now, hold)), media_type=JSON)

    @get("/v1/messages")
    async def list_messages(request: Request[Any, Any, Any]) -> Response[bytes]:
        caller = doors.caller_of(headers_in(request.scope))
        asked = _parameters(request)
        page = await doors.ledger.find(read_query(asked, caller))
        # A sender that asks for another's messages gets none: the filter narrows what it may see.
        wanted = asked.get("caller", caller.name)
        items = tuple(doors.view(it) for it in page.items if caller.is_operator or it.caller == wanted)
        return Response(problems.encode(MessagePage(items, page.next_cursor)), media_type=JSON)

    return [show_message, list_messages]


def _parameters(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The query's parameters; raises InvalidRequest for one that is given twice."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise InvalidRequest(f"`{clip(name)}` is given twice")
        given[name] = value
    return given


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
