"""`POST /v1/events` and its preview: one event in, a Message or a problem out."""

import math
import re
from typing import Final

from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from gateway.core.caller import Caller
from gateway.core.document import read_document
from gateway.core.errors import (
    Fault,
    ForbiddenEventType,
    GatewayError,
    MalformedEvent,
    NotAccepted,
    TooManyRequests,
    Unavailable,
    UnsupportedMediaType,
)
from gateway.core.event import Event, has_controls, read_event
from gateway.core.mapping import draft
from gateway.core.message import Message
from gateway.intake import unmapped

from . import problems
from .doors import Answer, Doors, read_body, serve_post, status_of
from .preferences import Patience, patience
from .views import preview

STRUCTURED: Final = "application/cloudevents+json"
PLAIN: Final = "application/json"
_MAX_KEY_LENGTH: Final = 255
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')


def events_handlers(doors: Doors) -> list[ASGIRouteHandler]:
    """The handlers of this file; raw ASGI, because every service of the company comes through here."""

    @asgi("/v1/events", copy_scope=False)
    async def post_event(scope: Scope, receive: Receive, send: Send) -> None:
        await serve_post(doors, scope, receive, send, _post_event, surprise=NotAccepted)

    @asgi("/v1/events/preview", copy_scope=False)
    async def preview_event(scope: Scope, receive: Receive, send: Send) -> None:
        await serve_post(doors, scope, receive, send, _preview_event)

    return [post_event, preview_event]


async def _post_event(doors: Doors, headers: dict[bytes, bytes], receive: Receive) -> Answer:
    caller = doors.caller_of(headers)
    event: Event | None = None
    try:
        event = await _read(doors, headers, receive, caller)
        key = _idempotency_key(headers)
        taken = await doors.intake.accept(event, caller, key)
        wish = patience(_text(headers, b"prefer"), doors.limits.wait)
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


async def _preview_event(doors: Doors, headers: dict[bytes, bytes], receive: Receive) -> Answer:
    caller = doors.caller_of(headers)
    event = await _read(doors, headers, receive, caller)
    if not caller.may_send(event.type):
        raise ForbiddenEventType(f"caller {caller.name} may not send events of this type")
    mapping_set = doors.mappings()
    mapping = mapping_set.mappings.get(event.type)
    if mapping is None:
        raise unmapped(event.type, mapping_set.nearest(event.type, caller.may_send))
    return Answer(200, problems.encode(preview(mapping, draft(mapping, event))))


async def _read(doors: Doors, headers: dict[bytes, bytes], receive: Receive, caller: Caller) -> Event:
    """The event in the request; the order of the checks is the contract's."""
    body = await read_body(headers, receive, doors.limits.max_body)
    media_type = (_text(headers, b"content-type") or "").partition(";")[0].strip().lower()
    if media_type not in (PLAIN, STRUCTURED) or b"ce-specversion" in headers:
        raise UnsupportedMediaType(
            f"send one event as {PLAIN} or {STRUCTURED}; binary mode and batches are not read yet"
        )
    wait_s = doors.buckets[caller.name].take(doors.clock())
    if wait_s > 0:
        detail = f"caller {caller.name} is over its max_per_second"
        raise TooManyRequests(detail, retry_after_s=math.ceil(wait_s))
    return read_event(read_document(body), default_source=caller.name, needs_specversion=media_type == STRUCTURED)


def _idempotency_key(headers: dict[bytes, bytes]) -> str | None:
    """The caller's own name for the event, quoted or bare; raises MalformedEvent for one that is not usable."""
    given = headers.get(b"idempotency-key")
    if given is None:
        return None
    try:
        text = given.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise _unusable("must be UTF-8") from None
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted is not None else text
    if not key or len(key) > _MAX_KEY_LENGTH or has_controls(key):
        raise _unusable(f"must have 1 to {_MAX_KEY_LENGTH} characters, none of them a control")
    return key


def _unusable(detail: str) -> MalformedEvent:
    return MalformedEvent(f"Idempotency-Key {detail}", errors=[Fault("", f"the header Idempotency-Key {detail}")])


def _text(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")
