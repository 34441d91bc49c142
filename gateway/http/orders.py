"""`POST /v1/messages/…/cancel`, `/resend`, `/settle`: what operators may do to one message, or to many."""

from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from gateway.core.message import Message
from gateway.core.orders import MAX_NOTE_LENGTH, Order, Verdict, signed
from gateway.core.view import Status

from . import problems
from .bodies import Time, of_member, operator_of, read_as
from .doors import JSON, Doors
from .query import read_query

Note = Annotated[
    str, msgspec.Meta(max_length=MAX_NOTE_LENGTH, description="Why; it stands in the timeline, for the caller too")
]
MAX_EXPECT: Final = 2**63 - 1  # more than any store counts
FILTERS: Final = ("status", "type", "phone", "event_id", "caller", "since", "until")


class Noted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order that needs nothing but, perhaps, a word of why."""

    note: Note | None = None


class Settlement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person has found out that an unknown message is."""

    status: Verdict
    note: Note | None = None


class OrderToMany(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which messages are meant, by the filters of the list; `dry_run` only counts, acting needs that count as `expect`."""

    status: Status | None = None
    type: str | None = None
    phone: str | None = None
    event_id: str | None = None
    caller: str | None = None
    since: Time | None = None
    until: Time | None = None
    dry_run: bool = False
    expect: Annotated[int, msgspec.Meta(ge=0, le=MAX_EXPECT)] | None = None
    note: Note | None = None


class Count(msgspec.Struct, frozen=True):
    """How many messages the order would be carried out on."""

    count: int
    dry_run: bool = True


def orders_handlers(doors: Doors) -> list[HTTPRouteHandler]:
    """The handlers of this file."""

    @post("/v1/messages/{tracking_id:str}/cancel")
    async def cancel_message(
        request: Request[Any, Any, Any], tracking_id: Annotated[str, Parameter()]
    ) -> Response[bytes]:
        operator = operator_of(doors, request)
        asked = await read_as(request, Noted)
        return _told(doors, await doors.orders.cancel(tracking_id, signed(operator.name, asked.note)))

    @post("/v1/messages/{tracking_id:str}/resend")
    async def resend_message(
        request: Request[Any, Any, Any], tracking_id: Annotated[str, Parameter()]
    ) -> Response[bytes]:
        operator = operator_of(doors, request)
        asked = await read_as(request, Noted)
        return _told(doors, await doors.orders.resend(tracking_id, signed(operator.name, asked.note)))

    @post("/v1/messages/{tracking_id:str}/settle")
    async def settle_message(
        request: Request[Any, Any, Any], tracking_id: Annotated[str, Parameter()]
    ) -> Response[bytes]:
        operator = operator_of(doors, request)
        asked = await read_as(request, Settlement)
        cause = signed(operator.name, asked.note)
        return _told(doors, await doors.orders.settle(tracking_id, asked.status, cause))

    @post("/v1/messages/cancel")
    async def cancel_messages(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await _many(doors, request, "cancel")

    @post("/v1/messages/resend")
    async def resend_messages(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await _many(doors, request, "resend")

    return [cancel_message, resend_message, settle_message, cancel_messages, resend_messages]


async def _many(doors: Doors, request: Request[Any, Any, Any], order: Order) -> Response[bytes]:
    operator = operator_of(doors, request)
    asked = await read_as(request, OrderToMany)
    filters = {name: value for name in FILTERS if (value := getattr(asked, name)) is not None}
    query, cause = read_query(filters, operator, of_member), signed(operator.name, asked.note)
    if asked.dry_run:
        return _response(200, Count(await doors.orders.count(order, query)))
    if asked.expect is None:
        raise of_member("expect", 'is needed to act: the count that the same body with "dry_run": true gives')
    return _response(202, await doors.orders.carry_out(order, query, cause, expect=asked.expect))


def _told(doors: Doors, message: Message) -> Response[bytes]:
    return _response(202, doors.view(message), location=f"/v1/messages/{message.tracking_id}")


def _response(status: int, body: object, **headers: str) -> Response[bytes]:
    return Response(problems.encode(body), status_code=status, media_type=JSON, headers=headers)
