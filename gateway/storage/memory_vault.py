"""The Vault in plain dictionaries: the part of the MemoryStore that is about grants."""
# ruff: noqa: D102 - what each operation promises is said once, in gateway/ports

from collections.abc import Callable
from datetime import datetime

from gateway.core.grant import Grant
from gateway.core.login import Login

from .memory_journal import MemoryJournal
from .memory_keeper import MemoryKeeper


class MemoryVault(MemoryKeeper):
    """Keeps the Vault for as long as the process lives."""

    def __init__(self, is_dead: Callable[[str], bool]) -> None:
        self.journal = MemoryJournal()
        self._is_dead = is_dead
        self._grants: dict[str, Grant] = {}
        self._leases: dict[str, tuple[str, datetime]] = {}
        self._logins: dict[str, Login] = {}
        self._login_ends: dict[str, tuple[str, bytes]] = {}

    async def grant(self, account: str) -> Grant | None:
        self._check()
        return self._grants.get(account)

    async def version(self, account: str) -> int:
        self._check()
        return self._grants[account].version if account in self._grants else 0

    async def put_grant(self, grant: Grant, *, expected: int) -> bool:
        self._check()
        before = self._grants.get(grant.account)
        is_as_expected = before is None if expected == 0 else before is not None and before.version == expected
        if not is_as_expected:
            return False
        self._grants[grant.account] = grant
        return True

    async def take_lease(self, account: str, *, owner: str, now: datetime, until: datetime) -> bool:
        self._check()
        if account in self._leases:
            holder, end = self._leases[account]
            if holder != owner and now < end and not self.is_gone(holder):
                return False
        self._leases[account] = (owner, until)
        return True

    async def drop_lease(self, account: str, *, owner: str) -> None:
        self._check()
        if account in self._leases and self._leases[account][0] == owner:
            del self._leases[account]

    async def rehearse(self, grant: Grant) -> None:  # noqa: ARG002 - the port's
        self._check()

    def is_gone(self, owner: str) -> bool:
        return self._is_dead(owner)

    async def put_login(self, login: Login) -> None:
        self._check()
        self._logins = {account: it for account, it in self._logins.items() if it.state != login.state}
        self._logins[login.account] = login

    async def take_login(self, state: str, now: datetime) -> Login | None:
        self._check()
        self._drop_logins(now)
        found = next((login for login in self._logins.values() if login.state == state), None)
        if found is not None:
            del self._logins[found.account]
        return found

    async def is_waiting(self, login: Login) -> bool:
        self._check()
        found = self._logins.get(login.account)
        return found is not None and found.state == login.state

    async def end_login(self, login: Login, told: bytes) -> None:
        self._check()
        self._login_ends[login.account] = login.state, told

    async def login_end(self, login: Login) -> bytes | None:
        self._check()
        state, told = self._login_ends.get(login.account, (None, b""))
        return told if state == login.state else None

    def _drop_logins(self, now: datetime) -> int:
        count = len(self._logins)
        self._logins = {account: it for account, it in self._logins.items() if now < it.expires_at}
        return count - len(self._logins)
