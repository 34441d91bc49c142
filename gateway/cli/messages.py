"""`messages list` and `messages show`, and what `orders` adds to them: what an operator needs from a shell."""

from collections.abc import Sequence

import click

from gateway.core.delivery import DeliveryError
from gateway.core.errors import NotFound, clip
from gateway.core.message import Entry
from gateway.core.view import MessageView, MessageWithTimeline, view, view_with_timeline
from gateway.storage import SqliteStore

from .finding import held, query_of, with_filters, with_store
from .orders import cancel, resend, settle
from .tables import Column, clock, plain, print_columns, print_fields
from .terminal import STYLES, Asking, Group, now, out, pretty, with_config, with_json


@click.group(cls=Group)
def messages() -> None:
    """Messages, as the store knows them."""


for _order in (resend, cancel, settle):
    messages.add_command(_order)


@messages.command("list")
@with_config
@with_filters
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--cursor", help="Where the list before ended.")
@with_json
@click.pass_obj
def list_(asking: Asking, /, is_json: bool, limit: int, **filters: str | None) -> None:
    """List messages, newest first.

    On a terminal the table is as wide as that, and says what it had no room for; in a pipe it is whole.
    """
    query = query_of(**filters, limit=str(limit))

    async def look(store: SqliteStore) -> tuple[list[MessageView], str | None]:
        page, hold_on = await store.find(query), await held(store)
        return [view(message, now(), await hold_on(message)) for message in page.items], page.next_cursor

    views, next_cursor = with_store(asking, look)
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
        hold_on = await held(store)
        return view_with_timeline(message, now(), await hold_on(message))

    shown = with_store(asking, look)
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
