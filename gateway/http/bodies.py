"""The JSON bodies of the calls that are not events: read strictly, so that a slip is told and never guessed at."""

from typing import Annotated, Any, Final, TypeVar

import msgspec
from litestar import Request

from gateway.core.caller import Caller
from gateway.core.document import read_document
from gateway.core.errors import Fault, Forbidden, InvalidRequest, MalformedEvent, TooLarge, clip, pointer
from gateway.core.json_flaws import AS_TEXT
from gateway.core.misfits import misfit, misfits

from .doors import Doors, Headers

T = TypeVar("T")

MAX_BODY_BYTES: Final = 64 * 1024
Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""A time as it stands in a body; `query.read_moment` reads it."""


async def read_as(request: Request[Any, Any, Any], shape: type[T]) -> T:
    """What the body says, in that shape; an empty body is an empty object. Raises InvalidRequest or TooLarge.

    Nothing is asked for in the query: what was meant to narrow the call would be passed over there.
    """
    parts: list[bytes] = []
    async for part in request.stream():
        parts.append(part)
        if sum(map(len, parts)) > MAX_BODY_BYTES:
            raise TooLarge(f"the body may have {MAX_BODY_BYTES} bytes at most")
    for name in request.query_params:
        raise InvalidRequest(f"`{clip(name)}` stands in the query: this call takes its members in the body")
    body = b"".join(parts)
    return _converted(body if body.strip() else b"{}", shape)


def _converted(body: bytes, shape: type[T]) -> T:
    try:
        document = read_document(body)
    except MalformedEvent as error:
        faults = [_about_number(it, shape) if it.detail.endswith(AS_TEXT) else it for it in error.errors]
        raise InvalidRequest(faults[0].detail, errors=faults) from None
    try:
        return msgspec.convert(document, shape, strict=True)
    except msgspec.ValidationError:
        faults = misfits(document, shape)
        raise InvalidRequest(faults[0].detail, errors=faults) from None


def _about_number(fault: Fault, shape: type[Any]) -> Fault:
    """No member of ours is a number so large, nor such a number as text: what it must be is told instead."""
    _, *steps = (step.replace("~1", "/").replace("~0", "~") for step in fault.pointer.split("/"))
    return misfit(shape, *steps) if steps else Fault("", fault.detail.removesuffix(AS_TEXT))


def of_member(name: str, what: str) -> InvalidRequest:
    """The error that tells of a member of a body, and where it stands."""
    detail = f"`{name}` {what}"
    return InvalidRequest(detail, errors=[Fault(pointer(name), detail)])


def operator_of(doors: Doors, request: Request[Any, Any, Any]) -> Caller:
    """The operator who calls; raises Unauthenticated or Forbidden."""
    caller = doors.caller_of(Headers(request.scope["headers"]))
    if not caller.is_operator:
        raise Forbidden('this is for operators: callers with role = "operator"')
    return caller
