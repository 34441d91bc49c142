"""The calls to Zalo. Here, and nowhere else in this room, httpx is spoken.

httpx gives the requests, the answers and the classes of failure; our own transport carries them
(`docs/adr/0003`). Requests go straight to the transport: `httpx.AsyncClient` adds redirects, cookies, proxies
and authentication, none of which may happen here, for more time than the whole exchange takes.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, cast
from urllib.parse import urlencode

import httpx
import msgspec

from gateway import __version__
from gateway.core import delivery, grant, login
from gateway.core.delivery import Quota
from gateway.ports import Heard

from . import codes, wire
from .connections import Broken, Connections, Loss, NotSent, Origin, Unsent
from .wire import Delivered, Pending, Unclear

_AGENT: Final = ((b"User-Agent", f"zns-gateway/{__version__}".encode()), (b"Accept-Encoding", b"identity"))
_JSON: Final = (*_AGENT, (b"Content-Type", b"application/json"))
_FORM: Final = (*_AGENT, (b"Content-Type", b"application/x-www-form-urlencoded"))
_PORTS: Final = {"http": 80, "https": 443}

_Header = tuple[bytes, bytes]


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

    async def aclose(self) -> None:
        """Every connection is closed."""
        await self._connections.aclose()


_BROKEN: Final[Mapping[Loss, type[httpx.TransportError]]] = {
    Loss.TIMED_OUT: httpx.ReadTimeout,
    Loss.CONNECTION_LOST: httpx.ReadError,
    Loss.UNREADABLE: httpx.RemoteProtocolError,
    Loss.TOO_LARGE: httpx.RemoteProtocolError,
}


def origin_of(url: httpx.URL) -> Origin:
    """Where a request to `url` goes."""
    return Origin(url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme])


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


class _Endpoint(msgspec.Struct, frozen=True):
    """Where one of Zalo's calls goes, with what every request to it says alike."""

    url: httpx.URL
    headers: tuple[_Header, ...]

    def post(self, body: bytes, *headers: _Header) -> httpx.Request:
        """A request that carries `body`; httpx adds nothing to it."""
        length = (b"Content-Length", str(len(body)).encode())
        return httpx.Request("POST", self.url, headers=[*self.headers, length, *headers], stream=Whole(body))

    def get(self, query: Mapping[str, str], *headers: _Header) -> httpx.Request:
        """A request that asks with `query`."""
        url = self.url.copy_merge_params(query)
        return httpx.Request("GET", url, headers=[*self.headers, *headers], stream=Whole(b""))


def _endpoint(base: str, path: str, headers: tuple[_Header, ...] = _AGENT) -> _Endpoint:
    try:
        url = httpx.URL(base.rstrip("/") + path)
    except httpx.InvalidURL:
        raise ValueError("not a URL") from None
    if url.scheme not in _PORTS or not url.host:
        raise ValueError("not an http or https URL with a host")
    return _Endpoint(url, ((b"Host", url.netloc), *headers))


