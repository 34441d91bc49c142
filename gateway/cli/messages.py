"""`messages list` and `messages show`: what an operator needs from a shell."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import click

from gateway.core.caller import Caller
from gateway.core.delivery import DeliveryError, Reason
from gateway.core.errors import NotFound, clip
from gateway.core.hold import Hold
from gateway.core.message import Entry, Message
from gateway.gates import cure_of_credentials
from gateway.http.query import read_query
from gateway.http.views import MessageView, MessageWithTimeline, view, view_with_timeline
from gateway.storage import SqliteStore

from .completion import callers, statuses, types
from .tables import Column, clock, plain, print_columns, print_fields
from .terminal import STYLES, Asking, Group, now, out, pretty, with_config, with_json

T = TypeVar("T")
_OPERATOR = Caller("operator", is_operator=True)


@click.group(cls=Group)
def messages() -> None:
    """Messages, as the store knows them."""


@messages.command("list")
@with_config
@click.option("--status", shell_complete=statuses, help="Where they stand: sent, delivered, failed, …")
@click.option("--type", "event_type", shell_complete=types, help="The event type.")
@click.option("--phone", help="A phone number, in any form.")
@click.option("--event-id", help="The event's id, as its caller gave it.")
@click.option("--caller", shell_complete=callers, help="Who sent the event.")
@click.option("--since", help="Accepted at or after this time, such as 2026-11-23T08:00:00Z.")
@click.option("--until", help="Accepted before this time.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--cursor", help="Where the list before ended.")
@with_json
@click.pass_obj
def list_(asking: Asking, /, is_json: bool, event_type: str | None, limit: int, **filters: str | None) -> None:
    """List messages, newest first.

    On a terminal the table is as wide as that, and says what it had no room for; in a pipe it is whole.
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
    lost = print_columns(_columns(views))
    if lost:
        out.print(f"cut or left out: {', '.join(lost)}; a wider terminal or --json shows all", style="faint")
    if next_cursor is not None:
        out.print(f"more: --cursor {next_cursor}", style="faint", markup=False)


@messages.command()
@with_config
@click.argument("tracking_id")
@with_json
@click.pass_obj
def show(asking: Asking, tracking_id: str, is_json: bool) -> None:
    """Show one message with everything that happened to it."""

    async def look(store: SqliteStore) -> MessageWithTimeline:
        message = await store.load(tracking_id)
        if message is None:
            raise NotFound(
                f"there is no message {clip(tracking_id)}; zns-gateway messages list shows what there is"
            )
        held = await _held(store)
        return view_with_timeline(message, now(), await held(message))

    shown = _with_store(asking, look)
    if is_json:
        click.echo(pretty(shown))
        return
    print_message(shown)
    out.print()
    print_timeline(shown.timeline)


def print_message(shown: MessageView) -> None:
    """The message, as a person reads it."""
    reason = f" (waits for {shown.reason})" if shown.reason else ""
    event, to = shown.event, f"{shown.phone}, account {shown.account}, {shown.priority}"
    fields = [
        ("status", f"{shown.status}{reason}", STYLES[shown.status]),
        ("tracking_id", shown.tracking_id, ""),
        ("event", plain(f"{event.type} {event.id} from {event.source}, caller {shown.caller}"), ""),
        ("template", f"{shown.template_id} to {to}" if shown.template_id is not None else "", ""),
        ("msg_id", shown.msg_id or "", ""),
        ("accepted", clock(shown.accepted_at), ""),
        ("next attempt", clock(shown.next_attempt_at) if shown.next_attempt_at is not None else "", ""),
        ("expires", clock(shown.expires_at) if shown.status in ("queued", "sending") else "", ""),
    ]
    if shown.error is not None:
        fields += [("error", _error(shown.error), ""), ("advice", shown.error.advice, "doubtful")]
    print_fields([(name, plain(text), style) for name, text, style in fields if text])


def print_timeline(timeline: Sequence[Entry]) -> None:
    """Every fact, when it became known, and the status it left behind."""
    days = {entry.at.date() for entry in timeline}
    is_short = out.is_terminal and len(days) == 1
    at = [entry.at.strftime("%H:%M:%S.%f")[:-3] + "Z" if is_short else clock(entry.at) for entry in timeline]
    print_columns(
        [
            Column("at", at),
            Column("fact", [entry.fact for entry in timeline]),
            Column(
                "status", [entry.status for entry in timeline], styles=[STYLES[entry.status] for entry in timeline]
            ),
            Column("attempt", ["" if entry.attempt is None else str(entry.attempt) for entry in timeline]),
        ],
        Column("cause", [plain(entry.cause or "") for entry in timeline]),
    )


def _columns(views: list[MessageView]) -> list[Column]:
    """What is told of each; on a terminal, nothing that is empty or goes without saying."""
    errors = ["" if shown.error is None else shown.error.code for shown in views]
    who = [plain(shown.caller) for shown in views]
    found = [
        Column("accepted", [clock(shown.accepted_at) for shown in views]),
        Column("status", [shown.status for shown in views], styles=[STYLES[shown.status] for shown in views]),
        Column("type", [plain(shown.event.type) for shown in views], rank=2, least=8),
        Column("caller", who, rank=4),
        Column("phone", [shown.phone or "–" for shown in views], rank=3),
        Column("tracking_id", [shown.tracking_id for shown in views]),
        Column("error", errors, rank=1),
    ]
    if not out.is_terminal:
        return found
    silent = {"error": not any(errors), "caller": len(set(who)) == 1}
    return [column for column in found if not silent.get(column.heading)]


def _error(error: DeliveryError) -> str:
    said = "" if error.zalo is None else f" (Zalo {error.zalo.error})"
    return f"{error.code}{said}: {error.detail}"


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
