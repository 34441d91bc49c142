"""A Grant: what an Official Account consented to, and what an attempt to renew it may end in.

A refresh token can be spent once. So every presentation is an Intent, written durably before anything leaves,
and a generation is presented at most twice: once normally, once as the last chance.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

MIN_LIFE: Final = timedelta(seconds=1)
MAX_LIFE: Final = timedelta(seconds=10_000_000)


class Secret(msgspec.Struct, frozen=True):
    """Text that no output shows: its `repr` and `str` are redacted; `value` is the only way to it."""

    value: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    __str__ = __repr__


class AccessToken(Secret, frozen=True):
    """Goes with every call to Zalo; lives about 25 hours."""

    __repr__ = Secret.__repr__


class RefreshToken(Secret, frozen=True):
    """Buys one new pair, once; lives about three months."""

    __repr__ = Secret.__repr__


class Rotated(msgspec.Struct, frozen=True):
    """Zalo gave a complete new pair."""

    access: AccessToken
    refresh: RefreshToken
    expires_in: timedelta


class Dead(msgspec.Struct, frozen=True):
    """Zalo knows this refresh token no more (-14014): only a person's consent helps."""

    detail: str


class Refused(msgspec.Struct, frozen=True):
    """Zalo refused for another reason and the token is unspent; it may be presented again later."""

    detail: str
    zalo_error: int | None = None


class Lost(msgspec.Struct, frozen=True):
    """The answer did not arrive, or makes no sense: the token may be spent."""

    cause: str


class NotPresented(msgspec.Struct, frozen=True):
    """Provably nothing left us: the token is unspent."""

    cause: str


RefreshResult = Rotated | Dead | Refused | Lost | NotPresented


class Intent(msgspec.Struct, frozen=True):
    """The written will to present this generation: by whom, when, and whether as the last chance."""

    owner: str
    begun_at: datetime
    is_last: bool = False


REFRESHING: Final = "refreshing"
UNPROVEN: Final = "unproven"


class Trouble(msgspec.Struct, frozen=True):
    """Why a generation cannot be renewed by itself now. `is_final`: a person is needed."""

    kind: str  # "lost", "dead", "refused", "unproven"; as an obstacle also "missing", "unsent", REFRESHING
    detail: str
    since: datetime
    is_final: bool


class Grant(msgspec.Struct, frozen=True):
    """One generation of an account's pair. `version` changes with every save: compare-and-set goes by it.

    `proven_at` is when Zalo first took the access token; a generation that was refreshed and never worked is
    not refreshed again because of -124. `consented_at` is when a person last gave consent, and `was_refreshed` says
    that this generation is not what that person brought.
    """

    account: str
    generation: int
    access: AccessToken
    refresh: RefreshToken
    obtained_at: datetime
    expires_at: datetime
    consented_at: datetime
    was_refreshed: bool = False
    intent: Intent | None = None
    presented: int = 0
    proven_at: datetime | None = None
    trouble: Trouble | None = None
    version: int = 0

    @property
    def is_alive(self) -> bool:
        """True while this generation works or can be renewed without a person."""
        return self.trouble is None or not self.trouble.is_final

    def intended(self, owner: str, now: datetime) -> "Grant":
        """This generation with the will to present it written down."""
        if self.intent is not None:
            raise ValueError("a generation has one intent at a time")
        return msgspec.structs.replace(
            self, intent=Intent(owner, now), presented=self.presented + 1, version=self.version + 1
        )

    def withdrawn(self, trouble: Trouble | None) -> "Grant":
        """This generation after an intent that provably left it unspent."""
        return msgspec.structs.replace(
            self, intent=None, presented=self.presented - 1, trouble=trouble, version=self.version + 1
        )

    def troubled(self, trouble: Trouble) -> "Grant":
        """This generation with what is wrong with it; the intent stays, so that nobody presents it again."""
        return msgspec.structs.replace(self, trouble=trouble, version=self.version + 1)

    def proven(self, now: datetime) -> "Grant":
        """This generation, known to work; that it had never worked is no trouble any more."""
        is_cleared = self.trouble is not None and self.trouble.kind == UNPROVEN
        trouble = None if is_cleared else self.trouble
        return msgspec.structs.replace(self, proven_at=now, trouble=trouble, version=self.version + 1)

    def rotated(self, pair: Rotated, now: datetime) -> "Grant":
        """The next generation; of the pair before nothing is kept."""
        return Grant(
            account=self.account,
            generation=self.generation + 1,
            access=pair.access,
            refresh=pair.refresh,
            obtained_at=now,
            expires_at=now + pair.expires_in,
            consented_at=self.consented_at,
            was_refreshed=True,
            version=self.version + 1,
        )


def first_grant(account: str, pair: Rotated, now: datetime, *, before: Grant | None) -> Grant:
    """The grant that a person brought: a new consent, one generation above whatever was there."""
    return Grant(
        account=account,
        generation=1 if before is None else before.generation + 1,
        access=pair.access,
        refresh=pair.refresh,
        obtained_at=now,
        expires_at=now + pair.expires_in,
        consented_at=now,
        version=1 if before is None else before.version + 1,
    )
