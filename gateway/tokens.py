"""One fresh AccessToken for everyone, and one refresher at a time.

A refresh token can be spent once. So: look again → write the intent → ask → save the new pair by compare-and-set →
only then use it. Where it cannot be known what became of the question, the account is troubled and a person is
asked for; nothing is presented again on a guess.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, assert_never

import msgspec

from .core.errors import CannotStart, Unavailable
from .core.grant import (
    REFRESHING,
    UNPROVEN,
    Dead,
    Grant,
    Intent,
    Lost,
    NotPresented,
    RefreshResult,
    Refused,
    Rotated,
    Trouble,
    first_grant,
)
from .ports import Clock, Issuer, Observer, Token, Vault

_LOOK_AGAIN_S: Final = 0.1
_SAVE_AGAIN_S: Final = 0.5
_UNSENT_PAUSE: Final = timedelta(seconds=5)
_REFUSED_PAUSE: Final = timedelta(seconds=30)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_UNPROVEN: Final = "Zalo refuses a token that it has just given; look at the app's and the account's settings"
_UNRECORDED: Final = "a refresh was begun and its end was never recorded: the refresh token may be spent"


class App(msgspec.Struct, frozen=True):
    """The app that an account has given its consent to."""

    app_id: str
    app_secret: str

    def __repr__(self) -> str:
        return f"App(app_id={self.app_id!r}, …)"


class Tokens:
    """Keeps one grant an account fresh; what it knows of them is looked up again every second."""

    def __init__(
        self,
        vault: Vault,
        issuer: Issuer,
        apps: Mapping[str, App],
        clock: Clock,
        observer: Observer,
        *,
        owner: str,
        deadline: timedelta,
    ) -> None:
        self._vault = vault
        self._issuer = issuer
        self._apps = apps
        self._clock = clock
        self._observer = observer
        self._owner = owner
        self._deadline = deadline
        self._grants: dict[str, Grant] = {}
        self._rejected: dict[str, int] = {}
        self._refreshing: dict[str, asyncio.Task[None]] = {}
        self._not_before: dict[str, datetime] = {}
        self._pauses: dict[str, timedelta] = {}
        self._proving: set[tuple[str, int]] = set()
        self._unasked: dict[str, set[Intent]] = {}

    def usable(self, account: str) -> Token | None:
        """The account's access token, unless it has expired or Zalo has rejected it."""
        grant = self._grants.get(account)
        return Token(grant.access, grant.generation) if grant is not None and self._is_good(grant) else None

    def on_trial(self, account: str) -> Token | None:
        """The token of a generation that was refused before it had ever worked: one message may try it now and then."""
        grant = self._grants.get(account)
        if grant is None or grant.trouble is None or grant.trouble.kind != UNPROVEN:
            return None
        return Token(grant.access, grant.generation) if self._clock() < grant.expires_at else None

    def grant(self, account: str) -> Grant | None:
        """The account's grant as it was when last looked at."""
        return self._grants.get(account)

    def grants(self) -> list[Grant]:
        """Every account's grant as it was when last looked at."""
        return list(self._grants.values())

    def trouble(self, account: str, now: datetime) -> Trouble | None:
        """Why the account cannot send for want of a token; None exactly while there is a usable one."""
        grant = self._grants.get(account)
        if grant is None:
            return Trouble("missing", "there is no grant for this account", now, is_final=True)
        if self._is_good(grant):
            return None
        if account in self._refreshing or self._may_refresh(grant):
            return Trouble(REFRESHING, "a fresh access token is being asked for", now, is_final=False)
        return grant.trouble or Trouble("unsent", "Zalo's token endpoint cannot be reached", now, is_final=False)

    async def reload(self) -> None:
        """Grants that another process imported or refreshed are in use here; what has run out is being refreshed."""
        for account in self._apps:
            grant = await self._look(account)
            if grant is None or await self._note_lapsed(grant):
                continue
            if not self._is_good(grant) and self._may_refresh(grant):
                self._start(account, grant.generation)

    async def renew(self, account: str, generation: int) -> None:
        """A generation newer than the rejected one is in use, or the account is troubled; one refresh for everyone."""
        grant = self._grants.get(account)
        if grant is None or grant.generation > generation:
            return
        self._rejected[account] = generation
        if account in self._refreshing or self._may_refresh(grant):
            await asyncio.shield(self._start(account, generation))

    async def prove(self, account: str, generation: int) -> None:
        """It is on record that Zalo took this generation's access token."""
        if (account, generation) in self._proving:
            return
        self._proving.add((account, generation))
        try:
            grant = self._grants.get(account)
            while grant is not None and grant.generation == generation and grant.proven_at is None:
                if await self._save(grant.proven(self._clock()), grant):
                    if self._rejected.get(account) == generation:
                        del self._rejected[account]
                    break
                grant = await self._look(account)
        finally:
            self._proving.discard((account, generation))

    async def aclose(self) -> None:
        """No refresh is under way any more: what was asked has been answered and saved."""
        while self._refreshing:
            await asyncio.wait(self._refreshing.values())

    def _is_good(self, grant: Grant) -> bool:
        """True while the access token works as far as anybody knows, whatever has become of the refresh token."""
        return self._clock() < grant.expires_at and self._rejected.get(grant.account) != grant.generation

    def _may_refresh(self, grant: Grant) -> bool:
        """True if nothing speaks against presenting the refresh token now."""
        now, trouble = self._clock(), grant.trouble
        if now < self._not_before.get(grant.account, now):
            return False
        if trouble is None or self._is_unasked(grant):
            return True
        return not trouble.is_final and now >= trouble.since + self._pauses.get(grant.account, _REFUSED_PAUSE)

    def _is_unasked(self, grant: Grant) -> bool:
        """True if the intent is one of ours whose writing could not be confirmed, so that nothing was asked."""
        return grant.intent is not None and grant.intent in self._unasked.get(grant.account, ())

    def _is_unproven(self, grant: Grant) -> bool:
        """True if Zalo has rejected a generation that came from a refresh and has never yet worked."""
        is_rejected = self._rejected.get(grant.account) == grant.generation
        return is_rejected and grant.was_refreshed and grant.proven_at is None

    def _start(self, account: str, generation: int) -> "asyncio.Task[None]":
        """The one refresh of this account that is under way, begun if need be.

        It is a task of its own: a caller that goes away must not take the answer with it.
        """
        task = self._refreshing.get(account)
        if task is None:
            task = asyncio.create_task(self._refresh(account, generation), name=f"refresh {account}")
            self._refreshing[account] = task
            task.add_done_callback(lambda ended: self._end(account, ended))
        return task

    def _end(self, account: str, task: "asyncio.Task[None]") -> None:
        del self._refreshing[account]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._observer.fact("turn-failed", error=error)

    async def _refresh(self, account: str, generation: int) -> None:
        try:
            intended = await self._intend(account, generation)
        except Unavailable:
            # Nothing was asked. If the intent stands all the same, the next try knows it for one of ours.
            self._not_before[account] = self._clock() + _UNSENT_PAUSE
            self._observer.fact("refreshed", account=account, outcome="store-unavailable")
            return
        if intended is None:
            return
        app = self._apps[account]
        self._unasked.pop(account, None)
        result = await self._issuer.refresh(
            app_id=app.app_id, app_secret=app.app_secret, refresh_token=intended.refresh.value
        )
        await self._keep(intended, result)

    async def _intend(self, account: str, generation: int) -> Grant | None:
        """The grant with our intent in it, durable; None if there is no need, or no right, to present it."""
        while True:
            grant = await self._look(account)
            if grant is None or grant.generation > generation:
                return None
            unspent = grant.withdrawn(None) if self._is_unasked(grant) else grant
            now = self._clock()
            if unspent.trouble is not None and unspent.trouble.is_final:
                return None
            if unspent.intent is not None:
                if await self._note_lapsed(grant):
                    return None
                await asyncio.sleep(_LOOK_AGAIN_S)
            elif self._is_unproven(grant):
                if await self._save(unspent.troubled(Trouble(UNPROVEN, _UNPROVEN, now, is_final=True)), grant):
                    return None
            else:
                intended = unspent.intended(self._owner, now)
                self._unasked.setdefault(account, set()).add(Intent(self._owner, now))
                if await self._save(intended, grant):
                    return intended

    async def _keep(self, intended: Grant, result: RefreshResult) -> None:
        """What Zalo answered is durable, however long the store takes to come back."""
        now, account = self._clock(), intended.account
        self._pace(account, result, now)
        before = intended
        while True:
            try:
                if await self._save(_following(before, result, now), before):
                    break
                current = await self._look(account)
            except Unavailable:
                self._observer.fact("store-unavailable", doing="keep-grant", account=account)
                await asyncio.sleep(_SAVE_AGAIN_S)
                continue
            # Somebody else wrote while we asked: a person's new grant stands, anything less gives way to a new pair.
            if current is None or current.generation != intended.generation:
                break
            if current.intent != intended.intent and not isinstance(result, Rotated):
                break
            before = current
        self._observer.fact("refreshed", account=account, outcome=type(result).__name__.lower())

    def _pace(self, account: str, result: RefreshResult, now: datetime) -> None:
        """It is known how soon this process may present the account's refresh token again."""
        if isinstance(result, Refused):
            pause = self._pauses.get(account)
            self._pauses[account] = _REFUSED_PAUSE if pause is None else min(pause * 2, _LONGEST_PAUSE)
        elif isinstance(result, NotPresented):
            self._not_before[account] = now + _UNSENT_PAUSE

    async def _note_lapsed(self, grant: Grant) -> bool:
        """True, and it is on record, if whoever wrote the intent has not come back in time: the token may be spent."""
        if grant.intent is None or grant.trouble is not None or self._is_unasked(grant):
            return False
        now = self._clock()
        if now < grant.intent.begun_at + self._deadline:
            return False
        if await self._save(grant.troubled(Trouble("lost", _UNRECORDED, now, is_final=True)), grant):
            self._observer.fact("refreshed", account=grant.account, outcome="lost")
        return True

    async def _look(self, account: str) -> Grant | None:
        """The grant as the Vault has it, and known here."""
        grant = await self._vault.grant(account)
        if grant is None:
            self._grants.pop(account, None)
        else:
            self._know(grant)
        return grant

    async def _save(self, grant: Grant, before: Grant) -> bool:
        is_saved = await self._vault.put_grant(grant, expected=before.version)
        if is_saved:
            self._know(grant)
        return is_saved

    def _know(self, grant: Grant) -> None:
        """The grant is in use here, unless a later version is: what was read may be older than what was saved since."""
        known = self._grants.get(grant.account)
        if known is not None and known.version > grant.version:
            return
        if known is None or known.generation != grant.generation:
            self._pauses.pop(grant.account, None)
        self._grants[grant.account] = grant


