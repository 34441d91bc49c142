"""`GET /v1/mappings`: what is in force, for whoever wonders what an event will become."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.core.mapping import Mapping

from . import problems
from .doors import JSON, Doors, Headers


class MappingView(msgspec.Struct, frozen=True):
    """One mapping in force; `templates` are the ids it may choose from, in the order in which they are tried."""

    type: str
    version: str
    summary: str
    owner: str
    account: str
    priority: Literal["urgent", "normal", "bulk"]
    expires_after_seconds: float
    on_unknown: Literal["hold", "resend"]
    quiet_hours: Literal["defer", "ignore"]
    templates: tuple[str, ...]


class BrokenView(msgspec.Struct, frozen=True):
    """Why the files on disk are not what is in force."""

    since: datetime
    faults: tuple[str, ...]


class MappingsView(msgspec.Struct, frozen=True):
    """The set in force, as far as the caller may send it; `broken` is told to operators only."""

    version: str
    since: datetime
    items: tuple[MappingView, ...]
    broken: BrokenView | None


def mappings_handlers(doors: Doors) -> list[HTTPRouteHandler]:
    """The handler of this file."""

    @get("/v1/mappings")
    async def list_mappings(request: Request[Any, Any, Any]) -> Response[bytes]:
        caller = doors.caller_of(Headers(request.scope["headers"]))
        mappings, broken = doors.mappings, doors.mappings.broken
        found = sorted(mappings.in_force.mappings.items())
        shown = MappingsView(
            version=mappings.in_force.version,
            since=mappings.since,
            items=tuple(_view(one) for name, one in found if caller.is_operator or caller.may_send(name)),
            broken=BrokenView(broken.since, broken.faults) if broken is not None and caller.is_operator else None,
        )
        return Response(problems.encode(shown), media_type=JSON)

    return [list_mappings]


def _view(mapping: Mapping) -> MappingView:
    return MappingView(
        type=mapping.event_type,
        version=mapping.version,
        summary=mapping.summary,
        owner=mapping.owner,
        account=mapping.account,
        priority=mapping.priority.value,
        expires_after_seconds=mapping.expires_after.total_seconds(),
        on_unknown=mapping.on_unknown,
        quiet_hours=mapping.quiet_hours,
        templates=tuple(choice.template_id for choice in mapping.choices),
    )
