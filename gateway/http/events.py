"""`POST /v1/events` and its preview: one event in, a Message or a problem out."""

import re
from typing import Any, Final

from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from gateway.core.caller import Caller
from gateway.core.document import read_document
from gateway.core.errors import (
    ForbiddenEventType,
    GatewayError,
    InvalidPhone,
    InvalidRequest,
    MappingFailed,
    MethodNotAllowed,
    TemplateConstraint,
    TooManyRequests,
    UnsupportedMediaType,
)
from gateway.core.event import Event, has_controls, read_event
from gateway.core.mapping import Skipped, fill
from gateway.core.message import Message
from gateway.core.phone import mask
from gateway.intake import unmapped

from . import problems
from .doors import (
    Answer,
    Disconnected,
    Doors,
    answer_of_error,
    answer_of_surprise,
    headers_in,
    read_body,
    status_of,
)
from .preferences import patience
from .views import Preview

STRUCTURED: Final = "application/cloudevents+json"
PLAIN: Final = "application/json"
_MAX_KEY_LENGTH: Final = 255
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')


def events_handlers(doors: Doors) -> list[ASGIRouteHandler]:
    """The handlers of this file; raw ASGI, because every service of the company comes through here."""

    @asgi("/v1/events", copy_scope=False)
    async def post_event(scope: Scope, receive: Receive, send: Send) -> None:
        await _served(doors, scope, receive, send, _post_event)

    @asgi("/v1/events/preview", copy_scope=False)
    async def preview_event(scope: Scope, receive: Receive, send: Send) -> None:
        await _served(doors, scope, receive, send, _preview_event)

    return [post_event, preview_event]


async def _served(doors: Doors, scope: Any, receive: Receive, send: Send, serve: Any) -> None:
    """Whatever happens, there is an answer, and it is never a 500."""
    try:
        if scope["method"] != "POST":
            raise MethodNotAllowed("only POST")
        answer: Answer = await serve(doors, headers_in(scope), receive)
    except GatewayError as error:
        answer = answer_of_error(error)
        if isinstance(error, MethodNotAllowed):
            answer.headers["allow"] = "POST"
    except Disconnected:
        return
    except Exception as error:  # noqa: BLE001 - the last line: a surprise is logged, and the caller told to come back
        answer = answer_of_surprise(error, doors.observer)
    await answer.send(send)


async def _post_event(doors: Doors, headers: dict[bytes, bytes], receive: Receive) -> Answer:
    caller = doors.caller_of(headers)
    event: Event | None = None
    try:
        event = await _read(doors, headers, receive, caller)
        key = _idempotency_key(headers)
        taken = await doors.intake.accept(event, caller, key)
        wish = patience(_text(headers, b"prefer"), doors.limits.wait)
        message = await doors.waiting.outcome(taken.message, wish.wait)
    except GatewayError as error:
        doors.observer.fact("event", type="" if event is None else event.type, outcome=error.code)
        raise
    doors.observer.fact("event", type=event.type, outcome="replayed" if taken.is_replay else message.state.status)
    extra = {} if wish.applied is None else {"preference-applied": wish.applied}
    if taken.is_replay:
        extra["idempotency-replayed"] = "true"
    return _answer(doors, message, extra)


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
    try:
        filled = fill(mapping, event)
    except (MappingFailed, TemplateConstraint, InvalidPhone) as error:
        faults = tuple({"code": error.code, "pointer": it.pointer, "detail": it.detail} for it in error.errors)
        shown = Preview(None, mapping.account, None, {}, event.type, faults)
        return Answer(200, problems.encode(shown))
    if isinstance(filled, Skipped):
        shown = Preview(None, mapping.account, None, {}, event.type, ())
    else:
        data = {name: "*****" if name in filled.secret else text for name, text in filled.template_data.items()}
        shown = Preview(filled.template_id, mapping.account, mask(filled.phone), data, event.type, ())
    return Answer(200, problems.encode(shown))


async def _read(doors: Doors, headers: dict[bytes, bytes], receive: Receive, caller: Caller) -> Event:
    """The event in the request; the order of the checks is the contract's."""
    body = await read_body(headers, receive, doors.limits.max_body)
    media_type = (_text(headers, b"content-type") or "").partition(";")[0].strip().lower()
    if media_type not in (PLAIN, STRUCTURED):
        raise UnsupportedMediaType(f"send {PLAIN} or {STRUCTURED}")
    wait_s = doors.buckets[caller.name].take(doors.clock())
    if wait_s > 0:
        raise TooManyRequests(f"caller {caller.name} is over its max_per_second", retry_after_s=max(1, round(wait_s)))
    return read_event(
        read_document(body), default_source=caller.name, needs_specversion=media_type == STRUCTURED
    )


def _idempotency_key(headers: dict[bytes, bytes]) -> str | None:
    """The caller's own name for the event, quoted or bare; raises InvalidRequest for one that is not usable."""
    given = headers.get(b"idempotency-key")
    if given is None:
        return None
    try:
        text = given.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise InvalidRequest("Idempotency-Key must be UTF-8") from None
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted is not None else text
    if not key or len(key) > _MAX_KEY_LENGTH or has_controls(key):
        raise InvalidRequest(f"Idempotency-Key must have 1 to {_MAX_KEY_LENGTH} characters, none of them a control")
    return key


def _text(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")

