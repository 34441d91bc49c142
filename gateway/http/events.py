"""`POST /v1/events` and its preview: an event in, a Message or a problem out; a batch is for `batches`."""

from typing import Final

from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from gateway.core.caller import Caller
from gateway.core.errors import (
    Fault,
    ForbiddenEventType,
    GatewayError,
    MalformedEvent,
    NotAccepted,
    Unavailable,
    UnsupportedMediaType,
)
from gateway.core.event import Event, has_controls
from gateway.core.mapping import draft
from gateway.core.message import Message
from gateway.intake import unmapped

from . import problems
from .batches import post_batch
from .cloudevents import Mode, mode_of, read_one, unquoted
from .doors import Answer, Doors, Headers, read_body, serve_post, status_of
from .preferences import Patience, patience
from .views import preview

_MAX_KEY_LENGTH: Final = 255


def events_handlers(doors: Doors) -> list[ASGIRouteHandler]:
    """The handlers of this file; raw ASGI, because every service of the company comes through here."""

    @asgi("/v1/events", copy_scope=False)
    async def post_events(scope: Scope, receive: Receive, send: Send) -> None:
        await serve_post(doors, scope, receive, send, _post_events, surprise=NotAccepted)

    @asgi("/v1/events/preview", copy_scope=False)
    async def preview_event(scope: Scope, receive: Receive, send: Send) -> None:
        await serve_post(doors, scope, receive, send, _preview_event)

    return [post_events, preview_event]


async def _post_events(doors: Doors, headers: Headers, receive: Receive) -> Answer:
    caller = doors.caller_of(headers)
    try:
        mode, body = await _read(doors, headers, receive)
        wish = patience(_text(headers, b"prefer"), doors.limits.wait)
        if mode is Mode.BATCH:
            if b"idempotency-key" in headers:
                raise _unusable("names one event, and this is a batch: leave it out, the events have their ids")
            return await post_batch(doors, caller, body, wish)
    except GatewayError as error:
        doors.observer.fact("event", type="", outcome=error.code)
        raise
    return await _post_event(doors, caller, mode, headers, body, wish)


async def _post_event(
    doors: Doors, caller: Caller, mode: Mode, headers: Headers, body: bytes, wish: Patience
) -> Answer:
    event: Event | None = None
    try:
        doors.admit(caller)
        event = read_one(mode, headers, body, caller=caller.name)
        key = _idempotency_key(headers)
        taken = await doors.intake.accept(event, caller, doors.mappings.in_force, key)
        message = await _outcome(doors, taken.message, wish)
    except GatewayError as error:
        doors.observer.fact("event", type="" if event is None else event.type, outcome=error.code)
        raise
    doors.observer.fact("event", type=event.type, outcome="replayed" if taken.is_replay else message.state.status)
    extra = {} if wish.applied is None else {"preference-applied": wish.applied}
    if taken.is_replay:
        extra["idempotency-replayed"] = "true"
    return _answer(doors, message, extra)


async def _outcome(doors: Doors, message: Message, wish: Patience) -> Message:
    """What became of the message within the caller's patience; it is promised, whatever the store says now."""
    try:
        return await doors.waiting.outcome(message, wish.wait)
    except Unavailable:
        return message


def _answer(doors: Doors, message: Message, extra: dict[str, str]) -> Answer:
    status, shown = status_of(message), doors.view(message)
    if status == 422:
        problem = problems.problem_of_message(message.state, shown)
        return Answer(status, problems.encode(problem), problems.MEDIA_TYPE, extra)
    if status == 202:
        extra["location"] = f"/v1/messages/{message.tracking_id}"
    return Answer(status, problems.encode(shown), headers=extra)


async def _preview_event(doors: Doors, headers: Headers, receive: Receive) -> Answer:
    caller = doors.caller_of(headers)
    mode, body = await _read(doors, headers, receive)
    doors.admit(caller)
    event = read_one(mode, headers, body, caller=caller.name)
    if not caller.may_send(event.type):
        raise ForbiddenEventType(f"caller {caller.name} may not send events of this type")
    mapping_set = doors.mappings.in_force
    mapping = mapping_set.mappings.get(event.type)
    if mapping is None:
        raise unmapped(event.type, mapping_set.nearest(event.type, caller.may_send))
    return Answer(200, problems.encode(preview(mapping, draft(mapping, event))))


async def _read(doors: Doors, headers: Headers, receive: Receive) -> tuple[Mode, bytes]:
    """The mode of the request and its body; the order of the checks is the contract's: its size, then its type."""
    limits = doors.limits
    try:
        mode = mode_of(headers)
    except UnsupportedMediaType:
        await read_body(headers, receive, limits.max_body)
        raise
    limit = limits.max_batch_body if mode is Mode.BATCH else limits.max_body
    return mode, await read_body(headers, receive, limit)


def _idempotency_key(headers: Headers) -> str | None:
    """The caller's own name for the event, quoted or bare; raises MalformedEvent for one that is not usable."""
    given = headers.get(b"idempotency-key")
    if given is None:
        return None
    if b"idempotency-key" in headers.repeated:
        raise _unusable("must be given once")
    try:
        key = unquoted(given).decode("utf-8")
    except UnicodeDecodeError:
        raise _unusable("must be UTF-8") from None
    if not key or len(key) > _MAX_KEY_LENGTH or has_controls(key):
        raise _unusable(f"must have 1 to {_MAX_KEY_LENGTH} characters, none of them a control")
    return key


def _unusable(detail: str) -> MalformedEvent:
    return MalformedEvent(f"Idempotency-Key {detail}", errors=[Fault("", f"the header Idempotency-Key {detail}")])


def _text(headers: Headers, name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")
