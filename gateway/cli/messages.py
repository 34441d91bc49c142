"""`messages list` and `messages show`: what an operator needs from a shell."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import click
from rich.table import Table

from gateway.core.caller import Caller
from gateway.core.delivery import DeliveryError
from gateway.core.errors import NotFound
from gateway.core.message import Entry
from gateway.http.messages import read_query
from gateway.http.views import MessageView, view, view_with_timeline
from gateway.storage import SqliteStore
from gateway.wiring import now

from .terminal import STYLES, Asking, out, pretty, with_config

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
    page = _with_store(asking, lambda store: store.find(query))
    moment = now()
    views = [view(message, moment) for message in page.items]
    if is_json:
        click.echo(pretty({"items": views, "next_cursor": page.next_cursor}))
        return
    if not views:
        out.print("no such messages", style="faint")
        return
    out.print(_table(views))
    if page.next_cursor is not None:
        out.print(f"more: --cursor {page.next_cursor}", style="faint")


@messages.command()
@with_config
@click.argument("tracking_id")
@click.option("--json", "is_json", is_flag=True, help="For scripts.")
@click.pass_obj
def show(asking: Asking, tracking_id: str, is_json: bool) -> None:
    """Show one message with everything that happened to it."""
    message = _with_store(asking, lambda store: store.load(tracking_id))
    if message is None:
        raise NotFound(f"there is no message {tracking_id}")
    shown = view_with_timeline(message, now())
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
    table.add_row("event", f"{shown.event.type} {shown.event.id} from {shown.event.source}, caller {shown.caller}")
    if shown.template_id is not None:
        table.add_row(
            "template", f"{shown.template_id} to {shown.phone}, account {shown.account}, {shown.priority}"
        )
    if shown.msg_id is not None:
        table.add_row("msg_id", shown.msg_id)
    if shown.next_attempt_at is not None:
        table.add_row("next attempt", _clock(shown.next_attempt_at))
    if shown.error is not None:
        table.add_row("error", _error(shown.error))
    out.print(table)


def print_timeline(timeline: tuple[Entry, ...]) -> None:
    """Every fact, when it became known, and the status it left behind."""
    table = Table(box=None, pad_edge=False, header_style="faint")
    for heading in ("at", "fact", "status", "attempt", "cause"):
        table.add_column(heading)
    for entry in timeline:
        attempt = "" if entry.attempt is None else str(entry.attempt)
        table.add_row(
            _clock(entry.at), entry.fact, f"[{STYLES[entry.status]}]{entry.status}[/]", attempt, entry.cause or ""
        )
    out.print(table)


def _table(views: list[MessageView]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="faint")
    for heading in ("accepted", "status", "type", "caller", "phone", "tracking_id", "error"):
        table.add_column(heading)
    for shown in views:
        error = "" if shown.error is None else shown.error.code
        status = f"[{STYLES[shown.status]}]{shown.status}[/]"
        phone = shown.phone or "–"
        table.add_row(
            _clock(shown.accepted_at), status, shown.event.type, shown.caller, phone, shown.tracking_id, error
        )
    return table


def _error(error: DeliveryError) -> str:
    said = "" if error.zalo is None else f" (Zalo {error.zalo.error})"
    return f"{error.code}{said}: {error.detail}; {error.advice}"


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def _with_store(asking: Asking, ask: Callable[[SqliteStore], Awaitable[T]]) -> T:
    async def asked() -> T:
        store = await asking.open_store()
        try:
            return await ask(store)
        finally:
            await store.aclose()

    return asyncio.run(asked())
