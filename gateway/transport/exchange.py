"""One exchange in httpx's words. Here, and nowhere else in this room, httpx is spoken.

httpx gives the requests, the answers and the classes of failure; our own connections carry them
(`docs/adr/0003`). Requests go straight to the transport: `httpx.AsyncClient` adds redirects, cookies, proxies
and authentication, none of which may happen here, for more time than the whole exchange takes.
"""

from collections.abc import Mapping
from typing import Final, Self, cast

import httpx
import msgspec

from gateway import __version__

from .connections import Broken, Connections, Loss, NotSent, Origin, Unsent

Header = tuple[bytes, bytes]

AGENT: Final = ((b"User-Agent", f"zns-gateway/{__version__}".encode()), (b"Accept-Encoding", b"identity"))
_PORTS: Final = {"http": 80, "https": 443}


class Whole(httpx.ByteStream):
    """A body that is all there. httpx would take as long to gather it as the network takes to bring it."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self.body = body


class PoolTransport(httpx.AsyncBaseTransport):
    """An httpx transport over `Connections`, whose exceptions can be believed.

    ConnectError and ConnectTimeout are raised only when not one byte of the request was handed to a socket;
    whatever came after the first byte is a ReadTimeout, a ReadError or a RemoteProtocolError.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The whole answer, its body read."""
        body = request.stream.body if isinstance(request.stream, Whole) else await request.aread()
        try:
            answer = await self._connections.exchange(origin_of(request.url), _written(request, body))
        except NotSent as error:
            unsent = httpx.ConnectTimeout if error.cause is Unsent.TIMED_OUT else httpx.ConnectError
            raise unsent(str(error), request=request) from error
        except Broken as error:
            raise _BROKEN[error.cause](str(error), request=request) from error
        return httpx.Response(answer.status, headers=answer.headers, stream=Whole(answer.body), request=request)

    async def ask(self, request: httpx.Request) -> httpx.Response | Unsent | Loss:
        """The whole answer; or why there is none, which also says whether anything left us."""
        try:
            return await self.handle_async_request(request)
        except httpx.TransportError as error:
            if isinstance(error.__cause__, NotSent | Broken):
                return error.__cause__.cause
            raise

    async def aclose(self) -> None:
        """Every connection is closed."""
        await self._connections.aclose()


_BROKEN: Final[Mapping[Loss, type[httpx.TransportError]]] = {
    Loss.TIMED_OUT: httpx.ReadTimeout,
    Loss.CONNECTION_LOST: httpx.ReadError,
    Loss.UNREADABLE: httpx.RemoteProtocolError,
    Loss.TOO_LARGE: httpx.RemoteProtocolError,
}


class Target(msgspec.Struct, frozen=True):
    """Where a kind of request goes, with what every one of them says alike."""

    url: httpx.URL
    headers: tuple[Header, ...]

    @classmethod
    def at(cls, url: str, headers: tuple[Header, ...] = AGENT) -> Self:
        """The target at `url`; raises ValueError, which does not quote it, unless it is http or https with a host."""
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            raise ValueError("not a URL") from None
        if parsed.scheme not in _PORTS or not parsed.host:
            raise ValueError("not an http or https URL with a host")
        return cls(parsed, ((b"Host", parsed.netloc), *headers))

    def post(self, body: bytes, *headers: Header) -> httpx.Request:
        """A request that carries `body`; httpx adds nothing to it."""
        length = (b"Content-Length", str(len(body)).encode())
        return httpx.Request("POST", self.url, headers=[*self.headers, length, *headers], stream=Whole(body))

    def get(self, query: Mapping[str, str], *headers: Header) -> httpx.Request:
        """A request that asks with `query`."""
        url = self.url.copy_merge_params(query)
        return httpx.Request("GET", url, headers=[*self.headers, *headers], stream=Whole(b""))


def origin_of(url: httpx.URL) -> Origin:
    """Where a request to `url` goes."""
    return Origin(url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme])


def body_of(answer: httpx.Response) -> bytes:
    """The body of an answer that `PoolTransport` gave."""
    return cast("Whole", answer.stream).body


def _written(request: httpx.Request, body: bytes) -> bytes:
    """The request as it goes onto the wire. Raises LocalProtocolError rather than let a value break its line."""
    headers = request.headers.raw
    parts = [request.method.encode(), b" ", request.url.raw_path, b" HTTP/1.1\r\n"]
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    head = b"".join(parts)
    if head.count(b"\n") != len(headers) + 1 or head.count(b"\r") != len(headers) + 1:
        raise httpx.LocalProtocolError("a header breaks its line", request=request)
    return head + b"\r\n" + body
