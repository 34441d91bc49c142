"""OAuth v4 of the Official Account: single-use refresh tokens, each grant a chain of its own.

Pure: time is an argument. Nothing here ever leaves the process but through an answer of the token endpoint.
"""

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal, TypeVar

import msgspec

from gateway.simulator.ledger import Exchange, digest_of

CODE_LIFE_S: Final = 600.0
REFRESH_LIFE_S: Final = 90 * 86_400.0
MOST_TOKENS: Final = 100_000
"""Tokens of a kind that are remembered; the oldest is then as unknown as one never issued."""

BAD_REFRESH: Final = -14014
BAD_CODE: Final = -14010
BAD_GRANT_TYPE: Final = -14001
BAD_APP: Final = -14002
BAD_REDIRECT: Final = -14003

NAMES: Final[dict[int, str]] = {
    BAD_REFRESH: "Invalid refresh token.",
    BAD_CODE: "Invalid authorization code.",
    BAD_GRANT_TYPE: "Unsupported grant type.",
    BAD_APP: "Invalid app id.",
    BAD_REDIRECT: "Invalid redirect uri.",
}
"""What stands in `error_name`."""


class Grant(msgspec.Struct, frozen=True):
    """What the token endpoint gives. The `repr` shows nothing of it."""

    access_token: str
    refresh_token: str
    expires_in: str

    def __repr__(self) -> str:
        """Neither token."""
        return "Grant(…)"


class Denied(msgspec.Struct, frozen=True):
    """No grant: an error in OAuth's own shape."""

    error: int
    own_name: str = ""

    @property
    def name(self) -> str:
        """What stands in `error_name`: its own text, or else the one of its number."""
        return self.own_name or NAMES.get(self.error, "Error.")


class Spent(msgspec.Struct, frozen=True):
    """No grant: this refresh token was used before."""


Issued = Grant | Denied | Spent


class _Access(msgspec.Struct):
    chain: int
    expires_at: float


class _Refresh(msgspec.Struct):
    chain: int
    generation: int
    access_token: str
    expires_at: float
    is_spent: bool = False


class _Code(msgspec.Struct):
    challenge: str
    redirect_uri: str
    expires_at: float
    is_used: bool = False


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier: base64url without padding of its SHA-256."""
    hashed = hashlib.sha256(verifier.encode("utf-8", "replace")).digest()
    return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()


class Issuer:
    """Every token and code that is out there."""

    def __init__(self, random_text: Callable[[int], str], record: Callable[[Exchange], None]) -> None:
        """`random_text(n)` is n fresh characters; each use of the token endpoint goes to `record`."""
        self._random_text = random_text
        self._record = record
        self._access: OrderedDict[str, _Access] = OrderedDict()
        self._refresh: OrderedDict[str, _Refresh] = OrderedDict()
        self._codes: OrderedDict[str, _Code] = OrderedDict()
        self._chains = 0
        self._first_live_chain = 1

    def accepts(self, access_token: str, now: float) -> bool:
        """Whether a call with this access token is let in."""
        access = self._access.get(access_token)
        return access is not None and now < access.expires_at and access.chain >= self._first_live_chain

    def mint(self, now: float, expires_in: int) -> Grant:
        """A grant that begins a chain of its own, as the API Explorer gives."""
        self._chains += 1
        return self._issue(self._chains, 1, now, expires_in)

    def consent(self, challenge: str, redirect_uri: str, now: float) -> str:
        """A fresh code; every chain that there was has ended, tokens and all."""
        self._first_live_chain = self._chains + 1
        code = self._random_text(64)
        _keep(self._codes, code, _Code(challenge, redirect_uri, now + CODE_LIFE_S))
        return code

    def exchange(self, code: str, verifier: str, now: float, expires_in: int, fault: str | None) -> Issued:
        """A grant for a code, once, within ten minutes, to whoever knows the verifier."""
        known = self._codes.get(code)
        grant: Issued
        if known is None or known.is_used or now >= known.expires_at:
            outcome = "unknown" if known is None else "spent" if known.is_used else "expired"
            grant = Denied(BAD_CODE)
        elif known.challenge and challenge_of(verifier) != known.challenge:
            outcome, grant = "wrong-verifier", Denied(BAD_CODE, "Invalid code verifier.")
        else:
            known.is_used = True
            outcome, grant = "granted", self.mint(now, expires_in)
        chain, generation = (self._chains, 1) if outcome == "granted" else (None, None)
        presented = digest_of(code)
        self._record(Exchange(now, "authorization_code", outcome, chain, generation, presented, fault))
        return grant

    def refresh(
        self, token: str, now: float, expires_in: int, *, ends_old_access: bool, fault: str | None
    ) -> Issued:
        """The next grant of the chain; the token is spent, whatever becomes of the answer."""
        known = self._refresh.get(token)
        outcome = self._standing(known, now)
        grant: Issued
        if known is None or outcome in ("ended", "expired"):
            grant = Denied(BAD_REFRESH)
        elif known.is_spent:
            grant = Spent()
        else:
            known.is_spent = True
            if ends_old_access:
                self._access.pop(known.access_token, None)
            grant = self._issue(known.chain, known.generation + 1, now, expires_in)
        chain, generation = (None, None) if known is None else (known.chain, known.generation)
        presented = digest_of(token)
        self._record(Exchange(now, "refresh_token", outcome, chain, generation, presented, fault))
        return grant

    def refuse(self, now: float, grant_type: str, outcome: str, presented: str, fault: str | None) -> None:
        """The ledger knows of an exchange that never came to its token; nothing else has changed."""
        digest = digest_of(presented)
        self._record(Exchange(now, grant_type[:32], outcome, None, None, digest, fault))

    def expire(self, what: Literal["access", "refresh", "all"]) -> int:
        """How many tokens that were alive are not any more."""
        ended = 0
        kinds = ((self._access, ("access", "all")), (self._refresh, ("refresh", "all")))
        for tokens, names in kinds:
            for token in tokens.values() if what in names else ():
                ended += token.expires_at > 0
                token.expires_at = 0.0
        return ended

    def _standing(self, known: _Refresh | None, now: float) -> str:
        if known is None:
            return "unknown"
        if known.chain < self._first_live_chain:
            return "ended"
        if known.is_spent:
            return "spent"
        return "expired" if now >= known.expires_at else "rotated"

    def _issue(self, chain: int, generation: int, now: float, expires_in: int) -> Grant:
        access, refresh = self._random_text(180), self._random_text(180)
        _keep(self._access, access, _Access(chain, now + expires_in))
        _keep(self._refresh, refresh, _Refresh(chain, generation, access, now + REFRESH_LIFE_S))
        return Grant(access, refresh, str(expires_in))


T = TypeVar("T")


def _keep(tokens: OrderedDict[str, T], name: str, token: T) -> None:
    tokens[name] = token
    if len(tokens) > MOST_TOKENS:
        tokens.popitem(last=False)
