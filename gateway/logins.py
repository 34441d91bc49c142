"""Getting a grant by consent: a link, a person at Zalo's page, a callback, a code that works once, a grant.

The Login is durable before anybody sees its link, and is taken out of the store before its code is presented: a
state works once, whatever else happens. Nothing of the store and nothing of Zalo's is told that is not ours to tell.
"""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Protocol, assert_never

import msgspec

from .core.errors import CannotOpen, CannotStart, Unavailable
from .core.grant import Grant, Lost, NotPresented, Refused, Rotated
from .core.login import LIFE, Callback, ExchangeResult, Login, consent_url
from .core.login_end import (
    Denied,
    Ended,
    ExchangeLost,
    ExchangeRefused,
    Granted,
    NoSuchLogin,
    NotNow,
    OtherAccount,
    StillWorking,
)
from .grants import adopt
from .ports import Clock, Observer, Vault

_SAVE_AGAIN_S: Final = 0.5
_SAVE_FOR: Final = timedelta(seconds=30)
_ASK_AGAIN_S: Final = 0.5
_MOST_USED: Final = 1000


class Exchanger(Protocol):
    """Turns an authorization code into a pair, once."""

    async def exchange(self, *, app_id: str, app_secret: str, code: str, verifier: str) -> ExchangeResult:
        """What became of one presentation; never raises for anything that Zalo or the network does."""


class Registration(msgspec.Struct, frozen=True):
    """What Zalo's console and we agree on about an account's app; empty where it is not configured."""

    app_id: str
    app_secret: str
    oa_id: str = ""
    code_verifier: str = ""

    def __repr__(self) -> str:
        return f"Registration(app_id={self.app_id!r}, …)"


class Begun(msgspec.Struct, frozen=True):
    """The login waits for its callback; `url` is the page where a person consents."""

    login: Login
    url: str

    def __repr__(self) -> str:
        return f"Begun({self.login!r}, …)"


_encode: Final = msgspec.msgpack.Encoder().encode
_read_ended: Final = msgspec.msgpack.Decoder(Ended).decode


