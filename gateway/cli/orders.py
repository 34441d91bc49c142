"""`messages cancel`, `resend` and `settle`: what an operator may do to messages, beside a running gateway.

The store is changed directly; the gateway that serves it sees that within half a second.
"""

import os
import pwd
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import click
import msgspec

from gateway.config import Loaded
from gateway.core.mapping import compile_mappings
from gateway.core.message import Message
from gateway.core.orders import Order, Verdict, signed
from gateway.core.view import view
from gateway.orders import Orders, Report
from gateway.storage import SqliteStore

from .finding import held, query_of, with_filters, with_store
from .tables import plain
from .terminal import STYLES, Asking, Unheard, err, fail, now, out, pretty, with_config, with_json

T = TypeVar("T")
_DONE: Final[dict[Order, str]] = {"cancel": "cancelled", "resend": "queued again"}


class _Asked(msgspec.Struct, frozen=True):
    """What the command line says: which messages, and how."""

    tracking_id: str | None
    status: str | None
    type: str | None
    phone: str | None
    event_id: str | None
    caller: str | None
    since: str | None
    until: str | None
    dry_run: bool
    expect: int | None
    yes: bool
    note: str | None
    is_json: bool

    @property
    def filters(self) -> dict[str, str]:
        names = ("status", "type", "phone", "event_id", "caller", "since", "until")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def _with_note(command: Any) -> Any:
    return click.option("--note", help="Why; it stands in the message's timeline, for its caller too.")(command)


def _with_messages(command: Any) -> Any:
    """The command takes one message, or what finds many."""
    for option in reversed(
        (
            click.argument("tracking_id", required=False),
            with_filters,
            click.option("--dry-run", is_flag=True, help="Only say how many messages are meant."),
            click.option(
                "--expect", type=click.IntRange(0), help="Act only if exactly so many are meant; do not ask."
            ),
            click.option("--yes", is_flag=True, help="Do not ask, however many are meant by then."),
            _with_note,
            with_json,
        )
    ):
        command = option(command)
    return command


@click.command()
@with_config
@_with_messages
@click.pass_obj
def cancel(asking: Asking, /, **asked: Any) -> None:
    """Cancel a queued message, or all queued ones that the options find.

    A second try that has not begun is given up: such a message is unknown or undelivered again, as before it. What is
    being sent, or has been, cannot be called back. Exits 1 if some of many could not be cancelled.
    """
    _carry_out(asking, "cancel", _Asked(**asked))


@click.command()
@with_config
@_with_messages
@click.pass_obj
def resend(asking: Asking, /, **asked: Any) -> None:
    """Send a message again that is failed, expired, undelivered or unknown, or all such that the options find.

    It is filled again from its event by the mappings that lie beside the configuration now, and its time begins anew. Of
    an unknown one the customer may get a second message. Exits 1 if some of many could not be sent again.
    """
    _carry_out(asking, "resend", _Asked(**asked))


@click.command()
@with_config
@click.argument("tracking_id")
@click.argument("status", type=click.Choice(("delivered", "failed")))
@_with_note
@with_json
@click.pass_obj
def settle(asking: Asking, tracking_id: str, status: Verdict, note: str | None, is_json: bool) -> None:
    """Say what became of an unknown message: what a person has found out at Zalo, or from the customer."""
    cause = signed(_by(), note)
    message = _ordered(asking, lambda orders, _: orders.settle(tracking_id, status, cause))
    _tell_one(asking, message, is_json=is_json)


def _carry_out(asking: Asking, order: Order, asked: _Asked) -> None:
    cause = signed(_by(), asked.note)
    if asked.tracking_id is None:
        if not asked.filters:
            raise click.UsageError(
                f"name a message, or say which are meant, such as --status {'queued' if order == 'cancel' else 'failed'}"
            )
        _to_many(asking, order, asked, cause)
    elif asked.filters or asked.dry_run or asked.expect is not None:
        raise click.UsageError("a tracking_id names one message: leave out what finds and counts many")
    else:
        _to_one(asking, order, asked.tracking_id, asked, cause)


