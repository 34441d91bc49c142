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
    """The body is not a CloudEvent as the contract has it; `errors` says where."""

    code = "malformed-event"
    title = "This is not a CloudEvent that the gateway can read"


class InvalidRequest(GatewayError):
    """A header, a query parameter or a member of any other call is wrong."""

    code = "invalid-request"
    title = "A parameter of the call is wrong"


class Unauthenticated(GatewayError):
    """Nobody knows who calls."""

    code = "unauthenticated"
    title = "No key or signature that is known"


class ForbiddenEventType(GatewayError):
    """The caller is known, and its `events` do not cover this type."""

    code = "forbidden-event-type"
    title = "This caller may not send events of this type"


class Forbidden(GatewayError):
    """The caller is known, and this is for others."""

    code = "forbidden"
    title = "This caller may not do this"


class NotFound(GatewayError):
    """It is not there, or it is another caller's, which is the same to this one."""

    code = "not-found"
    title = "There is no such thing here"


class MethodNotAllowed(GatewayError):
    """The path is right and the method is not."""

    code = "method-not-allowed"
    title = "This path does not take that method"


class WrongState(GatewayError):
    """An operator asked for what the message's status does not allow."""

    code = "wrong-state"
    title = "The status does not allow this"


class TooLarge(GatewayError):
    """More bytes than the configuration lets in."""

    code = "too-large"
    title = "The request is larger than the gateway takes"


class UnsupportedMediaType(GatewayError):
    """The content type names nothing that is read here."""

    code = "unsupported-media-type"
    title = "The gateway does not read this media type"


class UnmappedEvent(GatewayError):
    """No mapping has this type."""

    code = "unmapped-event"
    title = "No mapping is in force for this event type"


class MappingFailed(GatewayError):
    """An expression of the mapping came to nothing; `errors` says for which fields."""

    code = "mapping-failed"
    title = "The mapping could not be filled from this event"


class TemplateConstraint(GatewayError):
    """Zalo would refuse a value that the mapping gave; `errors` says which."""

    code = "template-constraint"
    title = "A value breaks the template's own limits"


class InvalidPhone(GatewayError):
    """The number that the mapping gave is not one that Zalo could reach."""

    code = "invalid-phone"
    title = "This is not a Vietnamese mobile number"


class IdempotencyConflict(GatewayError):
    """A known identity came with another type or other data."""

    code = "idempotency-conflict"
    title = "This identity was used before with another event"

    def __init__(self, detail: str, *, tracking_id: str) -> None:
        super().__init__(detail)
        self.tracking_id = tracking_id


class TooManyRequests(GatewayError):
    """A limit of the caller's or of the queue is reached; come back after `retry_after_s`."""

    code = "too-many-requests"
    title = "More than the gateway may take now; nothing was stored"

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class NotAccepted(GatewayError):
    """Whether the event is stored is not known, or it is not: posting it again is always right."""

    code = "not-accepted"
    title = "The event is not promised; post the same event again"


class Unavailable(GatewayError):
    """The store could not confirm; nothing is known of whether a change was made."""

    code = "unavailable"
    title = "The store cannot be reached at the moment"


class CannotStart(GatewayError):
    """A command cannot start or cannot do what it was asked: exit code 2."""

    code = "cannot-start"
    title = "The command cannot do this"


class CannotOpen(CannotStart):
    """No key opens a sealed record: one is missing from `secrets.keys`, or the record was changed."""

    code = "cannot-open"
    title = "A sealed record does not open"


def pointer(*steps: str | int) -> str:
    """The JSON pointer through these steps; no steps is the whole document."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def clip(value: Any, limit: int = 60) -> str:
    """`value` as printable text of at most `limit` characters, for an error's `detail`."""
    text = "".join(character if character.isprintable() else "?" for character in str(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"
