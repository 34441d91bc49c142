"""What others left: presentations of a refresh token that whoever made them does not conclude any more."""

import asyncio
from datetime import timedelta

from .core.grant import DEAD, LOST, Grant, Intent, Lost, NotPresented, RefreshResult, Rotated
from .grants import Grants
from .ports import Clock, Issuer, Journal, Vault


class Abandoned:
    """Puts on record what became of them, as far as the journal of this machine knows.

    `owner` is this process, and `patience` how long another one may take over a presentation at most.
    """

    def __init__(
        self,
        grants: Grants,
        vault: Vault,
        journal: Journal,
        issuer: Issuer,
        clock: Clock,
        *,
        owner: str,
        patience: timedelta,
    ) -> None:
        self._grants = grants
        self._vault = vault
        self._journal = journal
        self._issuer = issuer
        self._clock = clock
        self._owner = owner
        self._patience = patience
        self._asking_since: dict[str, tuple[Intent, float]] = {}

    async def conclude(self, grant: Grant) -> RefreshResult | None:
        """What the presentation that is on record came to, which is on record now; None while its owner may yet say."""
        intent, now = grant.intent, self._clock()
        if intent is None or intent.owner == self._owner:
            return None
        if not self._is_over(grant.account, intent) and not self._vault.is_gone(intent.owner):
            return None
        result = self._left(grant)
        if not await self._grants.save(grant.concluded(result, now), grant):
            return None
        # Of a lost one whoever asked may only have stood still, and has yet to write it down.
        if not isinstance(result, Lost):
            self._journal.drop(grant)
        return result

    async def find_late(self, grant: Grant) -> RefreshResult | None:
        """What was given up for lost and lies in the journal, which is on record now.

        A new pair, whichever presentation it came to; any other answer only while it is the one to the only presentation.
        """
        if grant.trouble is None or grant.trouble.kind not in (LOST, DEAD):
            return None
        heard = [self._issuer.read(each, grant.refresh.value) for each in self._journal.late(grant)]
        found: list[RefreshResult] = [each for each in heard if isinstance(each, Rotated)]
        if grant.is_given_up and not isinstance(left := self._left(grant), Lost):
            found.append(left)
        for result in found:
            if await self._grants.save(grant.concluded(result, self._clock()), grant):
                self._journal.drop(grant)
                return result
        return None

    def _is_over(self, account: str, intent: Intent) -> bool:
        """By our own watch, not by the calendar: a clock that jumps must not make anybody give up another's answer."""
        now = asyncio.get_running_loop().time()
        seen, since = self._asking_since.get(account, (None, now))
        if seen != intent:
            since = now
            self._asking_since[account] = intent, now
        return now >= since + self._patience.total_seconds()

    def _left(self, grant: Grant) -> RefreshResult:
        heard = self._journal.read(grant)
        if heard is not None:
            return self._issuer.read(heard, grant.refresh.value)
        return NotPresented("never-asked") if self._journal.void(grant) else Lost("never-recorded")
