"""What the handlers are handed, and what they share: who calls, raw bodies, plain answers."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec
from litestar.types import Receive, Send

from gateway.core.caller import Bucket, Caller
from gateway.core.delivery import State
from gateway.core.errors import GatewayError, MethodNotAllowed, TooLarge, Unauthenticated, Unavailable
from gateway.core.grant import Trouble
from gateway.core.mapping import MappingSet
from gateway.core.message import Message
from gateway.gates import Gates
from gateway.intake import Intake
from gateway.ports import Clock, Ledger, Observer
from gateway.receipts import Receipts
from gateway.waiting import Waiting

from . import problems
from .views import MessageView, view

JSON: Final = "application/json"
_BEARER: Final = b"bearer "


class Limits(msgspec.Struct, frozen=True):
    """How long a call may wait and how large its body may be."""

    wait: timedelta
    max_body: int
    max_batch: int
    max_batch_body: int


class Doors(msgspec.Struct, frozen=True):
    """Everything that the handlers call or look at."""

    intake: Intake
    waiting: Waiting
    receipts: Receipts
    ledger: Ledger
    gates: Gates
    mappings: Callable[[], MappingSet]
    exposition: Callable[[], bytes]
    observer: Observer
    clock: Clock
    limits: Limits
    callers: Mapping[str, Caller]  # by the hex SHA-256 of a key
    buckets: Mapping[str, Bucket]
    accounts: frozenset[str]
    trouble: Callable[[str], Trouble | None]  # of an account's grant, also while its access token still works

    def caller_of(self, headers: Mapping[bytes, bytes]) -> Caller:
        """Whose key the call carries; raises Unauthenticated."""
        given = headers.get(b"authorization", b"")
        if given[: len(_BEARER)].lower() == _BEARER:
            # The digest is looked up, not the key: how long it takes tells nothing about any key.
            caller = self.callers.get(hashlib.sha256(given[len(_BEARER) :].strip()).hexdigest())
            if caller is not None:
                return caller
        raise Unauthenticated("send `Authorization: Bearer <caller key>`; `zns-gateway key new NAME` makes a key")

    def view(self, message: Message) -> MessageView:
        """The message as callers see it now."""
        now = self.clock()
        hold = self.gates.hold_on(message, now) if message.state.is_waiting else None
        return view(message, now, hold)


class Answer(msgspec.Struct, frozen=True):
    """One HTTP answer."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: dict[str, str] = {}

    async def send(self, send: Send) -> None:
        """The answer has gone out."""
        headers = [(b"content-type", self.media_type.encode()), (b"content-length", str(len(self.body)).encode())]
        headers += [(name.encode(), value.encode("latin-1", "replace")) for name, value in self.headers.items()]
        start: Any = {"type": "http.response.start", "status": self.status, "headers": headers}
        end: Any = {"type": "http.response.body", "body": self.body, "more_body": False}
        await send(start)
        await send(end)


Serve = Callable[[Doors, dict[bytes, bytes], Receive], Awaitable[Answer]]


async def serve_post(
    doors: Doors,
    scope: Any,
    receive: Receive,
    send: Send,
    serve: Serve,
    *,
    surprise: type[GatewayError] = Unavailable,
) -> None:
    """Whatever happens in a raw handler, there is an answer, and it is never a 500; `surprise` is the last resort."""
    try:
        if scope["method"] != "POST":
            raise MethodNotAllowed("this path takes POST only")
        answer = await serve(doors, headers_in(scope), receive)
    except MethodNotAllowed as error:
        answer = answer_of_error(error, allow="POST")
    except Disconnected:
        return
    except Exception as error:  # noqa: BLE001 - the last line: every caller gets an answer
        answer = answer_of(error, doors.observer, surprise)
    await answer.send(send)


def answer_of_error(error: GatewayError, **headers: str) -> Answer:
    """The problem+json answer to a call that raised this."""
    problem = problems.problem_of(error)
    headers |= problems.headers_of(error)
    return Answer(problem.status, problems.encode(problem), problems.MEDIA_TYPE, headers)


def answer_of(error: Exception, observer: Observer, surprise: type[GatewayError] = Unavailable) -> Answer:
    """The answer to a call in which this happened; what nobody thought of is logged, and never a 500."""
    if isinstance(error, GatewayError) and type(error) in problems.STATUSES:
        return answer_of_error(error)
    observer.fact("turn-failed", error=error)
    return answer_of_error(
        surprise("something went wrong on our side, and it has been logged; try the same again")
    )


def status_of(message: Message) -> int:
    """The HTTP status of any answer to the event of this message."""
    match message.state:
        case State.SENT | State.DELIVERED | State.UNDELIVERED | State.SKIPPED:
            return 200
        case State.FAILED | State.EXPIRED | State.CANCELLED:
            return 422
        case _:
            return 202


def headers_in(scope: Any) -> dict[bytes, bytes]:
    """The request's headers, names in lower case; of a header that is there twice, both values with a comma."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """The whole body; raises TooLarge as soon as it is known to be longer than `limit`."""
    too_large = TooLarge(f"the body may have {limit} bytes at most")
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > limit:
        raise too_large
    message: Any = await receive()
    if message["type"] == "http.disconnect":
        raise Disconnected
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > limit:
            raise too_large
        return body
    parts, size = [body], len(body)
    while message.get("more_body") and size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
    if size > limit:
        raise too_large
    return b"".join(parts)


class Disconnected(Exception):
    """The client went away before its request was complete; there is nobody to answer."""