def _to_one(asking: Asking, order: Order, tracking_id: str, asked: _Asked, cause: str) -> None:
    if order == "resend" and _can_ask() and not asked.yes:
        before = with_store(asking, lambda store: store.load(tracking_id))
        if before is not None and before.state.status == "unknown":
            _confirm("It is not known whether it went out: the customer may get a second message. Send it again?")

    def step(orders: Orders, _: SqliteStore) -> Coroutine[Any, Any, Message]:
        return orders.cancel(tracking_id, cause) if order == "cancel" else orders.resend(tracking_id, cause)

    _tell_one(asking, _ordered(asking, step), is_json=asked.is_json)


def _to_many(asking: Asking, order: Order, asked: _Asked, cause: str) -> None:
    query = query_of(**asked.filters)

    async def look(orders: Orders, store: SqliteStore) -> tuple[int, int]:
        doubtful = await store.matching(query, ("unknown",)) if order == "resend" else ()
        return await orders.count(order, query), len(doubtful)

    count, doubtful = _ordered(asking, look)
    if asked.dry_run:
        click.echo(pretty({"count": count, "dry_run": True}) if asked.is_json else _messages(count))
        return
    if asked.expect is None and not asked.yes and count:
        _agree(order, count, doubtful)
    agreed = None if asked.yes else count  # who agrees to anything agrees also to one more
    expect = agreed if asked.expect is None else asked.expect
    report = _ordered(asking, lambda orders, _: orders.carry_out(order, query, cause, expect=expect))
    _tell_many(order, report, is_json=asked.is_json)


def _agree(order: Order, count: int, doubtful: int) -> None:
    """Somebody has agreed that it is to be done to so many; the command ends if not, or if nobody can be asked."""
    if not _can_ask():
        fail(f"this would {order} {_messages(count)}; nobody can be asked here: say --expect {count}, or --yes")
    if doubtful:
        err.print(
            f"Of {doubtful} of them it is not known whether they went out: these customers may get a second message.",
            style="doubtful",
        )
    _confirm(f"{order.capitalize()} {_messages(count)}?")


def _confirm(question: str) -> None:
    if not click.confirm(question, err=True):
        fail("nothing was done")


def _can_ask() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _tell_one(asking: Asking, message: Message, *, is_json: bool) -> None:
    async def look(store: SqliteStore) -> Any:
        hold_on = await held(store)
        return view(message, now(), await hold_on(message))

    shown = with_store(asking, look)
    if is_json:
        click.echo(pretty(shown))
        return
    event = plain(f"{shown.event.type} {shown.event.id}")
    reason = f", waits for {shown.reason}" if shown.reason else ""
    out.print(f"[{STYLES[shown.status]}]{shown.status}[/]", end="  ")
    out.print(f"{shown.tracking_id}  {event} to {shown.phone}{reason}", markup=False)


def _tell_many(order: Order, report: Report, *, is_json: bool) -> None:
    if is_json:
        click.echo(pretty(report))
    else:
        out.print(f"{_DONE[order]}: {report.done} of {_messages(report.count)}")
        for refusal in report.refused:
            err.print(f"{refusal.tracking_id}  {refusal.code}: {refusal.detail}", markup=False)
        if (more := report.refused_count - len(report.refused)) > 0:
            err.print(f"and {more} more")
    if report.refused_count:
        raise click.exceptions.Exit(1)


def _ordered(asking: Asking, step: Callable[[Orders, SqliteStore], Coroutine[Any, Any, T]]) -> T:
    """What came of an order that was given from here."""
    loaded = asking.load_for_store()
    return with_store(asking, lambda store: step(_orders(loaded, store), store), loaded)


def _orders(loaded: Loaded, store: SqliteStore) -> Orders:
    settings = loaded.settings
    return Orders(
        store,
        lambda: compile_mappings(loaded.mappings, templates=loaded.templates, accounts=settings.accounts),
        now,
        Unheard(),
        lambda _: None,  # who waits in the running gateway looks for itself
        grace=settings.delivery.receipt_grace,
    )


def _by() -> str:
    """Who gives an order from a shell; no caller has such a name."""
    try:
        return f"shell:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # containers run under users that nobody has named
        return f"shell:{os.getuid()}"