def _following(intended: Grant, result: RefreshResult, now: datetime) -> Grant:
    """The grant that follows from the answer."""
    match result:
        case Rotated():
            return intended.rotated(result, now)
        case Dead(detail):
            return intended.troubled(Trouble("dead", detail, now, is_final=True))
        case Lost(cause):
            detail = f"the answer to a refresh was lost ({cause}): the refresh token may be spent"
            return intended.troubled(Trouble("lost", detail, now, is_final=True))
        case Refused(detail):
            return intended.withdrawn(Trouble("refused", detail, now, is_final=False))
        case NotPresented():
            trouble = intended.trouble
            return intended.withdrawn(None if trouble is not None and trouble.is_final else trouble)
    assert_never(result)


async def adopt(vault: Vault, account: str, pair: Rotated, now: datetime, *, may_replace: bool) -> Grant:
    """The pair that a person brought is the account's grant; raises CannotStart while another one works."""
    before = await vault.grant(account)
    if before is not None and before.is_alive and not may_replace:
        raise CannotStart(
            f"account {account} has a working grant (generation {before.generation}); "
            "a new one ends its chain: say --replace if that is meant"
        )
    grant = first_grant(account, pair, now, before=before)
    if not await vault.put_grant(grant, expected=0 if before is None else before.version):
        raise CannotStart(f"the grant of account {account} has just been changed by another process; look again")
    return grant
