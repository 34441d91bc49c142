"""`GET /v1/messages` and `/v1/messages/{tracking_id}`: what became of what was sent."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from gateway.core.errors import InvalidRequest, NotFound, clip
from gateway.core.view import view_with_timeline

from . import problems
from .doors import JSON, Doors, Headers
from .query import TIMES, read_query
from .views import MessagePage


def messages_handlers(doors: Doors) -> list[HTTPRouteHandler]:
    """The handlers of this file."""

    @get("/v1/messages/{tracking_id:str}")
    async def show_message(
        request: Request[Any, Any, Any], tracking_id: Annotated[str, Parameter()]
    ) -> Response[bytes]:
        caller = doors.caller_of(Headers(request.scope["headers"]))
        message = await doors.ledger.load(tracking_id)
        if message is None or not (caller.is_operator or message.caller == caller.name):
            raise NotFound("there is no message with this tracking_id that you may see")
        now = doors.clock()
        hold = doors.gates.hold_on(message, now) if message.state.is_waiting else None
        return Response(problems.encode(view_with_timeline(message, now, hold)), media_type=JSON)

    @get("/v1/messages")
    async def list_messages(request: Request[Any, Any, Any]) -> Response[bytes]:
        caller = doors.caller_of(Headers(request.scope["headers"]))
        asked = _parameters(request)
        page = await doors.ledger.find(read_query(asked, caller))
        # A sender that asks for another's messages gets none: the filter narrows what it may see.
        wanted = asked.get("caller", caller.name)
        items = tuple(doors.view(it) for it in page.items if caller.is_operator or it.caller == wanted)
        return Response(problems.encode(MessagePage(items, page.next_cursor)), media_type=JSON)

    return [show_message, list_messages]


def _parameters(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The query's parameters; raises InvalidRequest for one that is given twice.

    A bare + means a space in a query: the plus of a zone is given back.
    """
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise InvalidRequest(f"`{clip(name)}` is given twice")
        given[name] = value.replace(" ", "+") if name in TIMES else value
    return given
