"""From an error, or a message that came to nothing, to RFC 9457 problem+json: the one table of HTTP statuses."""

from typing import Any, Final

import msgspec

from gateway.core import errors
from gateway.core.delivery import State
from gateway.core.view import MessageView

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 5


class FaultView(msgspec.Struct, frozen=True):
    """One thing that is wrong, and where in the event (or under /template_data)."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a call was not served, for a program (`code`, `retryable`) and for a person (`title`, `detail`)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    tracking_id: str | None = None
    message: MessageView | None = None
    errors: tuple[FaultView, ...] = ()


class Row(msgspec.Struct, frozen=True):
    """How one kind of error is answered."""

    status: int
    is_retryable: bool = False


STATUSES: Final[dict[type[errors.GatewayError], Row]] = {
    errors.MalformedEvent: Row(400),
    errors.InvalidRequest: Row(400),
    errors.Unauthenticated: Row(401),
    errors.ForbiddenEventType: Row(403),
    errors.Forbidden: Row(403),
    errors.NotFound: Row(404),
    errors.MethodNotAllowed: Row(405),
    errors.WrongState: Row(409),
    errors.TooLarge: Row(413),
    errors.UnsupportedMediaType: Row(415),
    errors.UnmappedEvent: Row(422),
    errors.MappingFailed: Row(422),
    errors.TemplateConstraint: Row(422),
    errors.InvalidPhone: Row(422),
    errors.IdempotencyConflict: Row(422),
    errors.TooManyRequests: Row(429, is_retryable=True),
    errors.NotAccepted: Row(503, is_retryable=True),
    errors.Unavailable: Row(503, is_retryable=True),
}
_TITLES: Final = {
    State.FAILED: "The message failed for good",
    State.EXPIRED: "The message's time passed before it could be sent",
    State.CANCELLED: "An operator cancelled the message",
}


def problem_of(error: errors.GatewayError) -> Problem:
    """The problem that tells of this error."""
    row = STATUSES[type(error)]
    return Problem(
        type=_type(error.code),
        title=error.title,
        status=row.status,
        detail=error.detail,
        code=error.code,
        retryable=row.is_retryable,
        tracking_id=error.tracking_id if isinstance(error, errors.IdempotencyConflict) else None,
        errors=tuple(FaultView(fault.pointer, fault.detail) for fault in error.errors),
    )


def problem_of_message(state: State, view: MessageView) -> Problem:
    """The problem that tells of a message which is failed, expired or cancelled."""
    code, detail = state.status, _TITLES[state]
    if view.error is not None and state is not State.CANCELLED:
        detail = f"{view.error.detail}; {view.error.advice}"
    if view.error is not None and state is State.FAILED:
        code = view.error.code
    return Problem(
        type=_type(code),
        title=_TITLES[state],
        status=422,
        detail=detail,
        code=code,
        retryable=False,
        tracking_id=view.tracking_id,
        message=view,
    )


def headers_of(error: errors.GatewayError) -> dict[str, str]:
    """The headers that go with this error's answer."""
    if isinstance(error, errors.TooManyRequests):
        return {"retry-after": str(error.retry_after_s)}
    if isinstance(error, errors.NotAccepted | errors.Unavailable):
        return {"retry-after": str(RETRY_AFTER_S)}
    if isinstance(error, errors.Unauthenticated):
        return {"www-authenticate": "Bearer"}
    return {}


def encode(body: Any) -> bytes:
    """The body as JSON."""
    return _encode(body)


def _type(code: str) -> str:
    return f"urn:zns-gateway:problem:{code}"


_encode = msgspec.json.Encoder().encode
