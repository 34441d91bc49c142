"""One fresh AccessToken for everyone, and one refresher at a time.

A refresh token can be spent once. So: due → lease → look again → rehearse → write the intent → mark that it may leave →
ask → the raw answer on disk → save the new pair by compare-and-set → only then use it. An intent never ends by
itself, so that neither a stalled process nor a clock that jumps makes anybody present the same token again. Where it
cannot be known what became of the question, the access token is used while it works, and then the refresh token is
presented once more.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final

import msgspec

from .abandoned import Abandoned
from .core.errors import CannotOpen, Unavailable
from .core.grant import (
    UNPROVEN,
    Grant,
    Intent,
    NotPresented,
    RefreshResult,
    Rotated,
    Trouble,
)
from .grants import Grants
from .ports import Clock, Entry, Issuer, Journal, Observer, Vault
from .remarks import Remarks

LEASE_MARGIN: Final = timedelta(seconds=10)
"""How much longer a lease is than the longest exchange: whoever has it has asked, and knows, before it ends."""

_LOOK_AGAIN_S: Final = 0.1
_SAVE_AGAIN_S: Final = 0.5
_SOON: Final = timedelta(seconds=5)
_UNPROVEN: Final = "Zalo refuses a token that it has just given; look at the app's and the account's settings"


class App(msgspec.Struct, frozen=True):
    """The app that an account has given its consent to."""

    app_id: str
    app_secret: str

    def __repr__(self) -> str:
        return f"App(app_id={self.app_id!r}, …)"


class Tokens:
    """Renews the grants: when their time has come, and when Zalo rejects one."""

    def __init__(
        self,
        grants: Grants,
        vault: Vault,
        journal: Journal,
        issuer: Issuer,
        apps: Mapping[str, App],
        clock: Clock,
        observer: Observer,
        *,
        owner: str,
        deadline: timedelta,
    ) -> None:
        self._grants = grants
        self._vault = vault
        self._journal = journal
        self._issuer = issuer
        self._apps = apps
        self._clock = clock
        self._observer = observer
        self._owner = owner
        self._patience = deadline + LEASE_MARGIN
        self._abandoned = Abandoned(grants, vault, journal, issuer, clock, owner=owner, patience=self._patience)
        self._refreshing: dict[str, asyncio.Task[None]] = {}
        self._unasked: dict[str, set[Intent]] = {}
        self._remarks = Remarks(observer)
        self._is_stopping = False

    async def look(self) -> None:
        """What other processes did to the grants is known here, and what is due to be renewed is being renewed."""
        for account in self._apps:
            try:
                await self._look_at(account)
            except Exception as error:  # noqa: BLE001 - one account's trouble must not be that of all the others
                self._remarks.failed(account, error)
            else:
                self._remarks.looked(account)

    async def _look_at(self, account: str) -> None:
        try:
            grant = await self._grants.look(account)
        except CannotOpen as error:
            self._remarks.sealed(account, error)
            return
        self._remarks.trouble(account, None if grant is None else grant.trouble)
        if grant is None or account in self._refreshing:
            return
        if grant.is_asking and not self._is_unasked(grant):
            await self._conclude(grant)
        elif not await self._has_come(grant) and self._is_due(grant):
            self._start(account)

    async def renew(self, account: str, generation: int) -> None:
        """A generation newer than the rejected one is in use, or the account is troubled; one refresh for everyone."""
        grant = self._grants.grant(account)
        if grant is None or grant.generation > generation:
            return
        self._grants.reject(account, generation)
        if account in self._refreshing or grant.is_asking or self._is_due(grant):
            await asyncio.shield(self._start(account))
        await self._grants.record_rejection(account)

    def stop(self) -> None:
        """No refresh is begun any more."""
        self._is_stopping = True

    async def aclose(self) -> None:
        """No refresh is under way any more: what was asked has been answered and saved."""
        self.stop()
        while self._refreshing:
            await asyncio.wait(self._refreshing.values())

    def _is_due(self, grant: Grant) -> bool:
        return not self._is_stopping and self._grants.is_due(self._unspent(grant))

    def _start(self, account: str) -> "asyncio.Task[None]":
        """The one refresh of this account that is under way, begun if need be.

        It is a task of its own: a caller that goes away must not take the answer with it.
        """
        task = self._refreshing.get(account)
        if task is None:
            task = asyncio.create_task(self._refresh(account), name=f"refresh {account}")
            self._refreshing[account] = task
            self._grants.refreshing.add(account)
            task.add_done_callback(lambda ended: self._end(account, ended))
        return task

    def _end(self, account: str, task: "asyncio.Task[None]") -> None:
        del self._refreshing[account]
        self._grants.refreshing.discard(account)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._observer.fact("turn-failed", error=error)

    # -- one refresh --

    async def _refresh(self, account: str) -> None:
        try:
            if not await self._take_lease(account):
                return
            try:
                await self._refresh_leased(account)
            finally:
                with suppress(Unavailable):
                    await self._vault.drop_lease(account, owner=self._owner)
        except (Unavailable, CannotOpen) as error:
            # Nothing was asked. If the intent stands all the same, the next try knows it for one of ours.
            self._put_off(account, "store-unavailable", str(error.__cause__ or error))

    async def _take_lease(self, account: str) -> bool:
        """True once nobody else renews this account; False if it need not be renewed any more.

        A lease only keeps the noise down: whoever has waited for its whole length goes on without it.
        """
        begun = _monotonic_s()
        length = self._patience
        while True:
            grant = await self._grants.look(account)
            if grant is None or self._is_stopping or not (grant.is_asking or self._is_due(grant)):
                return False
            if not grant.is_asking or self._is_unasked(grant):
                now = self._clock()
                is_taken = await self._vault.take_lease(account, owner=self._owner, now=now, until=now + length)
                if is_taken or _monotonic_s() >= begun + length.total_seconds():
                    return True
            elif await self._conclude(grant):
                continue
            self._observer.fact("lease-awaited", account=account)
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _refresh_leased(self, account: str) -> None:
        found = await self._grants.look(account)
        if found is None or not self._is_due(found) or await self._has_come(found):
            return
        grant, now = self._unspent(found), self._clock()
        is_told = grant.trouble is not None and grant.trouble.kind == UNPROVEN
        if self._grants.is_unproven(grant) and not is_told and now < grant.expires_at:
            await self._grants.save(grant.troubled(Trouble(UNPROVEN, _UNPROVEN, now, is_final=True)), found)
            return
        # All that can fail is done before the intent: then only the network lies between us and the new pair.
        await self._vault.rehearse(grant)
        unsent = await self._issuer.prepare()
        if unsent is not None:
            self._put_off(account, "notpresented", unsent.cause)
            return
        begun, begun_at = _monotonic_s(), self._clock()
        intended = grant.intended(self._owner, begun_at)
        entry = self._journal.open(intended, besides=found.intent)
        self._unasked.setdefault(account, set()).add(Intent(self._owner, begun_at, is_last=grant.is_lost))
        if await self._grants.save(intended, found):
            self._unasked.pop(account, None)
            await self._keep(intended, await self._ask(intended, begun, entry))

    async def _ask(self, intended: Grant, begun: float, entry: Entry) -> RefreshResult:
        if _monotonic_s() >= begun + LEASE_MARGIN.total_seconds():
            return NotPresented("held-up")  # others may be about to give us up, and to ask themselves
        if not entry.begin():
            return NotPresented("journal-unusable")
        self._grants.asked.add(intended.account)
        app = self._apps[intended.account]
        return await self._issuer.refresh(
            app_id=app.app_id, app_secret=app.app_secret, refresh_token=intended.refresh.value, journal=entry
        )

    async def _keep(self, intended: Grant, result: RefreshResult) -> None:
        """What Zalo answered is durable, however long the store takes to come back."""
        now, account, before = self._clock(), intended.account, intended
        if isinstance(result, NotPresented):
            self._wait(account, result.cause)
        else:
            self._grants.put_off.pop(account, None)
        while True:
            try:
                if await self._grants.save(before.concluded(result, now), before):
                    break
                current = await self._grants.look(account)
            except Unavailable:
                self._observer.fact("store-unavailable", doing="keep-grant", account=account)
                if self._is_stopping and (not isinstance(result, Rotated) or self._journal.read(intended)):
                    return  # whoever comes next reads it from the journal; of anything else nothing is lost
                await asyncio.sleep(_SAVE_AGAIN_S)
                continue
            if current is None or not _still_counts(result, intended, current):
                self._observer.fact("refreshed", account=account, outcome="superseded")
                return  # what came stays in the journal until the next refresh
            before = current
        self._journal.drop(intended)
        self._remarks.refreshed(account, result)

    def _is_unasked(self, grant: Grant) -> bool:
        """True if the intent is one of ours whose writing could not be confirmed, so that nothing was asked."""
        return grant.intent is not None and grant.intent in self._unasked.get(grant.account, ())

    def _unspent(self, grant: Grant) -> Grant:
        """The grant without an intent of ours that led to nothing."""
        if not self._is_unasked(grant):
            return grant
        # Its version is the one that is on record: what follows replaces it.
        return msgspec.structs.replace(grant.withdrawn(grant.trouble), version=grant.version)

    # -- what others left --

    async def _conclude(self, grant: Grant) -> bool:
        """True, and it is on record, if what became of another's presentation is known now, or never will be."""
        return self._told(grant.account, await self._abandoned.conclude(grant))

    async def _has_come(self, grant: Grant) -> bool:
        """True, and it is on record, if there is a new pair although its answer was given up for lost."""
        return self._told(grant.account, await self._abandoned.find_late(grant))

    def _told(self, account: str, result: RefreshResult | None) -> bool:
        if result is not None:
            self._remarks.refreshed(account, result)
        return result is not None

    # -- what is put off --

    def _put_off(self, account: str, outcome: str, cause: str) -> None:
        self._wait(account, cause)
        self._observer.fact("refreshed", account=account, outcome=outcome, cause=cause)

    def _wait(self, account: str, cause: str) -> None:
        now = self._clock()
        since, _ = self._grants.put_off.get(account, (now, ""))
        self._grants.not_before[account] = now + _SOON
        self._grants.put_off[account] = since, cause


def _monotonic_s() -> float:
    return asyncio.get_running_loop().time()


def _still_counts(result: RefreshResult, intended: Grant, current: Grant) -> bool:
    """True if the answer says something of what is on record now, although somebody wrote while it was awaited.

    A person's new consent stands, and so does what others concluded; but a complete new pair is the newest there is.
    """
    is_same_chain = current.consented_at == intended.consented_at
    if current.generation == intended.generation:
        return isinstance(result, Rotated) or current.intent == intended.intent
    is_next = current.generation == intended.generation + 1 and current.presented == 0
    return isinstance(result, Rotated) and is_same_chain and is_next and current.refresh != result.refresh
