"""How the commands on messages find them: the filters, the store, and what a message found there waits for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import click

from gateway.config import Loaded
from gateway.core.caller import Caller
from gateway.core.delivery import Reason
from gateway.core.grant_health import cure_of_credentials
from gateway.core.hold import Hold
from gateway.core.message import Message
from gateway.http.query import read_query
from gateway.ports import Query
from gateway.storage import SqliteStore

from .completion import callers, statuses, types
from .terminal import Asking, now

T = TypeVar("T")
_OPERATOR: Final = Caller("operator", is_operator=True)
_FILTERS: Final = (
    click.option("--status", shell_complete=statuses, help="Where they stand: sent, delivered, failed, …"),
    click.option("--type", shell_complete=types, help="The event type."),
    click.option("--phone", help="A phone number, in any form."),
    click.option("--event-id", help="The event's id, as its caller gave it."),
    click.option("--caller", shell_complete=callers, help="Who sent the event."),
    click.option("--since", help="Accepted at or after this time, such as 2026-11-23T08:00:00Z."),
    click.option("--until", help="Accepted before this time."),
)


def with_filters(command: Any) -> Any:
    """The command also takes the options that say which messages are meant."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def query_of(**asked: str | None) -> Query:
    """What the options ask for; raises UsageError."""
    return read_query({name: value for name, value in asked.items() if value is not None}, _OPERATOR, _misused)


def _misused(name: str, what: str) -> Exception:
    return click.UsageError(f"--{name} {what}")


def with_store(asking: Asking, ask: Callable[[SqliteStore], Awaitable[T]], loaded: Loaded | None = None) -> T:
    """What the store answered; it is closed again."""

    async def asked() -> T:
        store = await asking.open_store(loaded, must_exist=True)
        try:
            return await ask(store)
        finally:
            await store.aclose()

    return asyncio.run(asked())


async def held(store: SqliteStore) -> Callable[[Message], Awaitable[Hold | None]]:
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
