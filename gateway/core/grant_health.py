"""How an account's grant is, as people are told: on a terminal and in `/v1/accounts`. No token is in it."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from .grant import DEAD, LOST, MISSING, REFUSED, REJECTED, SEALED, UNPROVEN, Grant, Trouble
from .hold import Hold

REFRESH_LIFE: Final = timedelta(days=90)
BY_ITSELF: Final = "nothing to do: it is asked for again by itself"
_OLD_CONSENT: Final = timedelta(days=60)
_NEEDING_A_PERSON: Final = frozenset({DEAD, LOST, MISSING, SEALED, UNPROVEN})


class GrantHealth(msgspec.Struct, frozen=True, kw_only=True):
    """`health` is `working`, `expired`, `rejected`, `missing`, `sealed`, the kind of trouble, or, where none of these
    needs a person, Zalo's word that holds the account (`app-secret-invalid`); `cure` is null if none is needed.

    `refresh_expires_at` is three months after the last refresh, as far as Zalo is understood.
    """

    health: str
    generation: int | None = None
    refreshed_at: datetime | None = None
    access_expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    consented_at: datetime | None = None
    has_worked: bool = False
    detail: str | None = None
    since: datetime | None = None
    cure: str | None = None


def health_of(account: str, grant: Grant | None, obstacle: Trouble | None, now: datetime) -> GrantHealth:
    """How the grant is; `obstacle` is why no token of it can be used, as far as more is known of that than is on record."""
    if grant is None:
        if obstacle is None:
            cure = cure_of_credentials(account, has_grant=False)
            return GrantHealth(health=MISSING, detail="there is no grant for this account", cure=cure)
        cure = cure_of(obstacle, account)
        return GrantHealth(health=obstacle.kind, detail=obstacle.detail, since=obstacle.since, cure=cure)
    trouble = grant.trouble or obstacle or _rejection(grant)
    sends = grant.sends(now)
    return GrantHealth(
        health=trouble.kind if trouble is not None else "working" if sends else "expired",
        generation=grant.generation,
        refreshed_at=grant.obtained_at,
        access_expires_at=grant.expires_at,
        refresh_expires_at=grant.obtained_at + REFRESH_LIFE,
        consented_at=grant.consented_at,
        has_worked=grant.proven_at is not None,
        detail=old_consent(grant, now) if trouble is None else trouble.detail,
        since=None if trouble is None else trouble.since,
        cure=None if trouble is None or (sends and grant.is_alive) else cure_of(trouble, account),
    )


def held(health: GrantHealth, hold: Hold) -> GrantHealth:
    """With what Zalo says of the credentials beside the grant, such as that the app's secret is wrong.

    Where the grant itself needs a person it is called by that; each of the two has to be cured.
    """
    said = f"Zalo takes nothing from this app ({hold.cause})"
    mend = f"correct app_secret of account {hold.account}, and restart the gateway"
    cures = (mend, None if health.cure == BY_ITSELF else health.cure)
    is_ours = health.health in _NEEDING_A_PERSON
    return msgspec.structs.replace(
        health,
        health=health.health if is_ours else hold.cause,
        detail="; ".join(it for it in ((health.detail, said) if is_ours else (said, health.detail)) if it),
        since=health.since if is_ours else hold.since,
        cure="; ".join(it for it in cures if it),
    )


def _rejection(grant: Grant) -> Trouble | None:
    if grant.rejected_at is None:
        return None
    detail = "Zalo takes the access token no more, and no fresh one could be had yet"
    return Trouble(REJECTED, detail, grant.rejected_at, is_final=False)


def old_consent(grant: Grant, now: datetime) -> str | None:
    """That the consent should be given anew, before Zalo ends it; whether a refresh prolongs it is not certain."""
    age = now - grant.consented_at
    if age < _OLD_CONSENT:
        return None
    return (
        f"the consent is {age.days} days old, and may end after three months: "
        f"zns-gateway token login {grant.account} --replace"
    )


def cure_of(trouble: Trouble, account: str) -> str:
    """What a person can do about the trouble of an account's grant: the exact command, where there is one."""
    if trouble.kind == MISSING:
        return cure_of_credentials(account, has_grant=False)
    if trouble.kind == SEALED:
        return f"put the key back into secrets.keys, or: {cure_of_credentials(account)}"
    if trouble.is_final or trouble.kind == LOST:
        return cure_of_credentials(account)
    if trouble.kind == REFUSED:
        return f"look at accounts.{account}.app_id and app_secret, and at the app at Zalo; it is asked for again by itself"
    return BY_ITSELF


def cure_of_credentials(account: str, *, has_grant: bool = True) -> str:
    """The command that gives an account a working grant."""
    return f"zns-gateway token import {account}{' --replace' if has_grant else ''} < grant.json"
