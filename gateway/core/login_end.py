"""How a login may end: with a grant, or with what a person can be told of why there is none."""

from datetime import datetime

import msgspec

from .login import Meaning, meaning_of


class StillWorking(msgspec.Struct, frozen=True, tag=True):
    """The account has a working grant, and it was not said that it may be replaced."""

    account: str
    generation: int


class Granted(msgspec.Struct, frozen=True, tag=True):
    """The account has a new grant."""

    account: str
    generation: int
    expires_at: datetime


class NoSuchLogin(msgspec.Struct, frozen=True, tag=True):
    """No login waits under this state: unknown, over, replaced by a newer one; `was_used` if we know that it was used."""

    was_used: bool = False


class OtherAccount(msgspec.Struct, frozen=True, tag=True):
    """Another Official Account consented than the one that is configured; its code was not used."""

    account: str
    configured: str
    came: str


class Denied(msgspec.Struct, frozen=True, tag=True):
    """Zalo sent the person back with an error instead of a code."""

    account: str
    error: str
    words: str


class ExchangeRefused(msgspec.Struct, frozen=True, tag=True):
    """Zalo refused the code. `detail` is what it said, fit to be told."""

    account: str
    number: int | None
    detail: str

    @property
    def meaning(self) -> Meaning:
        """The refusal in plain words."""
        return meaning_of(self.number)


class ExchangeLost(msgspec.Struct, frozen=True, tag=True):
    """The code was presented and no answer that makes sense came back: it is spent, and there is no grant."""

    account: str
    cause: str


class NotNow(msgspec.Struct, frozen=True, tag=True):
    """It cannot be done now: `lacking` is "store" or "zalo" if nothing was spent, "saving" if the new grant is lost.

    Without an `account` the login still waits.
    """

    lacking: str
    account: str | None = None


Ended = Granted | NoSuchLogin | OtherAccount | Denied | ExchangeRefused | ExchangeLost | StillWorking | NotNow
