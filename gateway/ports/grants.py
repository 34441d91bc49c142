"""The Vault and its journal: the grants, the right to renew one, and who does."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

import msgspec

from gateway.core.grant import Grant, Intent, NotPresented, RefreshResult, Token
from gateway.core.login import Login


class Vault(Protocol):
    """The grants, one record an account, sealed; and the right to renew one."""

    async def grant(self, account: str) -> Grant | None:
        """The account's grant as it now stands."""

    async def version(self, account: str) -> int:
        """The version of the account's grant, also of one that does not open; 0 if there is none."""

    async def put_grant(self, grant: Grant, *, expected: int) -> bool:
        """The grant has replaced the one of version `expected` (0: there was none); False, and no change, if not."""

    async def take_lease(self, account: str, *, owner: str, now: datetime, until: datetime) -> bool:
        """The owner alone is to renew the account's grant until then; False while another one's lease has not ended."""

    async def drop_lease(self, account: str, *, owner: str) -> None:
        """The owner has no lease on the account any more."""

    async def rehearse(self, grant: Grant) -> None:
        """What follows this grant could be sealed, opened again and committed just now; raises Unavailable if not."""

    def is_gone(self, owner: str) -> bool:
        """True if that process is known to be dead; False while nobody can tell."""

    async def put_login(self, login: Login) -> None:
        """The login is waiting for its callback, in place of an older one of the same account."""

    async def take_login(self, state: str, now: datetime) -> Login | None:
        """The login that waits under this state, which waits no more; None if there is none, or its time is over."""

    async def is_waiting(self, login: Login) -> bool:
        """True while the login waits for its callback, as far as anybody has looked at its time."""

    async def end_login(self, login: Login, told: bytes) -> None:
        """What came of the login is on record, in place of what came of an earlier one of the account."""

    async def login_end(self, login: Login) -> bytes | None:
        """What came of the login, as it was told; None if it is not on record."""


class Heard(msgspec.Struct, frozen=True):
    """What Zalo's token endpoint answered, as it came."""

    status: int
    body: bytes


class Entry(Protocol):
    """The room for the answer to one presentation. Neither raises: what cannot be kept must not be lost for it."""

    def begin(self) -> bool:
        """It is on disk that the question may have left us; False, and then it must not."""

    def __call__(self, status: int, body: bytes) -> None:
        """The answer is on disk, as it came."""


Write = Callable[[int, bytes], None]


class Journal(Protocol):
    """The answers to refreshes, sealed, on a disk of this machine's before anything is made of them.

    An answer may be the only copy of a new pair. So all that can fail is done in `open`.
    """

    def open(self, grant: Grant, *, besides: Intent | None = None) -> Entry:
        """The room for the answer to the presentation that the grant intends; raises Unavailable.

        `besides` is another intent of this process's that may be on record: its room stays.
        """

    def read(self, grant: Grant) -> Heard | None:
        """The answer to the presentation that the grant intends, if it was written down whole."""

    def late(self, grant: Grant) -> Iterable[Heard]:
        """Every answer to a presentation of this refresh token that was written down whole, whoever asked, and whenever.

        Raises Unavailable where nobody can tell.
        """

    def void(self, grant: Grant) -> bool:
        """True if nothing was asked under the grant's intent, and nothing will be; False where nobody can tell."""

    def drop(self, grant: Grant) -> None:
        """The answer to that presentation is not needed any more, nor what others prepared for it and did not use."""


class Issuer(Protocol):
    """Turns a refresh token into a new pair, once."""

    async def prepare(self) -> NotPresented | None:
        """A connection is open for the next `refresh`; or why there is none."""

    async def refresh(
        self, *, app_id: str, app_secret: str, refresh_token: str, journal: Write | None = None
    ) -> RefreshResult:
        """What became of one presentation; never raises for anything that Zalo or the network does.

        `journal` gets the answer before anything is made of it.
        """

    def read(self, heard: Heard, refresh_token: str) -> RefreshResult:
        """What an answer that was written down makes of the grant whose refresh token was presented."""


class TokenSource(Protocol):
    """Gives everyone the account's one fresh access token."""

    def usable(self, account: str) -> Token | None:
        """The token to use now; None while there is none that works as far as anybody knows."""

    def on_trial(self, account: str) -> Token | None:
        """The token that Zalo has rejected, while it has not expired: for one message to try now and then."""

    async def prove(self, account: str, generation: int) -> None:
        """It is on record that Zalo took that generation's token."""


class Renewer(Protocol):
    """Keeps every account's token fresh."""

    async def renew(self, account: str, generation: int) -> None:
        """Zalo rejected that generation: a newer one is in use, or the account is troubled."""

    async def look(self) -> None:
        """What other processes did to the grants is known here, and what is due to be renewed is being renewed."""
