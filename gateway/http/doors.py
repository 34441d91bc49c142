"""What the handlers are handed, and what they share: who calls, raw bodies, plain answers."""

import hashlib
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import msgspec
from litestar.types import Receive, Send

from gateway.callbacks import Callbacks
from gateway.core.caller import Bucket, Caller
from gateway.core.delivery import State
from gateway.core.errors import (
    GatewayError,
    MethodNotAllowed,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from gateway.core.message import Message
from gateway.core.view import MessageView, view
from gateway.gates import Gates
from gateway.grants import Grants
from gateway.intake import Intake
from gateway.logins import Logins
from gateway.mappings import Mappings
from gateway.orders import Orders
from gateway.pauses import Pauses
from gateway.ports import Clock, Ledger, Observer
from gateway.quotas import Quotas
from gateway.receipts import Receipts
from gateway.waiting import Waiting

from . import problems

JSON: Final = "application/json"
_BEARER: Final = b"bearer "


class Headers(dict[bytes, bytes]):
    """A request's headers, names in lower case; of one that is `repeated`, every value, with commas between them."""

    def __init__(self, given: Iterable[tuple[bytes, bytes]]) -> None:
        super().__init__()
        self.repeated: set[bytes] = set()
        for name, value in given:
            if name in self:
                self.repeated.add(name)
                value = self[name] + b", " + value
            self[name] = value


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
    orders: Orders
    callbacks: Callbacks
    ledger: Ledger
    gates: Gates
    pauses: Pauses
    quotas: Quotas
    grants: Grants
    logins: Logins
    mappings: Mappings
    exposition: Callable[[], bytes]
    observer: Observer
    clock: Clock
    limits: Limits
    callers: Mapping[str, Caller]  # by the hex SHA-256 of a key
    buckets: Mapping[str, Bucket]
    accounts: frozenset[str]

    def caller_of(self, headers: Mapping[bytes, bytes]) -> Caller:
        """Whose key the call carries; raises Unauthenticated."""
        given = headers.get(b"authorization", b"")
        if given[: len(_BEARER)].lower() == _BEARER:
            # The digest is looked up, not the key: how long it takes tells nothing about any key.
            caller = self.callers.get(hashlib.sha256(given[len(_BEARER) :].strip()).hexdigest())
            if caller is not None:
                return caller
        raise Unauthenticated("send `Authorization: Bearer <caller key>`; `zns-gateway key new NAME` makes a key")

    def check_key(self, scope: Any) -> None:
        """Whoever calls anything under /v1 has a key, also where there is nothing to call; raises Unauthenticated."""
        if scope["path"].startswith("/v1/"):
            self.caller_of(Headers(scope["headers"]))

    def admit(self, caller: Caller) -> None:
        """One event of the caller's share is taken; raises TooManyRequests where nothing is left of it."""
        wait_s = self.buckets[caller.name].take(self.clock())
        if wait_s > 0:
            retry_after_s = math.ceil(wait_s)
            detail = (
                f"caller {caller.name} is over its max_per_second; post the same again after {retry_after_s} s"
            )
            raise TooManyRequests(detail, retry_after_s=retry_after_s)

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


class Disconnected(Exception):
    """The client went away before its request was complete; there is nobody to answer."""


async def read_body(headers: Headers, receive: Receive, limit: int) -> bytes:
    """The whole body; raises TooLarge as soon as it is known to be longer than `limit`."""
    too_large = TooLarge(f"the body may have {limit} bytes at most")
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > limit:
        raise too_large
    parts: list[bytes] = []
    size, is_whole = 0, False
    while not is_whole:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise too_large
        is_whole = not message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


Serve = Callable[[Doors, Headers, Receive], Awaitable[Answer]]


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
    with suppress(Disconnected):
        try:
            if scope["method"] != "POST":
                doors.check_key(scope)
                raise MethodNotAllowed("this path takes POST only")
            answer = await serve(doors, Headers(scope["headers"]), receive)
        except Disconnected:
            raise
        except MethodNotAllowed as error:
            answer = answer_of_error(error, allow="POST")
        except Exception as error:  # noqa: BLE001 - the last line: every caller gets an answer
            answer = answer_of(error, doors.observer, surprise)
        await answer.send(send)


def answer_of_error(error: GatewayError, **headers: str) -> Answer:
    """The problem+json answer to a call that raised this."""
    problem = problems.problem_of(error)
    headers = problems.headers_of(error) | headers
    return Answer(problem.status, problems.encode(problem), problems.MEDIA_TYPE, headers)


def answer_of(error: Exception, observer: Observer, surprise: type[GatewayError] = Unavailable) -> Answer:
    """The answer to a call in which this happened; never a 500."""
    return answer_of_error(refusal_of(error, observer, surprise))


def refusal_of(error: Exception, observer: Observer, surprise: type[GatewayError]) -> GatewayError:
    """The error itself if it was made to be told; what nobody thought of is logged, and told as a `surprise`."""
    if isinstance(error, GatewayError) and type(error) in problems.STATUSES:
        return error
    observer.fact("turn-failed", error=error)
    return surprise("something went wrong on our side, and it has been logged; try the same again")


def status_of(message: Message) -> int:
    """The HTTP status of any answer to the event of this message."""
    match message.state:
        case State.SENT | State.DELIVERED | State.UNDELIVERED | State.SKIPPED:
            return 200
        case State.FAILED | State.EXPIRED | State.CANCELLED:
            return 422
        case _:
            return 202
