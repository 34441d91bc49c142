"""What is known of every account's grant, and the token that everyone may use now."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import msgspec

from .core.errors import CannotOpen, CannotStart
from .core.grant import (
    MISSING,
    REFRESHING,
    SEALED,
    UNSENT,
    AppSecret,
    Grant,
    Rotated,
    Token,
    Trouble,
    first_grant,
    was_here,
)
from .core.renewal import LAST_CHANCE_AFTER, Due, renewal
from .ports import Clock, Vault

_NOW: Final = timedelta()
_MOST_TRIES: Final = 10


class Grants:
    """The grants as they were when last looked at; nobody uses a token that is not in the Vault.

    `proofs` are the app's secret of each account whose requests carry a proof.
    """

    def __init__(
        self, vault: Vault, clock: Clock, *, jitter: float = 0.0, proofs: Mapping[str, AppSecret] | None = None
    ) -> None:
        self.refreshing: set[str] = set()
        self.asked: set[str] = set()  # accounts for which this process has asked since it started
        self.not_before: dict[str, datetime] = {}
        self.put_off: dict[str, tuple[datetime, str]] = {}  # since when a refresh cannot be begun, and why
        self._vault = vault
        self._clock = clock
        self._jitter = jitter
        self._proofs = proofs or {}
        self._started_at = clock()
        self._known: dict[str, Grant] = {}
        self._rejected: dict[str, int] = {}
        self._proving: set[tuple[str, int]] = set()
        self._sealed: dict[str, Trouble] = {}

    def usable(self, account: str) -> Token | None:
        """The account's access token, unless it has expired or Zalo has rejected it."""
        grant = self._known.get(account)
        return self._token(grant) if grant is not None and self.is_good(grant) else None

    def on_trial(self, account: str) -> Token | None:
        """The access token while it has not expired, whether or not Zalo has rejected it: that may have been a mistake."""
        grant = self._known.get(account)
        is_there = grant is not None and self._clock() < grant.expires_at
        return self._token(grant) if grant is not None and is_there else None

    def _token(self, grant: Grant) -> Token:
        return Token(grant.access, grant.generation, self._proofs.get(grant.account))

    def grant(self, account: str) -> Grant | None:
        """The account's grant."""
        return self._known.get(account)

    def all(self) -> list[Grant]:
        """Every account's grant."""
        return list(self._known.values())

    def is_good(self, grant: Grant) -> bool:
        """True while the access token works as far as anybody knows, whatever has become of the refresh token."""
        return self._clock() < grant.expires_at and not self.is_rejected(grant)

    def is_rejected(self, grant: Grant) -> bool:
        """True if Zalo takes this generation's access token no more."""
        return grant.rejected_at is not None or self._rejected.get(grant.account) == grant.generation

    def is_unproven(self, grant: Grant) -> bool:
        """True if Zalo has rejected a generation that came from a refresh and has never yet worked."""
        return self.is_rejected(grant) and grant.was_refreshed and grant.proven_at is None

    def is_due(self, grant: Grant, *, within: timedelta = _NOW) -> bool:
        """True if its refresh token is to be presented now, or so soon."""
        now, account, trouble = self._clock() + within, grant.account, grant.trouble
        if now < self.not_before.get(account, now):
            return False
        is_restarted = trouble is not None and account not in self.asked and trouble.since < self._started_at
        is_rejected = self.is_rejected(grant)
        due = renewal(grant, now, is_rejected=is_rejected, jitter=self._jitter, is_restarted=is_restarted)
        return isinstance(due, Due)

    def reject(self, account: str, generation: int) -> None:
        """Zalo has rejected that generation."""
        self._rejected[account] = generation

    async def record_rejection(self, account: str) -> None:
        """Every process, and whoever looks, knows that Zalo takes the access token no more."""
        grant = self._known.get(account)
        while grant is not None and self.is_rejected(grant) and grant.rejected_at is None:
            if await self.save(grant.rejected(self._clock()), grant):
                return
            grant = await self.look(account)

    def trouble(self, account: str, now: datetime) -> Trouble | None:
        """Why the account cannot send for want of a token; None exactly while there is a usable one."""
        grant = self._known.get(account)
        if grant is None and account in self._sealed:
            return self._sealed[account]
        if grant is None:
            detail = "there is no grant for this account, as long as this process has run"
            return Trouble(MISSING, detail, self._started_at, is_final=True)
        if self.is_good(grant):
            return None
        soon = LAST_CHANCE_AFTER if grant.is_lost else _NOW
        if account in self.refreshing or grant.is_asking or self.is_due(grant, within=soon):
            return Trouble(REFRESHING, "a fresh access token is being asked for", now, is_final=False)
        trouble = grant.trouble
        if trouble is None:
            since, cause = self.put_off.get(account, (now, "it has not been asked for yet"))
            trouble = Trouble(
                UNSENT, f"a fresh access token could not be asked for ({cause})", since, is_final=False
            )
        return msgspec.structs.replace(trouble, is_triable=now < grant.expires_at)

    def troubles(self, accounts: Iterable[str], now: datetime) -> Mapping[str, Trouble | None]:
        """What is wrong with each account's grant, also while its access token works."""
        return {it: self._own_trouble(it) or self.trouble(it, now) for it in accounts}

    def _own_trouble(self, account: str) -> Trouble | None:
        grant = self._known.get(account)
        return None if grant is None else grant.trouble

    async def prove(self, account: str, generation: int) -> None:
        """It is on record that Zalo took this generation's access token, and it counts as rejected no more."""
        if self._rejected.get(account) == generation:
            del self._rejected[account]
        if (account, generation) in self._proving:
            return
        self._proving.add((account, generation))
        try:
            grant = self._known.get(account)
            while (
                grant is not None
                and grant.generation == generation
                and (grant.proven_at is None or grant.rejected_at is not None)
            ):
                if await self.save(grant.proven(self._clock()), grant):
                    break
                grant = await self.look(account)
        finally:
            self._proving.discard((account, generation))

    async def look(self, account: str) -> Grant | None:
        """The grant as the Vault has it, and known here; raises CannotOpen where no key opens it."""
        try:
            grant = await self._vault.grant(account)
        except CannotOpen as error:
            self._known.pop(account, None)
            self._sealed.setdefault(account, Trouble(SEALED, error.detail, self._clock(), is_final=True))
            raise
        self._sealed.pop(account, None)
        if grant is None:
            self._known.pop(account, None)
        else:
            self._know(grant)
        return grant

    async def save(self, grant: Grant, before: Grant) -> bool:
        """The grant has replaced that one, and is known here; False if another one had."""
        is_saved = await self._vault.put_grant(grant, expected=before.version)
        if is_saved:
            self._know(grant)
        return is_saved

    def _know(self, grant: Grant) -> None:
        """The grant is in use here, unless a later version is: what was read may be older than what was saved since."""
        known = self._known.get(grant.account)
        if known is None or known.version <= grant.version:
            self._known[grant.account] = grant
            if known is not None and known.generation < grant.generation:
                self.put_off.pop(grant.account, None)


