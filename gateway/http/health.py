"""`/livez`, `/readyz`, `/metrics`: for probes and for the platform team's monitoring."""

from datetime import datetime
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.core.errors import Unavailable
from gateway.gates import cure_of_credentials

from . import problems
from .doors import JSON, Doors

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def live_handler() -> HTTPRouteHandler:
    """The process answers; nothing else is looked at."""

    @get("/livez")
    async def livez() -> Response[bytes]:
        return Response(b'{"status":"ok"}', media_type=JSON)

    return livez


def health_handlers(doors: Doors) -> list[HTTPRouteHandler]:
    """The other handlers of this file."""

    @get("/readyz")
    async def readyz(request: Request[Any, Any, Any]) -> Response[bytes]:
        checks = await _checks(doors)
        is_ready = all(check["status"] != "failed" for check in checks)
        body: dict[str, Any] = {"status": "ok" if is_ready else "failed"}
        if "verbose" in request.query_params:
            body["checks"] = checks
        return Response(problems.encode(body), media_type=JSON, status_code=200 if is_ready else 503)

    @get("/metrics")
    async def metrics() -> Response[bytes]:
        return Response(doors.exposition(), media_type=_PROMETHEUS)

    return [readyz, metrics]


async def _checks(doors: Doors) -> list[dict[str, Any]]:
    """Each thing that events need, and each thing that the platform team should know: ok, warning or failed."""
    checks: list[dict[str, Any]] = []
    try:
        await doors.ledger.ping()
        checks.append({"check": "store", "status": "ok"})
    except Unavailable:
        checks.append({"check": "store", "status": "failed", "detail": "the store does not confirm a change"})
    if doors.intake.is_closed:
        checks.append({"check": "accepting", "status": "failed", "detail": "the gateway is stopping"})
    mapping_set = doors.mappings()
    checks.append({"check": "mappings", "status": "ok", "detail": f"{len(mapping_set.mappings)} in force"})
    now = doors.clock()
    accounts = ({"check": f"account {name}", **_health_of(doors, name, now)} for name in sorted(doors.accounts))
    return [*checks, *accounts]


def _health_of(doors: Doors, account: str, now: datetime) -> dict[str, Any]:
    """Whether the account sends, and whether it will go on doing so; what is wrong there fails no check."""
    hold = doors.gates.account_hold(account, now)
    if hold is not None:
        return {
            "status": "warning",
            "detail": f"{hold.reason}: {hold.cause}",
            "since": hold.since,
            "cure": hold.cure,
        }
    trouble = doors.trouble(account)
    if trouble is not None and trouble.is_final:
        told = {"detail": f"credentials: {trouble.detail}; it sends for as long as its access token works"}
        return {"status": "warning", **told, "since": trouble.since, "cure": cure_of_credentials(account)}
    return {"status": "ok"}
