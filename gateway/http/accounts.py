"""`/v1/accounts`: how each Official Account is, and stop and go. For operators."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from gateway.core.errors import InvalidRequest, NotFound, clip
from gateway.core.grant_health import GrantHealth, health_of
from gateway.core.hold import Hold
from gateway.core.mapping_faults import nearest_to
from gateway.core.news import Kind
from gateway.core.orders import signed
from gateway.ports import Depth, KeptNews

from . import problems
from .bodies import of_member, operator_of, read_as
from .doors import JSON, Doors

_MOST_NEWS: Final = 1000  # of all accounts together
_SHOWN_NEWS: Final = 20


class QuotaView(msgspec.Struct, frozen=True):
    """The daily quota as Zalo last told it; null where it has not."""

    daily: int | None = None
    remaining: int | None = None
    as_of: datetime | None = None


class QueueView(msgspec.Struct, frozen=True):
    """How many messages wait, in all and by priority, and since when the oldest."""

    count: int
    oldest: datetime | None
    urgent: int
    normal: int
    bulk: int


class PausedView(msgspec.Struct, frozen=True):
    """Why nothing is sent, since when, and what cures it; `until` where it ends by itself."""

    reason: str
    since: datetime
    until: datetime | None
    cause: str
    cure: str


class HeldView(msgspec.Struct, frozen=True):
    """The same for one template or one event type of an account that sends."""

    template_id: str | None
    type: str | None
    reason: str
    since: datetime
    until: datetime | None
    cause: str
    cure: str


class NewsView(msgspec.Struct, frozen=True):
    """One thing that Zalo told of the account: of a template, the quota, or a customer's rating (`after`)."""

    at: datetime
    kind: str
    subject: str
    before: str | None
    after: str | None
    note: str


class AccountView(msgspec.Struct, frozen=True):
    """One Official Account. `held` is what waits although the account sends; `news` is what Zalo told last."""

    account: str
    token: GrantHealth
    quota: QuotaView
    queue: QueueView
    paused: PausedView | None
    held: tuple[HeldView, ...]
    news: tuple[NewsView, ...]


class AccountList(msgspec.Struct, frozen=True):
    """Every account of the configuration."""

    items: tuple[AccountView, ...]


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stops or goes: the whole account, or only one template or one event type of it."""

    template_id: str | None = None
    type: str | None = None
    note: str | None = None

    def covers_exactly(self, hold: Hold) -> bool:
        """True if this is what the hold is on, no more and no less."""
        return (self.template_id, self.type) == (hold.template_id, hold.event_type)


def accounts_handlers(doors: Doors) -> list[HTTPRouteHandler]:
    """The handlers of this file."""

    @get("/v1/accounts")
    async def list_accounts(request: Request[Any, Any, Any]) -> Response[bytes]:
        operator_of(doors, request)
        return _answer(AccountList(await _views(doors, sorted(doors.accounts))))

    @post("/v1/accounts/{account:str}/pause", status_code=200)
    async def pause(request: Request[Any, Any, Any], account: Annotated[str, Parameter()]) -> Response[bytes]:
        caller = operator_of(doors, request)
        _check_account(doors, account)
        asked = await read_as(request, Pause)
        _check_target(doors, account, asked)
        by = signed(caller.name, asked.note)
        await doors.pauses.pause(account, by=by, template_id=asked.template_id, event_type=asked.type)
        return _answer((await _views(doors, [account]))[0])

    @post("/v1/accounts/{account:str}/resume", status_code=200)
    async def resume(request: Request[Any, Any, Any], account: Annotated[str, Parameter()]) -> Response[bytes]:
        caller = operator_of(doors, request)
        _check_account(doors, account)
        asked = await read_as(request, Pause)
        if not any(asked.covers_exactly(it) for it in doors.gates.holds(account)):
            _check_target(doors, account, asked)
        by = signed(caller.name, asked.note)
        await doors.pauses.resume(account, by=by, template_id=asked.template_id, event_type=asked.type)
        return _answer((await _views(doors, [account]))[0])

    return [list_accounts, pause, resume]


def _answer(shown: object) -> Response[bytes]:
    return Response(problems.encode(shown), media_type=JSON)


def _check_account(doors: Doors, account: str) -> None:
    if account not in doors.accounts:
        raise NotFound(f"there is no account {clip(account)}; {nearest_to(account, doors.accounts)}")


def _check_target(doors: Doors, account: str, asked: Pause) -> None:
    """What is paused is something that mappings in force use: a slip in a name would pause nothing, and say it did."""
    if asked.template_id is not None and asked.type is not None:
        raise InvalidRequest("give `template_id` or `type`, not both")
    mappings = [it for it in doors.mappings.in_force.mappings.values() if it.account == account]
    types = {mapping.event_type for mapping in mappings}
    templates = {choice.template_id for mapping in mappings for choice in mapping.choices}
    for name, given, known in (("type", asked.type, types), ("template_id", asked.template_id, templates)):
        if given is not None and given not in known:
            raise of_member(name, f"is used by no mapping of account {account}; {nearest_to(given, known)}")


async def _views(doors: Doors, accounts: Iterable[str]) -> tuple[AccountView, ...]:
    depths, news = await doors.ledger.depths(), await doors.ledger.news(_MOST_NEWS)
    return tuple(_view(doors, account, depths, news) for account in accounts)


def _view(doors: Doors, account: str, depths: Iterable[Depth], news: Iterable[KeptNews]) -> AccountView:
    now = doors.clock()
    grant = doors.grants.grant(account)
    hold = doors.pauses.paused(account)
    quota = doors.quotas.known(account)
    return AccountView(
        account=account,
        token=health_of(account, grant, doors.grants.trouble(account, now), now),
        quota=QuotaView() if quota is None else QuotaView(quota.daily, quota.remaining, quota.as_of),
        queue=_queue([depth for depth in depths if depth.account == account]),
        paused=None if hold is None else PausedView(hold.reason, hold.since, hold.until, hold.cause, hold.cure),
        held=tuple(_held(it) for it in doors.gates.narrow_holds(account, now)),
        news=tuple(_told(it) for it in [it for it in news if it.account == account][:_SHOWN_NEWS]),
    )


def _queue(depths: list[Depth]) -> QueueView:
    counts = {depth.priority: depth.count for depth in depths}
    oldest = min((depth.oldest for depth in depths), default=None)
    return QueueView(
        sum(counts.values()), oldest, counts.get("urgent", 0), counts.get("normal", 0), counts.get("bulk", 0)
    )


def _held(hold: Hold) -> HeldView:
    return HeldView(hold.template_id, hold.event_type, hold.reason, hold.since, hold.until, hold.cause, hold.cure)


def _told(kept: KeptNews) -> NewsView:
    news = kept.news
    # What a customer wrote goes to those who asked for it, by callback, and is not shown to whoever looks here.
    note = "" if news.kind is Kind.FEEDBACK else news.note
    return NewsView(news.at or kept.received_at, news.kind, news.subject, news.before, news.after, note)
