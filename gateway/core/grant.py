"""A Grant: what an Official Account consented to, and what an attempt to renew it may end in.

A refresh token can be spent once. So every presentation is an Intent, written durably before anything leaves,
and a generation is presented at most twice: once normally, once as the last chance.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Final, assert_never

import msgspec

MIN_LIFE: Final = timedelta(seconds=1)
MAX_LIFE: Final = timedelta(seconds=10_000_000)
_MOST_SEEDS: Final = 31


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


class AppSecret(Secret, frozen=True):
    """The app's own; it proves each request where the account wants that."""

    __repr__ = Secret.__repr__


class Token(msgspec.Struct, frozen=True):
    """What a request to Zalo carries: an access token, the generation it belongs to, and what proves the request."""

    access: AccessToken
    generation: int
    app_secret: AppSecret | None = None


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


_LOST_ONCE: Final = (
    "the answer to a refresh was lost: the refresh token may be spent, and is presented once more at the end"
)
_LOST_TWICE: Final = "the answer to the last presentation of the refresh token was lost, too"
REFRESHING: Final = "refreshing"
UNPROVEN: Final = "unproven"
LOST: Final = "lost"
DEAD: Final = "dead"
REFUSED: Final = "refused"
MISSING: Final = "missing"
SEALED: Final = "sealed"
REJECTED: Final = "rejected"
UNSENT: Final = "unsent"
TROUBLES: Final = (LOST, DEAD, REFUSED, UNPROVEN, MISSING, SEALED, UNSENT)
"""What a person may have to look at; that a refresh is under way is none of it."""


class Trouble(msgspec.Struct, frozen=True):
    """What is wrong with a generation. `is_final`: only a person helps.

    `refusals` is how often in a row Zalo has refused to renew it, the last time at `refused_at`. `is_triable`, of an
    obstacle: the access token has only been rejected, and one message now and then may try whether Zalo takes it again.
    """

    kind: str  # LOST, DEAD, REFUSED, UNPROVEN; as an obstacle also MISSING, SEALED, UNSENT, REFRESHING
    detail: str
    since: datetime
    is_final: bool
    refusals: int = 0
    refused_at: datetime | None = None
    is_triable: bool = False


class Grant(msgspec.Struct, frozen=True):
    """One generation of an account's pair. `version` changes with every save: compare-and-set goes by it.

    `proven_at` is when Zalo first took the access token; a generation that was refreshed and never worked is
    not refreshed again because of -124. `consented_at` is when a person last gave consent, and `was_refreshed` says
    that this generation is not what that person brought. `seeds` are digests of the refresh tokens that people brought,
    the latest last: none of them may be brought again. `rejected_at` is when Zalo took the access token no more, and no
    refresh came of it.
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
    rejected_at: datetime | None = None
    trouble: Trouble | None = None
    seeds: tuple[bytes, ...] = ()
    version: int = 0

    @property
    def is_alive(self) -> bool:
        """True while this generation can be renewed as usual: nobody needs to bring a new one."""
        return self.trouble is None or not (self.trouble.is_final or self.trouble.kind == LOST)

    def sends(self, now: datetime) -> bool:
        """True while the access token works, as far as is on record."""
        return now < self.expires_at and self.rejected_at is None

    @property
    def life(self) -> timedelta:
        """How long the access token lives in all."""
        return self.expires_at - self.obtained_at

    @property
    def is_lost(self) -> bool:
        """True if it was presented, nobody knows with what result, and one last time is left."""
        return self.trouble is not None and self.trouble.kind == LOST and not self.trouble.is_final

    @property
    def is_given_up(self) -> bool:
        """True if it was presented once and counts as lost because no answer came in time: a late one may say otherwise."""
        return self.is_lost and self.intent is not None and not self.intent.is_last

    @property
    def is_asking(self) -> bool:
        """True if it is being presented as far as is on record: what became of it is not."""
        if self.intent is None:
            return False
        is_concluded = self.trouble is not None and self.trouble.kind in (LOST, DEAD)
        return not is_concluded or (self.is_lost and self.intent.is_last)

    def intended(self, owner: str, now: datetime) -> "Grant":
        """This generation with the will to present it written down: for the first time, or as the last chance."""
        if self.is_asking or (self.presented and not self.is_lost):
            raise ValueError("a generation has one intent at a time, and one last one")
        intent = Intent(owner, now, is_last=self.is_lost)
        return msgspec.structs.replace(self, intent=intent, presented=self.presented + 1, version=self.version + 1)

    def concluded(self, result: RefreshResult, now: datetime) -> "Grant":
        """This generation after its presentation, or the next one."""
        trouble = self.trouble
        match result:
            case Rotated():
                return self.rotated(result, now)
            case Dead(detail):
                return self.troubled(Trouble(DEAD, detail, now, is_final=True))
            case Lost(cause):
                is_last = self.intent is not None and self.intent.is_last
                since = trouble.since if trouble is not None and trouble.kind == LOST else now
                detail = f"{_LOST_TWICE if is_last else _LOST_ONCE} ({cause})"
                return self.troubled(Trouble(LOST, detail, since, is_final=is_last))
            case Refused(detail):
                before = self._known_trouble or Trouble(REFUSED, detail, now, is_final=False)
                refused = msgspec.structs.replace(before, refusals=before.refusals + 1, refused_at=now)
                if before.kind == REFUSED:
                    refused = msgspec.structs.replace(refused, detail=detail)
                return self.withdrawn(refused)
            case NotPresented():
                return self.withdrawn(self._known_trouble)
        assert_never(result)

    @property
    def _known_trouble(self) -> Trouble | None:
        """What is wrong with it once the answer is known, be it late: then nothing was lost."""
        return None if self.is_given_up else self.trouble

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
        return msgspec.structs.replace(
            self, proven_at=now, rejected_at=None, trouble=trouble, version=self.version + 1
        )

    def rejected(self, now: datetime) -> "Grant":
        """This generation, whose access token Zalo takes no more."""
        return msgspec.structs.replace(self, rejected_at=now, version=self.version + 1)

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
            seeds=self.seeds,
            version=self.version + 1,
        )


def first_grant(account: str, pair: Rotated, now: datetime, *, before: Grant | None) -> Grant:
    """The grant that a person brought: a new consent, one generation above whatever was there."""
    seeds = () if before is None else before.seeds
    return Grant(
        account=account,
        generation=1 if before is None else before.generation + 1,
        access=pair.access,
        refresh=pair.refresh,
        obtained_at=now,
        expires_at=now + pair.expires_in,
        consented_at=now,
        seeds=(*seeds[-_MOST_SEEDS:], _digest(pair.refresh)),
        version=1 if before is None else before.version + 1,
    )


def was_here(pair: Rotated, grant: Grant) -> bool:
    """True if this refresh token is the grant's own, or one that was brought before: it may be spent."""
    return pair.refresh == grant.refresh or _digest(pair.refresh) in grant.seeds


def _digest(token: RefreshToken) -> bytes:
    return hashlib.sha256(token.value.encode()).digest()[:16]
