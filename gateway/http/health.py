"""`/livez`, `/readyz`, `/metrics`: for probes and for the platform team's monitoring."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from litestar import HttpMethod, Request, Response, route
from litestar.handlers import HTTPRouteHandler

from gateway.core.delivery import Reason
from gateway.core.errors import Unavailable
from gateway.core.grant_health import cure_of, old_consent
from gateway.core.hold import Hold
from gateway.mappings import Mappings

from . import problems
from .doors import JSON, Doors

_READ: Final = (HttpMethod.GET, HttpMethod.HEAD)  # probes use either
_PROMETHEUS: Final = "text/plain; version=0.0.4"  # the framework adds the charset


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that events need, or that the platform team should know; only what is `failed` keeps events out."""

    check: str
    status: Literal["ok", "warning", "failed"]
    detail: str | None = None
    since: datetime | None = None
    cure: str | None = None


class Readiness(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether events can be accepted; `checks` are told to whoever asks for them."""

    status: Literal["ok", "failed"]
    checks: list[HealthCheck] | None = None


def live_handler() -> HTTPRouteHandler:
    """The process answers; nothing else is looked at."""

    @route("/livez", http_method=_READ)
    async def livez() -> Response[bytes]:
        return Response(b'{"status":"ok"}', media_type=JSON)

    return livez


def health_handlers(doors: Doors) -> list[HTTPRouteHandler]:
    """The other handlers of this file."""

    @route("/readyz", http_method=_READ)
    async def readyz(request: Request[Any, Any, Any]) -> Response[bytes]:
        checks = await _checks(doors)
        is_ready = all(it.status != "failed" for it in checks)
        told = Readiness("ok" if is_ready else "failed", checks if "verbose" in request.query_params else None)
        return Response(problems.encode(told), media_type=JSON, status_code=200 if is_ready else 503)

    @route("/metrics", http_method=_READ)
    async def metrics() -> Response[bytes]:
        return Response(doors.exposition(), media_type=_PROMETHEUS)

    return [readyz, metrics]


async def _checks(doors: Doors) -> list[HealthCheck]:
    """Each thing that events need, and each thing that the platform team should know: ok, warning or failed."""
    checks: list[HealthCheck] = []
    try:
        await doors.ledger.ping()
        checks.append(HealthCheck(check="store", status="ok"))
    except Unavailable:
        checks.append(HealthCheck(check="store", status="failed", detail="the store does not confirm a change"))
    if doors.intake.is_closed:
        checks.append(HealthCheck(check="accepting", status="failed", detail="the gateway is stopping"))
    checks.append(_check_of_mappings(doors.mappings))
    checks += [
        HealthCheck(
            check=f"callbacks to {caller}",
            status="warning",
            detail=f"not called any more: {disabled.cause}",
            since=disabled.since,
            cure="let it answer 2xx again, then reload: kill -HUP <pid of zns-gateway serve>",
        )
        for caller, disabled in sorted(doors.callbacks.disabled.items())
    ]
    now = doors.clock()
    for name in sorted(doors.accounts):
        checks += _checks_of(doors, name, now)
        checks += [_narrowly_held(hold) for hold in doors.gates.narrow_holds(name, now)]
    return checks


def _check_of_mappings(mappings: Mappings) -> HealthCheck:
    """Whether the set in force is what the files say."""
    in_force = f"{len(mappings.in_force.mappings)} in force"
    if mappings.broken is None:
        return HealthCheck(check="mappings", status="ok", detail=in_force)
    return HealthCheck(
        check="mappings",
        status="warning",
        detail=f"the files cannot be loaded, and the older set stays in force ({in_force}): "
        f"{mappings.broken.detail}",
        since=mappings.broken.since,
        cure="zns-gateway check",
    )


def _held(what: str, hold: Hold) -> HealthCheck:
    detail = f"{hold.reason}: {hold.cause}"
    return HealthCheck(check=what, status="warning", detail=detail, since=hold.since, cure=hold.cure)


def _narrowly_held(hold: Hold) -> HealthCheck:
    """What waits although its account sends."""
    what = f"template {hold.template_id}" if hold.template_id is not None else f"type {hold.event_type}"
    return _held(f"{what} of {hold.account}", hold)


def _checks_of(doors: Doors, account: str, now: datetime) -> Iterator[HealthCheck]:
    """Whether the account sends, and whether it will go on doing so; what is wrong there fails no check."""
    hold = doors.pauses.paused(account) or doors.gates.account_hold(account, now)
    check = f"account {account}"
    if hold is not None:
        yield _held(check, hold)
        if hold.reason is Reason.CREDENTIALS:
            return
        check = f"grant of {account}"  # a pause for another reason must not hide it
    trouble = doors.grants.troubles([account], now)[account]
    grant = doors.grants.grant(account)
    if trouble is not None:
        detail = f"credentials: {trouble.detail}"
        if grant is not None and doors.grants.is_good(grant):
            detail += "; it sends for as long as its access token works"
        cure = cure_of(trouble, account)
        yield HealthCheck(check=check, status="warning", detail=detail, since=trouble.since, cure=cure)
    elif grant is not None and (advice := old_consent(grant, now)) is not None:
        yield HealthCheck(check=check, status="warning", detail=advice)
    elif hold is None:
        yield HealthCheck(check=check, status="ok")
