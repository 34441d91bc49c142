"""`messages list` and `messages show`: what an operator needs from a shell."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import click
from rich.table import Table
from rich.text import Text

from gateway.core.caller import Caller
from gateway.core.delivery import DeliveryError, Reason
from gateway.core.errors import NotFound, clip
from gateway.core.hold import Hold
from gateway.core.message import Entry, Message
from gateway.gates import cure_of_credentials
from gateway.http.query import read_query
from gateway.http.views import MessageView, MessageWithTimeline, view, view_with_timeline
from gateway.storage import SqliteStore

from .terminal import STYLES, Asking, now, out, pretty, print_table, with_config

T = TypeVar("T")
_OPERATOR = Caller("operator", is_operator=True)


@click.group()
def messages() -> None:
    """Messages, as the store knows them."""


@messages.command("list")
@with_config
@click.option("--status")
@click.option("--type", "event_type", help="The event type.")
@click.option("--phone", help="A phone number, in any form.")
@click.option("--event-id")
@click.option("--caller")
@click.option("--since", help="Accepted at or after this time.")
@click.option("--until", help="Accepted before this time.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--cursor", help="Where the list before ended.")
@click.option("--json", "is_json", is_flag=True, help="For scripts.")
@click.pass_obj
def list_(asking: Asking, /, is_json: bool, event_type: str | None, limit: int, **filters: str | None) -> None:
    """List messages, newest first.

    \b
    Examples:
      zns-gateway messages list --status failed
      zns-gateway messages list --phone 0912345678 --json
    """
    given = {name: value for name, value in {**filters, "type": event_type}.items() if value is not None}
    query = read_query({**given, "limit": str(limit)}, _OPERATOR)

    async def look(store: SqliteStore) -> tuple[list[MessageView], str | None]:
        page, held = await store.find(query), await _held(store)
        return [view(message, now(), await held(message)) for message in page.items], page.next_cursor

    views, next_cursor = _with_store(asking, look)
    if is_json:
        click.echo(pretty({"items": views, "next_cursor": next_cursor}))
        return
    if not views:
        out.print("no such messages", style="faint")
        return
    print_table(_table(views))
    if next_cursor is not None:
        out.print(f"more: --cursor {next_cursor}", style="faint", markup=False)


@messages.command()
@with_config
@click.argument("tracking_id")
@click.option("--json", "is_json", is_flag=True, help="For scripts.")
@click.pass_obj
def show(asking: Asking, tracking_id: str, is_json: bool) -> None:
    """Show one message with everything that happened to it."""

    async def look(store: SqliteStore) -> MessageWithTimeline:
        message = await store.load(tracking_id)
        if message is None:
            raise NotFound(f"there is no message {clip(tracking_id)}")
        held = await _held(store)
        return view_with_timeline(message, now(), await held(message))

    shown = _with_store(asking, look)
    if is_json:
        click.echo(pretty(shown))
        return
    print_message(shown)
    print_timeline(shown.timeline)


def print_message(shown: MessageView) -> None:
    """The message, as a person reads it."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="faint")
    table.add_column()
    reason = f" (waits for {shown.reason})" if shown.reason else ""
    table.add_row("status", f"[{STYLES[shown.status]}]{shown.status}[/]{reason}")
    table.add_row("tracking_id", shown.tracking_id)
    table.add_row(
        "event", _plain(f"{shown.event.type} {shown.event.id} from {shown.event.source}, caller {shown.caller}")
    )
    if shown.template_id is not None:
        told = f"{shown.template_id} to {shown.phone}, account {shown.account}, {shown.priority}"
        table.add_row("template", _plain(told))
    if shown.msg_id is not None:
        table.add_row("msg_id", _plain(shown.msg_id))
    if shown.next_attempt_at is not None:
        table.add_row("next attempt", _clock(shown.next_attempt_at))
    if shown.error is not None:
        table.add_row("error", _plain(_error(shown.error)))
    print_table(table)


def print_timeline(timeline: tuple[Entry, ...]) -> None:
    """Every fact, when it became known, and the status it left behind."""
    table = Table(box=None, pad_edge=False, header_style="faint")
    for heading in ("at", "fact", "status", "attempt", "cause"):
        table.add_column(heading)
    for entry in timeline:
        attempt = "" if entry.attempt is None else str(entry.attempt)
        status = f"[{STYLES[entry.status]}]{entry.status}[/]"
        table.add_row(_clock(entry.at), entry.fact, status, attempt, _plain(entry.cause or ""))
    print_table(table)


def _table(views: list[MessageView]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="faint")
    for heading in ("accepted", "status", "type", "caller", "phone", "tracking_id", "error"):
        table.add_column(heading, no_wrap=heading in ("status", "tracking_id"), overflow="fold")
    for shown in views:
        error = "" if shown.error is None else shown.error.code
        status = f"[{STYLES[shown.status]}]{shown.status}[/]"
        phone = shown.phone or "–"
        event_type, caller = _plain(shown.event.type), _plain(shown.caller)
        table.add_row(_clock(shown.accepted_at), status, event_type, caller, phone, shown.tracking_id, error)
    return table


def _error(error: DeliveryError) -> str:
    said = "" if error.zalo is None else f" (Zalo {error.zalo.error})"
    return f"{error.code}{said}: {error.detail}; {error.advice}"


def _plain(text: str) -> Text:
    """Text of somebody else's, in which nothing is markup."""
    return Text(text)


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


async def _held(store: SqliteStore) -> Callable[[Message], Awaitable[Hold | None]]:
    """What tells of a message what it waits for: a hold, or credentials that only a person can renew."""
    moment = now()
    holds = [hold for hold in await store.holds() if not hold.is_over(moment)]

    async def hold_on(message: Message) -> Hold | None:
        if not message.state.is_waiting:
            return None
        for hold in holds:
            if hold.covers(message.account, message.template_id, message.event_type):
                return hold
        grant = await store.grant(message.account)
        if grant is not None and (grant.trouble is None or not grant.trouble.is_final):
            return None
        since = message.accepted_at if grant is None or grant.trouble is None else grant.trouble.since
        cause = "no grant" if grant is None or grant.trouble is None else grant.trouble.detail
        return Hold(message.account, Reason.CREDENTIALS, since, cause, cure_of_credentials(message.account))

    return hold_on


def _with_store(asking: Asking, ask: Callable[[SqliteStore], Awaitable[T]]) -> T:
    async def asked() -> T:
        store = await asking.open_store(must_exist=True)
        try:
            return await ask(store)
        finally:
            await store.aclose()

    return asyncio.run(asked())