async def adopt(
    vault: Vault, account: str, pair: Rotated, now: datetime, *, may_replace: bool, others: Iterable[str] = ()
) -> Grant:
    """The pair that a person brought is the account's grant; raises CannotStart while another one works.

    And where one of the `others` has had this pair: two that present one refresh token lose it.
    """
    for other in others:
        with suppress(CannotOpen):
            theirs = await vault.grant(other)
            if theirs is not None and was_here(pair, theirs):
                raise CannotStart(
                    f"this refresh token was given to account {other}: {account} needs one of its own"
                )
    for _ in range(_MOST_TRIES):  # a gateway may write what became of its own question just now
        if (grant := await _adopted(vault, account, pair, now, may_replace=may_replace)) is not None:
            return grant
    raise CannotStart(f"the grant of account {account} is changed by other processes all the time; look again")


async def _adopted(vault: Vault, account: str, pair: Rotated, now: datetime, *, may_replace: bool) -> Grant | None:
    """The account's new grant; None if another process has changed what was there."""
    try:
        before = await vault.grant(account)
    except CannotOpen as error:
        if not may_replace:
            raise CannotStart(
                f"{error.detail}: put the key back, or say --replace if the grant of {account} is to be given up"
            ) from error
        before = None
    if before is not None and was_here(pair, before):
        raise CannotStart(
            f"this refresh token was given to account {account} before, and may be spent: take a new pair from Zalo"
        )
    if before is not None and before.is_alive and not may_replace:
        raise CannotStart(
            f"account {account} has a working grant (generation {before.generation}); "
            "a new one ends its chain: say --replace if that is meant"
        )
    version = await vault.version(account)
    grant = first_grant(account, pair, now, before=before)
    if before is None:  # of one that does not open the generation is not known, but never above its version
        grant = msgspec.structs.replace(grant, generation=version + 1, version=version + 1)
    is_kept = await vault.put_grant(grant, expected=version if before is None else before.version)
    return grant if is_kept else None
