"""`token import` and `token status`: the OAuth grant of each account."""

import asyncio
import sys
from datetime import datetime, timedelta
from typing import Any, Final

import click
from rich.markup import escape
from rich.table import Table

from gateway.core.errors import CannotStart, clip
from gateway.core.grant import Grant, Rotated
from gateway.gates import cure_of_credentials
from gateway.storage import kind_of
from gateway.tokens import adopt
from gateway.zalo.wire import read_grant

from .terminal import Asking, now, out, pretty, print_table, with_config

REFRESH_LIFE: Final = timedelta(days=90)


@click.group()
def token() -> None:
    """The OAuth grant of each account."""


@token.command("import")
@with_config
@click.argument("account")
@click.option("--replace", is_flag=True, help="Also while the account has a working grant, whose chain this ends.")
@click.pass_obj
def import_(asking: Asking, account: str, replace: bool) -> None:
    """Take the JSON that Zalo's API Explorer gives (access_token, refresh_token, expires_in) from standard input.

    \b
    Example:
      zns-gateway token import main < grant.json
    """
    loaded = asking.load_for_store()
    if account not in loaded.settings.accounts:
        raise CannotStart(f"there is no account {clip(account)}; there are {', '.join(loaded.settings.accounts)}")
    if sys.stdin.isatty():
        click.echo("paste the JSON, then press Ctrl-D:", err=True)
    pair = read_grant(200, sys.stdin.buffer.read(), "")
    if not isinstance(pair, Rotated):
        raise CannotStart("standard input must be JSON with access_token, refresh_token and expires_in (seconds)")

    async def keep() -> Grant:
        store = await asking.open_store(loaded)
        try:
            return await adopt(store, account, pair, now(), may_replace=replace)
        finally:
            await store.aclose()

    grant = asyncio.run(keep())
    told = f"account {account}, generation {grant.generation}, works until {_at(grant.expires_at)}"
    out.print(f"[good]imported[/]: {escape(told)}")


@token.command()
@with_config
@click.option("--json", "is_json", is_flag=True, help="For scripts.")
@click.pass_obj
def status(asking: Asking, is_json: bool) -> None:
    """Tell how each account's grant is: its ages, its health, and the cure if it needs one.

    Exits 1 if an account needs a person.
    """
    loaded = asking.load_for_store()

    async def look() -> dict[str, Grant | None]:
        if kind_of(loaded.settings.store.url) is None:
            return dict.fromkeys(loaded.settings.accounts)  # nothing was ever imported, and looking makes no store
        store = await asking.open_store(loaded)
        try:
            return {name: await store.grant(name) for name in loaded.settings.accounts}
        finally:
            await store.aclose()

    moment = now()
    rows = [_row(name, grant, moment) for name, grant in asyncio.run(look()).items()]
    if is_json:
        click.echo(pretty(rows))
    else:
        _print_table(rows)
    if any(row["cure"] for row in rows):
        raise click.exceptions.Exit(1)


def _row(account: str, grant: Grant | None, moment: datetime) -> dict[str, Any]:
    """What is told of one account; no token is in it."""
    if grant is None:
        cure = cure_of_credentials(account).replace(" --replace", "")
        return {"account": account, "health": "missing", "detail": "no grant was ever imported", "cure": cure}
    is_working = grant.is_alive and moment < grant.expires_at
    trouble = grant.trouble
    health = trouble.kind if trouble is not None else "working" if is_working else "expired"
    return {
        "account": account,
        "health": health,
        "generation": grant.generation,
        "refreshed_at": grant.obtained_at,
        "access_expires_at": grant.expires_at,
        "refresh_expires_at": grant.obtained_at + REFRESH_LIFE,
        "has_worked": grant.proven_at is not None,
        "detail": None if trouble is None else trouble.detail,
        "since": None if trouble is None else trouble.since,
        "cure": cure_of_credentials(account) if trouble is not None and trouble.is_final else None,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="faint")
    for heading in (
        "account",
        "health",
        "generation",
        "last refreshed",
        "access token until",
        "refresh token until about",
    ):
        table.add_column(heading)
    for row in rows:
        style = {"working": "good", "refused": "doubtful", "expired": "doubtful"}.get(row["health"], "bad")
        times = [_at(row.get(name)) for name in ("refreshed_at", "access_expires_at", "refresh_expires_at")]
        table.add_row(
            escape(row["account"]), f"[{style}]{row['health']}[/]", str(row.get("generation", "–")), *times
        )
    print_table(table)
    for row in rows:
        if row["detail"]:
            out.print(f"{row['account']}: {row['detail']}", markup=False)
        if row["cure"]:
            out.print(f"  cure: {row['cure']}", style="doubtful", markup=False)


def _at(moment: datetime | None) -> str:
    return "–" if moment is None else moment.strftime("%Y-%m-%d %H:%M UTC")