class Logins:
    """Every login that this process begins or ends."""

    def __init__(
        self,
        vault: Vault,
        exchanger: Exchanger,
        registrations: Mapping[str, Registration],
        clock: Clock,
        observer: Observer,
        *,
        oauth_url: str,
        deadline: timedelta,
        random_text: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    ) -> None:
        """`deadline` is for the whole exchange; `random_text` is 43 characters that nobody can guess."""
        self._vault = vault
        self._exchanger = exchanger
        self._registrations = registrations
        self._clock = clock
        self._observer = observer
        self._oauth_url = oauth_url
        self._deadline = deadline
        self._random_text = random_text
        self._used: OrderedDict[bytes, None] = OrderedDict()
        self._ending: set[asyncio.Task[Ended]] = set()

    async def begin(self, account: str, redirect_uri: str, *, may_replace: bool) -> Begun | StillWorking:
        """The login is durable, and its link may be shown; raises Unavailable, and then there is no link."""
        working = await self._working(account, may_replace=may_replace)
        if working is not None:
            return working
        registration = self._registrations[account]
        verifier = registration.code_verifier or self._random_text()
        expires_at = self._clock() + LIFE
        login = Login(account, self._random_text(), verifier, redirect_uri, expires_at, may_replace)
        await self._vault.put_login(login)
        self._observer.fact("login-begun", account=account)
        return Begun(login, consent_url(login, oauth_url=self._oauth_url, app_id=registration.app_id))

    async def withdraw(self, login: Login) -> bool:
        """Nobody can use the login's link any more; True if nobody has. Raises Unavailable."""
        return await self._vault.take_login(login.state, self._clock()) is not None

    async def is_waiting(self, login: Login) -> bool:
        """True while nobody has used the login's link, or made a newer one. Raises Unavailable."""
        return await self._vault.is_waiting(login)

    async def end_of(self, login: Login) -> Ended | None:
        """What came of the login, whichever process ended it; None while nobody has said. Raises Unavailable."""
        told = await self._vault.login_end(login)
        return None if told is None else _read_ended(told)

    async def finish(self, callback: Callback) -> Ended:
        """What became of the callback; never raises. Whoever asked may go away: what was begun is brought to its end."""
        task = asyncio.create_task(self._finish(callback), name="login")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """No code is being exchanged any more: what Zalo gave has been saved."""
        while self._ending:
            await asyncio.wait(self._ending)

    async def _finish(self, callback: Callback) -> Ended:
        ended = await self._ended(callback)
        about: dict[str, Any] = {"account": getattr(ended, "account", None)}
        if isinstance(ended, ExchangeRefused):
            about["cause"] = f"Zalo's error {ended.number}"
        elif isinstance(ended, ExchangeLost):
            about["cause"] = ended.cause
        elif isinstance(ended, NotNow):
            about["cause"] = ended.lacking
        self._observer.fact("login-ended", outcome=_NAMES[type(ended)], **about)
        return ended

    async def _ended(self, callback: Callback) -> Ended:
        try:
            login = await self._take(callback)
        except (Unavailable, CannotOpen):
            return NotNow("store")
        if isinstance(login, NoSuchLogin):
            return login
        ended = await self._consented(login, callback)
        with suppress(Unavailable):  # then whoever waits for it is told that nobody has said
            await self._vault.end_login(login, _encode(ended))
        return ended

    async def _consented(self, login: Login, callback: Callback) -> Ended:
        if callback.error is not None or callback.code is None:
            return Denied(login.account, callback.error or "", callback.words)
        configured = self._registrations[login.account].oa_id
        if configured and callback.oa_id is not None and callback.oa_id != configured:
            return OtherAccount(login.account, configured, callback.oa_id)
        try:
            working = await self._working(login.account, may_replace=login.may_replace)
        except (Unavailable, CannotOpen):
            return NotNow("store", login.account)
        return working or await self._granted(login, callback.code)

    async def _take(self, callback: Callback) -> Login | NoSuchLogin:
        if callback.state is None:
            return NoSuchLogin()
        mark = hashlib.sha256(callback.state.encode()).digest()
        if mark in self._used:
            return NoSuchLogin(was_used=True)
        login = await self._vault.take_login(callback.state, self._clock())
        if login is None or login.account not in self._registrations:
            return NoSuchLogin(was_used=mark in self._used)
        self._used[mark] = None
        if len(self._used) > _MOST_USED:
            self._used.popitem(last=False)
        return login

    async def _working(self, account: str, *, may_replace: bool) -> StillWorking | None:
        grant = await self._vault.grant(account)
        if may_replace or grant is None or not grant.is_alive:
            return None
        return StillWorking(account, grant.generation)

    async def _granted(self, login: Login, code: str) -> Ended:
        result = await self._exchange(login, code)
        match result:
            case Rotated():
                grant = await self._save(login.account, result)
                if grant is None:
                    return NotNow("saving", login.account)
                return Granted(login.account, grant.generation, grant.expires_at)
            case Refused(detail, number):
                return ExchangeRefused(login.account, number, detail)
            case Lost(cause):
                return ExchangeLost(login.account, cause)
            case NotPresented():
                return NotNow("zalo", login.account)
        assert_never(result)

    async def _exchange(self, login: Login, code: str) -> ExchangeResult:
        """One presentation of the code; again only while provably nothing has left us."""
        registration = self._registrations[login.account]
        loop = asyncio.get_running_loop()
        end = loop.time() + self._deadline.total_seconds()
        while True:
            try:
                async with asyncio.timeout_at(end):
                    result = await self._exchanger.exchange(
                        app_id=registration.app_id,
                        app_secret=registration.app_secret,
                        code=code,
                        verifier=login.verifier,
                    )
            except TimeoutError:
                return Lost("timed-out")
            if not isinstance(result, NotPresented) or loop.time() + _ASK_AGAIN_S >= end:
                return result
            await asyncio.sleep(_ASK_AGAIN_S)

    async def _save(self, account: str, pair: Rotated) -> Grant | None:
        """The new pair is the account's grant, whoever else writes and however the store stumbles; None if it cannot.

        Whether an older grant may be replaced was decided before: by the consent Zalo has ended that one.
        """
        at = self._clock()
        while True:
            try:
                # A commit that could not be confirmed may have been made all the same.
                current = await self._vault.grant(account)
                if current is not None and current.consented_at == at and current.access == pair.access:
                    return current
                return await adopt(self._vault, account, pair, at, may_replace=True)
            except (Unavailable, CannotOpen):
                self._observer.fact("store-unavailable", doing="keep-login", account=account)
            except CannotStart:
                pass  # somebody else wrote between the look and the save
            if self._clock() >= at + _SAVE_FOR:
                return None
            await asyncio.sleep(_SAVE_AGAIN_S)


_NAMES: Final[Mapping[type[Any], str]] = {
    Granted: "granted",
    NoSuchLogin: "no-such-login",
    OtherAccount: "other-account",
    Denied: "denied",
    ExchangeRefused: "refused",
    ExchangeLost: "lost",
    StillWorking: "still-working",
    NotNow: "not-now",
}
