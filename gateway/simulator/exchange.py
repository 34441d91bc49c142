"""One HTTP exchange: what was asked, what is told, and how the telling may go wrong.

The endpoints are plain functions from `Asked` to `Told`; only `tell` knows of sockets.
"""

import asyncio
import enum
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import msgspec
from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, Receive, Scope, Send

MOST_BODY_BYTES: Final = 1 << 20
"""Of a longer body the rest is read and thrown away."""

JSON: Final = b"application/json;charset=utf-8"
HTML: Final = b"text/html; charset=utf-8"
ACCESS_TOKEN: Final = frozenset({b"access_token", b"access-token"})
APPSECRET_PROOF: Final = frozenset({b"appsecret_proof", b"appsecret-proof"})
SECRET_KEY: Final = frozenset({b"secret_key", b"secret-key"})
"""Names of headers, which ASGI gives in lower case; a proxy may have made dashes of Zalo's underscores."""

SERVER_SEND: Final = "zalo.simulator.send"
"""Where the scope keeps the server's own `send`, which Litestar wraps."""

BAD_GATEWAY: Final = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
GARBAGE: Final = b'{"error":0,"mess\x00\xff\xfe'

_encode = msgspec.json.Encoder().encode


class Ending(enum.Enum):
    """How an exchange ends."""

    ANSWER = enum.auto()
    CUT = enum.auto()
    SILENCE = enum.auto()


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request: its parts as they came."""

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    query_string: bytes
    body: bytes

    def header(self, names: frozenset[bytes]) -> str:
        """The value of the first header with one of these names, which are in lower case; "" without one."""
        for name, value in self.headers:
            if name in names:
                return value.decode("latin-1")
        return ""

    def query(self) -> dict[str, str]:
        """The parameters of the query; of several with one name the last."""
        return _fields(self.query_string)

    def form(self) -> dict[str, str]:
        """The fields of a URL-encoded body; of several with one name the last."""
        return _fields(self.body)


class Told(msgspec.Struct, frozen=True, gc=False):
    """An answer, and what happens around it: first `before`, then the delay, then the ending."""

    body: bytes
    error: int | None = 0
    status: int = 200
    content_type: bytes = JSON
    location: str | None = None
    before: Callable[[], Awaitable[None]] | None = None
    delay_s: float = 0.0
    ending: Ending = Ending.ANSWER


def told_json(members: Any, *, error: int | None = 0, status: int = 200) -> Told:
    """An answer in JSON."""
    return Told(_encode(members), error, status)


def told_html(status: int = 502, page: bytes = BAD_GATEWAY) -> Told:
    """A page; by default the one of a proxy that got no answer."""
    return Told(page, None, status, HTML)


def _fields(raw: bytes) -> dict[str, str]:
    return dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True, errors="replace"))


async def read(path: str, scope: Scope, receive: Receive) -> Asked | None:
    """The whole request, or None when the client has left in the middle of it."""
    parts: list[bytes] = []
    size, is_more = 0, True
    while is_more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        if size <= MOST_BODY_BYTES:
            parts.append(message["body"])
            size += len(message["body"])
        is_more = message["more_body"]
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    http = cast("dict[str, Any]", scope)
    return Asked(http["method"], path, http["headers"], http["query_string"], body)


async def tell(told: Told, scope: Scope, receive: Receive, send: Send, closing: asyncio.Event) -> None:
    """The client has the answer, or has seen what it was to see instead of one."""
    if told.before is not None:
        await told.before()
    if told.delay_s and await _has_left(receive, closing, told.delay_s):
        return
    if told.ending is Ending.SILENCE:
        await _has_left(receive, closing, None)
    if told.ending is not Ending.ANSWER:
        await hang_up(scope, receive, send)
        return
    headers = [(b"content-type", told.content_type), (b"content-length", b"%d" % len(told.body))]
    if told.location is not None:
        headers.append((b"location", told.location.encode("ascii", "replace")))
    start: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": told.status,
        "headers": headers,
    }
    body: HTTPResponseBodyEvent = {"type": "http.response.body", "body": told.body, "more_body": False}
    await send(start)
    await send(body)


async def hang_up(scope: Scope, receive: Receive, send: Send) -> None:
    """The connection is closed, and not a byte of an answer was sent.

    ASGI has no word for that, so this reaches for the transport behind the server's own `send`, which
    uvicorn's has. Under a server that hides it the next best is done: an answer that is broken off.
    """
    server_send = cast("dict[str, Any]", scope).get(SERVER_SEND)
    transport = getattr(getattr(server_send, "__self__", None), "transport", None)
    if transport is not None:
        transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    start: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-length", b"1000000")],
    }
    await send(start)


async def _has_left(receive: Receive, closing: asyncio.Event, at_most_s: float | None) -> bool:
    """Whether the client left within the time; comes back early too when the simulator closes."""
    if at_most_s is not None and at_most_s <= 1:
        await asyncio.sleep(at_most_s)
        return False
    watches = {asyncio.ensure_future(_disconnect(receive)), asyncio.ensure_future(closing.wait())}
    done, waiting = await asyncio.wait(watches, timeout=at_most_s, return_when=asyncio.FIRST_COMPLETED)
    for watch in waiting:
        watch.cancel()
    return any(watch.result() is None for watch in done)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
