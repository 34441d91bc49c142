"""The calls to Zalo. Here, and nowhere else in this room, httpx is spoken; `gateway.transport` carries it."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from gateway.core import delivery, grant, login
from gateway.core.delivery import Quota
from gateway.core.silence import StatusAnswer, Unclear
from gateway.ports import Heard
from gateway.transport.connections import Connections, Loss, NotSent, Unsent
from gateway.transport.exchange import AGENT, Header, PoolTransport, Target, body_of, origin_of

from . import codes, oauth, wire
from .reading import is_usable_token

_JSON: Final = (*AGENT, (b"Content-Type", b"application/json"))
_FORM: Final = (*AGENT, (b"Content-Type", b"application/x-www-form-urlencoded"))


class ZaloClient:
    """Speaks to Zalo. Every method returns a value; none raises for what Zalo or the network does.

    `read_timeout` is the whole exchange, from the first byte written to the last one read. Nothing is retried.
    """

    def __init__(self, api_url: str, oauth_url: str, connect_timeout: timedelta, read_timeout: timedelta) -> None:
        """Raises ValueError when a URL is not one of http or https with a host."""
        api = api_url.rstrip("/")
        self._send = Target.at(f"{api}/message/template", _JSON)
        self._status = Target.at(f"{api}/message/status")
        self._quota = Target.at(f"{api}/message/quota")
        self._template = Target.at(f"{api}/template/info/v2")
        self._token = Target.at(f"{oauth_url.rstrip('/')}/v4/oa/access_token", _FORM)
        self._connections = Connections(connect_timeout, read_timeout)
        self._transport = PoolTransport(self._connections)

    async def send(
        self,
        token: grant.Token,
        *,
        phone: str,
        template_id: str,
        template_data: Mapping[str, str],
        tracking_id: str,
        development: bool = False,
    ) -> delivery.Outcome:
        """What became of one request to send one message. Source: docs/zalo.md §4.1"""
        if not is_usable_token(token.access.value):
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
        heard = await self._transport.ask(self._send.post(body, *_credentials(token)))
        if isinstance(heard, Unsent):
            return wire.not_sent(heard.value)
        if isinstance(heard, Loss):
            return wire.uncertain(heard.value)
        return wire.read_send(
            heard.status_code,
            body_of(heard),
            development=development,
            private=(token.access.value, *template_data.values()),
            retry_after=heard.headers.get("Retry-After") if heard.status_code == 429 else None,
        )

    async def status(self, token: grant.Token, msg_id: str) -> StatusAnswer:
        """Whether the phone has the message of this `msg_id`."""
        heard = await self._ask(self._status, {"message_id": msg_id}, token)
        return heard if isinstance(heard, Unclear) else wire.read_status(heard.status_code, body_of(heard))

    async def quota(self, token: grant.Token) -> Quota | Unclear:
        """The account's daily quota as it stands."""
        heard = await self._ask(self._quota, {}, token)
        return heard if isinstance(heard, Unclear) else wire.read_quota(heard.status_code, body_of(heard))

    async def answers(self, token: grant.Token) -> bool:
        """True if Zalo answers a question that costs nothing and changes nothing."""
        return not isinstance(await self.quota(token), Unclear)

    async def template(self, token: grant.Token, template_id: str) -> dict[str, Any] | Unclear:
        """The `data` of the template's definition as Zalo has it now."""
        heard = await self._ask(self._template, {"template_id": template_id}, token)
        return heard if isinstance(heard, Unclear) else wire.read_data(heard.status_code, body_of(heard))

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
        if not is_usable_token(app_secret):
            return grant.NotPresented("app-secret-unusable")
        if not is_usable_token(refresh_token):
            return grant.NotPresented("refresh-token-unusable")
        form = {"refresh_token": refresh_token, "app_id": app_id, "grant_type": "refresh_token"}
        request = self._token.post(urlencode(form).encode(), (b"secret_key", app_secret.encode()))
        heard = await self._transport.ask(request)
        if isinstance(heard, Unsent):
            return grant.NotPresented(heard.value)
        if isinstance(heard, Loss):
            return grant.Lost(heard.value)
        if journal is not None:
            journal(heard.status_code, body_of(heard))
        return oauth.read_grant(heard.status_code, body_of(heard), refresh_token)

    def read(self, heard: Heard, refresh_token: str) -> grant.RefreshResult:
        """What an answer that was written down makes of the grant whose refresh token was presented."""
        return oauth.read_grant(heard.status, heard.body, refresh_token)

    async def exchange(self, *, app_id: str, app_secret: str, code: str, verifier: str) -> login.ExchangeResult:
        """What became of one presentation of an authorization code, which works once. Source: docs/zalo.md §3.4"""
        if not is_usable_token(app_secret):
            return grant.Refused("the app secret holds what no header can carry")
        form = {"code": code, "app_id": app_id, "grant_type": "authorization_code", "code_verifier": verifier}
        request = self._token.post(urlencode(form).encode(), (b"secret_key", app_secret.encode()))
        heard = await self._transport.ask(request)
        if isinstance(heard, Unsent):
            return grant.NotPresented(heard.value)
        if isinstance(heard, Loss):
            return grant.Lost(heard.value)
        return oauth.read_exchange(heard.status_code, body_of(heard), code, private=(verifier, app_secret))

    async def aclose(self) -> None:
        """Every connection is closed. Exchanges under way end as uncertain, later ones as not sent."""
        await self._transport.aclose()

    async def _ask(self, target: Target, query: Mapping[str, str], token: grant.Token) -> httpx.Response | Unclear:
        if not is_usable_token(token.access.value):
            return Unclear(wire.own_word("access-token-unusable"), wants_new_grant=True)
        heard = await self._transport.ask(target.get(query, *_credentials(token)))
        return heard if isinstance(heard, httpx.Response) else Unclear(wire.own_word(heard.value))


def _credentials(token: grant.Token) -> tuple[Header, ...]:
    access = (b"access_token", token.access.value.encode())
    if token.app_secret is None:
        return (access,)
    proof = wire.appsecret_proof(token.app_secret.value, token.access.value)
    return (access, (b"appsecret_proof", proof.encode()))