class ZaloClient:
    """Speaks to Zalo. Every method returns a value; none raises for what Zalo or the network does.

    `read_timeout` is the whole exchange, from the first byte written to the last one read. Nothing is retried.
    """

    def __init__(self, api_url: str, oauth_url: str, connect_timeout: timedelta, read_timeout: timedelta) -> None:
        """Raises ValueError when a URL is not one of http or https with a host."""
        self._send = _endpoint(api_url, "/message/template", _JSON)
        self._status = _endpoint(api_url, "/message/status")
        self._quota = _endpoint(api_url, "/message/quota")
        self._template = _endpoint(api_url, "/template/info/v2")
        self._token = _endpoint(oauth_url, "/v4/oa/access_token", _FORM)
        self._connections = Connections(connect_timeout, read_timeout)
        self._transport = PoolTransport(self._connections)

    async def send(
        self,
        access_token: str,
        *,
        phone: str,
        template_id: str,
        template_data: Mapping[str, str],
        tracking_id: str,
        development: bool = False,
        app_secret: str | None = None,
    ) -> delivery.Outcome:
        """What became of one request to send one message. Source: docs/zalo.md §4.1

        With `app_secret` the request carries the appsecret_proof.
        """
        if not wire.is_usable_token(access_token):
            return delivery.Deferred(wire.own_word("access-token-unusable"), codes.NEW_GRANT)
        try:
            body = wire.write_send(
                phone=phone,
                template_id=template_id,
                template_data=template_data,
                tracking_id=tracking_id,
                development=development,
            )
        except ValueError:
            return delivery.Refused(wire.own_word("text-unusable"))
        heard = await self._exchange(self._send.post(body, *_credentials(access_token, app_secret)))
        if isinstance(heard, Unsent):
            return wire.not_sent(heard.value)
        if isinstance(heard, Loss):
            return wire.uncertain(heard.value)
        return wire.read_send(
            heard.status_code,
            _body(heard),
            development=development,
            private=(access_token, *template_data.values()),
            retry_after=heard.headers.get("Retry-After") if heard.status_code == 429 else None,
        )

    async def status(
        self, access_token: str, msg_id: str, *, app_secret: str | None = None
    ) -> Delivered | Pending | Unclear:
        """Whether the phone has the message of this `msg_id`."""
        heard = await self._ask(self._status, {"message_id": msg_id}, access_token, app_secret)
        return heard if isinstance(heard, Unclear) else wire.read_status(heard.status_code, _body(heard))

    async def quota(self, access_token: str, *, app_secret: str | None = None) -> Quota | Unclear:
        """The account's daily quota as it stands."""
        heard = await self._ask(self._quota, {}, access_token, app_secret)
        return heard if isinstance(heard, Unclear) else wire.read_quota(heard.status_code, _body(heard))

    async def answers(self, access_token: str, *, app_secret: str | None = None) -> bool:
        """True if Zalo answers a question that costs nothing and changes nothing."""
        return not isinstance(await self.quota(access_token, app_secret=app_secret), Unclear)

    async def template(
        self, access_token: str, template_id: str, *, app_secret: str | None = None
    ) -> dict[str, Any] | Unclear:
        """The `data` of the template's definition as Zalo has it now."""
        heard = await self._ask(self._template, {"template_id": template_id}, access_token, app_secret)
        return heard if isinstance(heard, Unclear) else wire.read_data(heard.status_code, _body(heard))

    async def prepare(self) -> grant.NotPresented | None:
        """A new connection to the OAuth host is open for the next `refresh`; or why there is none.

        Called before the intent is written, it moves all that can fail on the way there before that point.
        """
        try:
            await self._connections.prepare(origin_of(self._token.url))
        except NotSent as error:
            return grant.NotPresented(error.cause.value)
        return None

    async def refresh(
        self,
        *,
        app_id: str,
        app_secret: str,
        refresh_token: str,
        journal: Callable[[int, bytes], None] | None = None,
    ) -> grant.RefreshResult:
        """What became of one presentation of `refresh_token`. Source: docs/zalo.md §3.2

        `journal` gets status and body before anything is made of them. It must not raise: what it is given may
        be the only copy of the new tokens.
        """
        if not wire.is_usable_token(app_secret):
            return grant.NotPresented("app-secret-unusable")
        if not wire.is_usable_token(refresh_token):
            return grant.NotPresented("refresh-token-unusable")
        form = {"refresh_token": refresh_token, "app_id": app_id, "grant_type": "refresh_token"}
        request = self._token.post(urlencode(form).encode(), (b"secret_key", app_secret.encode()))
        heard = await self._exchange(request)
        if isinstance(heard, Unsent):
            return grant.NotPresented(heard.value)
        if isinstance(heard, Loss):
            return grant.Lost(heard.value)
        if journal is not None:
            journal(heard.status_code, _body(heard))
        return wire.read_grant(heard.status_code, _body(heard), refresh_token)

    def read(self, heard: Heard, refresh_token: str) -> grant.RefreshResult:
        """What an answer that was written down makes of the grant whose refresh token was presented."""
        return wire.read_grant(heard.status, heard.body, refresh_token)

    async def exchange(self, *, app_id: str, app_secret: str, code: str, verifier: str) -> login.ExchangeResult:
        """What became of one presentation of an authorization code, which works once. Source: docs/zalo.md §3.4"""
        if not wire.is_usable_token(app_secret):
            return grant.Refused("the app secret holds what no header can carry")
        form = {"code": code, "app_id": app_id, "grant_type": "authorization_code", "code_verifier": verifier}
        request = self._token.post(urlencode(form).encode(), (b"secret_key", app_secret.encode()))
        heard = await self._exchange(request)
        if isinstance(heard, Unsent):
            return grant.NotPresented(heard.value)
        if isinstance(heard, Loss):
            return grant.Lost(heard.value)
        return wire.read_exchange(heard.status_code, _body(heard), code, private=(verifier, app_secret))

    async def aclose(self) -> None:
        """Every connection is closed. Exchanges under way end as uncertain, later ones as not sent."""
        await self._transport.aclose()

    async def _ask(
        self, endpoint: _Endpoint, query: Mapping[str, str], access_token: str, app_secret: str | None
    ) -> httpx.Response | Unclear:
        if not wire.is_usable_token(access_token):
            return Unclear(wire.own_word("access-token-unusable"), wants_new_grant=True)
        heard = await self._exchange(endpoint.get(query, *_credentials(access_token, app_secret)))
        return heard if isinstance(heard, httpx.Response) else Unclear(wire.own_word(heard.value))

    async def _exchange(self, request: httpx.Request) -> httpx.Response | Unsent | Loss:
        """The answer; or why there is none, which also says whether anything left us."""
        try:
            return await self._transport.handle_async_request(request)
        except httpx.TransportError as error:
            if isinstance(error.__cause__, NotSent | Broken):
                return error.__cause__.cause
            raise


def _credentials(access_token: str, app_secret: str | None) -> tuple[_Header, ...]:
    token = (b"access_token", access_token.encode())
    if app_secret is None:
        return (token,)
    return (token, (b"appsecret_proof", wire.appsecret_proof(app_secret, access_token).encode()))


def _body(response: httpx.Response) -> bytes:
    return cast("Whole", response.stream).body  # our transport makes no other
