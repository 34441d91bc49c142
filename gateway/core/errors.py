"""What we cannot serve: one tree of exceptions, each with a stable `code`.

What Zalo may answer is a value (`core.delivery`), never one of these. The HTTP status of each code lives in
`http/problems.py` alone; each code is a heading in `docs/errors.md`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong in what was given, and where: `pointer` is an RFC 6901 JSON pointer."""

    pointer: str
    detail: str


class GatewayError(Exception):
    """The root of everything that the gateway refuses on purpose.

    `detail` is for people and never holds a secret, a phone number or a value of the event.
    """

    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str, *, errors: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)


class MalformedEvent(GatewayError):
    code = "malformed-event"
    title = "This is not a CloudEvent that the gateway can read"


class InvalidRequest(GatewayError):
    code = "invalid-request"
    title = "A parameter of the call is wrong"


class Unauthenticated(GatewayError):
    code = "unauthenticated"
    title = "No caller key, or not one that is known"


class ForbiddenEventType(GatewayError):
    code = "forbidden-event-type"
    title = "This caller may not send events of this type"


class Forbidden(GatewayError):
    code = "forbidden"
    title = "This caller may not do this"


class NotFound(GatewayError):
    code = "not-found"
    title = "There is no such thing here"


class MethodNotAllowed(GatewayError):
    code = "method-not-allowed"
    title = "This path does not take that method"


class WrongState(GatewayError):
    code = "wrong-state"
    title = "The message's status does not allow this"


class TooLarge(GatewayError):
    code = "too-large"
    title = "The request is larger than the gateway takes"


class UnsupportedMediaType(GatewayError):
    code = "unsupported-media-type"
    title = "The gateway does not read this media type"


class UnmappedEvent(GatewayError):
    code = "unmapped-event"
    title = "No mapping is in force for this event type"


class MappingFailed(GatewayError):
    code = "mapping-failed"
    title = "The mapping could not be filled from this event"


class TemplateConstraint(GatewayError):
    code = "template-constraint"
    title = "A value breaks the template's own limits"


class InvalidPhone(GatewayError):
    code = "invalid-phone"
    title = "This is not a Vietnamese mobile number"


class IdempotencyConflict(GatewayError):
    code = "idempotency-conflict"
    title = "This identity was used before with another event"


class TooManyRequests(GatewayError):
    code = "too-many-requests"
    title = "More than the gateway may take now; nothing was stored"

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class NotAccepted(GatewayError):
    code = "not-accepted"
    title = "The event is not promised; post the same event again"


class Unavailable(GatewayError):
    code = "unavailable"
    title = "The store cannot be reached at the moment"


class CannotStart(GatewayError):
    """A command cannot start or cannot do what it was asked: exit code 2."""

    code = "cannot-start"
    title = "The command cannot do this"


def pointer(*steps: str | int) -> str:
    """The JSON pointer through these steps; no steps is the whole document."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def clip(value: Any, limit: int = 60) -> str:
    """`value` as printable text of at most `limit` characters, for an error's `detail`."""
    text = "".join(character if character.isprintable() else "?" for character in str(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"
