"""`token login`, `import`, `status` and `rekey`: the OAuth grant of each account, and the keys that seal it."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec
from rich.markup import escape

from gateway.core.delivery import Reason
from gateway.core.errors import CannotOpen, CannotStart, clip
from gateway.core.grant import SEALED, Grant, Trouble
from gateway.core.grant_health import BY_ITSELF, REFRESH_LIFE, GrantHealth, cure_of_credentials, health_of, held
from gateway.core.mapping_faults import nearest_to
from gateway.core.renewal import is_overdue
from gateway.grants import adopt
from gateway.ports import Vault
from gateway.zalo.oauth import read_brought

from .completion import accounts
from .login import login
from .tables import Column, clock, hanging, is_roomy, plain, print_columns
from .terminal import Asking, Group, err, fail, now, out, pretty, with_config, with_json

if TYPE_CHECKING:
    from gateway.storage import Resealed

_LONGEST_REFRESH: Final = timedelta(minutes=1)
_DAYS_FROM: Final = 3
_HOURS_FROM: Final = 3


@click.group(cls=Group)
def token() -> None:
    """The OAuth grant of each account."""


token.add_command(login)


@token.command("import")
@with_config
@click.argument("account", shell_complete=accounts)
@click.option("--replace", is_flag=True, help="Also while the account has a working grant, whose chain this ends.")
@click.pass_obj
def import_(asking: Asking, account: str, replace: bool) -> None:
    """Take the JSON that Zalo's API Explorer gives (access_token, refresh_token, expires_in) from standard input."""
    loaded = asking.load_for_store()
    if account not in loaded.settings.accounts:
        raise CannotStart(f"there is no account {clip(account)}; {nearest_to(account, loaded.settings.accounts)}")
    if sys.stdin.isatty():
        click.echo("paste the JSON, then press Ctrl-D:", err=True)
    pair = read_brought(sys.stdin.buffer.read())
    if isinstance(pair, str):
        raise CannotStart(
            f"standard input must be JSON with access_token, refresh_token and expires_in (seconds): {pair}"
        )
    others = [name for name in loaded.settings.accounts if name != account]

    async def keep() -> Grant:
        store = await asking.open_store(loaded)
        try:
            return await adopt(store, account, pair, now(), may_replace=replace, others=others)
        finally:
            await store.aclose()

    grant = asyncio.run(keep())
    told = f"account {account}, generation {grant.generation}, works until {clock(grant.expires_at)}"
    out.print(f"[good]imported[/]: {escape(told)}")


@token.command()
@with_config
@with_json
@click.pass_obj
def status(asking: Asking, is_json: bool) -> None:
    """Tell how each account's grant is: its ages, its health, and the cure if it needs one.

    Exits 1 if an account needs a person.
    """
    loaded = asking.load_for_store()

    from gateway.storage import has_store  # as in terminal.py: not for a completion

    async def look() -> list[dict[str, Any]]:
        names = loaded.settings.accounts
        if not has_store(loaded.settings.store.url):
            # Nothing was ever imported, and looking makes no store.
            return [_row(name, _told(name, None, moment, is_served=False)) for name in names]
        store = await asking.open_store(loaded)
        try:
            is_served = store.is_served
            healths = {it: _told(it, await _grant(store, it), moment, is_served=is_served) for it in names}
            for hold in await store.holds():
                if (
                    hold.reason is Reason.CREDENTIALS
                    and hold.account in healths
                    and hold.covers(hold.account, None, "")
                ):
                    healths[hold.account] = held(healths[hold.account], hold)
            return [_row(it, health) for it, health in healths.items()]
        finally:
            await store.aclose()

    moment = now()
    rows = asyncio.run(look())
    if is_json:
        click.echo(pretty(rows))
    else:
        _print_table(rows, moment)
    if any(row["cure"] for row in rows):
        raise click.exceptions.Exit(1)


@token.command()
@with_config
@with_json
@click.pass_obj
def rekey(asking: Asking, is_json: bool) -> None:
    """Seal the whole store anew under the first of secrets.keys, beside a running `serve` that seals under it, too.

    Run it again if it was interrupted. Exits 1 if somebody still seals under an older key, 2 if something opens with
    none of the keys.
    """

    async def reseal() -> "Sequence[Resealed]":
        store = await asking.open_store(must_exist=True)
        try:
            return await store.rekey()
        finally:
            await store.aclose()

    kinds = asyncio.run(reseal())
    if is_json:
        click.echo(pretty(kinds))
    else:
        print_columns(
            [
                Column("sealed", [kind.kind for kind in kinds]),
                Column("sealed anew", [str(kind.resealed) for kind in kinds]),
                Column("opened with no key", [str(kind.unopened) for kind in kinds]),
            ]
        )
    unsettled = [kind.kind for kind in kinds if not kind.is_settled]
    if unsettled:
        told = (
            f"{', '.join(unsettled)}: somebody still seals under an older key; restart `serve` and run this again"
        )
        err.print(told, style="doubtful", markup=False)
    unopened = [f"{kind.unopened} of {kind.kind}" for kind in kinds if kind.unopened]
    if unopened:
        fail(
            f"no key in secrets.keys opens {', '.join(unopened)}: put the key back that is missing, and run this again"
        )
    if unsettled:
        raise click.exceptions.Exit(1)


async def _grant(store: Vault, account: str) -> Grant | CannotOpen | None:
    try:
        return await store.grant(account)
    except CannotOpen as error:
        return error


def _told(account: str, grant: Grant | CannotOpen | None, moment: datetime, *, is_served: bool) -> GrantHealth:
    """How the grant is, also where only those who look from outside can know: when nobody renews it."""
    if isinstance(grant, CannotOpen):
        sealed = health_of(account, None, Trouble(SEALED, grant.detail, moment, is_final=True), moment)
        return msgspec.structs.replace(sealed, since=None)
    health = health_of(account, grant, None, moment)
    if grant is None:
        return health
    remark, cure_of_that = _unrenewed(grant, moment, is_served=is_served)
    detail = "; ".join(it for it in (health.detail, remark) if it) or None
    cures = [it for it in (cure_of_that, health.cure) if it and not (cure_of_that and it == BY_ITSELF)]
    return msgspec.structs.replace(health, detail=detail, cure="; ".join(cures) or None)


def _unrenewed(grant: Grant, moment: datetime, *, is_served: bool) -> tuple[str | None, str | None]:
    """Why nobody renews the grant, where that is so, and the cure if it should have been renewed by now."""
    if not is_served and not (grant.trouble is not None and grant.trouble.is_final):
        is_late = grant.is_alive and (is_overdue(grant, moment) or not grant.sends(moment))
        is_past = (
            moment >= grant.obtained_at + REFRESH_LIFE
        )  # Zalo has forgotten it: who starts now presents it in vain
        cure = cure_of_credentials(grant.account) if is_past else "zns-gateway serve"
        return "no gateway runs on this store, so nobody renews it", cure if is_late else None
    since = grant.intent.begun_at if grant.is_asking and grant.intent is not None else grant.rejected_at
    is_wanted = is_overdue(grant, moment) or (grant.trouble is None and grant.rejected_at is not None)
    if is_wanted and (since is None or moment >= since + _LONGEST_REFRESH):
        return (
            "what runs on this store has not been able to renew it",
            f"see account {grant.account} in its /readyz?verbose; most often it cannot reach zalo.oauth_url",
        )
    return None, None


def _row(account: str, health: GrantHealth) -> dict[str, Any]:
    return {"account": account, **msgspec.structs.asdict(health)}


def _print_table(rows: list[dict[str, Any]], moment: datetime) -> None:
    """On a narrow terminal without what a person can do without."""
    styles = {"working": "good", "refused": "doubtful", "expired": "doubtful"}
    print_columns(
        [
            Column("account", [plain(row["account"]) for row in rows]),
            Column(
                "health",
                [row["health"] for row in rows],
                styles=[styles.get(row["health"], "bad") for row in rows],
            ),
            Column("generation", [str(row["generation"] or "–") for row in rows], rank=3),
            Column("last refreshed", _times(rows, "refreshed_at", None), rank=2),
            Column("access token until", _times(rows, "access_expires_at", moment)),
            Column("refresh token until about", _times(rows, "refresh_expires_at", moment), rank=1),
        ]
    )
    for row in rows:
        if row["detail"]:
            since = f" (since {clock(row['since'])})" if row["since"] else ""
            out.print(hanging(f"{row['account']}:", f"{row['detail']}{since}"))
        if row["cure"]:
            out.print(hanging("  cure:", row["cure"], styles=("doubtful", "doubtful", "")))


def _times(rows: list[dict[str, Any]], key: str, moment: datetime | None) -> list[str]:
    """Each time; where there is room, also how far it is from this moment."""
    return [_time(row.get(key), moment) for row in rows]


def _time(at: datetime | None, moment: datetime | None) -> str:
    if at is None or moment is None or not is_roomy():
        return clock(at)
    return f"{clock(at)} ({_distance(at - moment)})"


def _distance(span: timedelta) -> str:
    minutes = abs(int(span.total_seconds())) // 60
    days, hours = minutes // (24 * 60), minutes // 60
    told = f"{days} d" if days >= _DAYS_FROM else f"{hours} h" if hours >= _HOURS_FROM else f"{minutes} min"
    return f"in {told}" if span > timedelta() else f"{told} ago"
