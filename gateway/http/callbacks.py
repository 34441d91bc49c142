"""`POST /v1/callbacks/replay`: callbacks are posted to their callers once more."""

from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler

from gateway.core.caller import Caller
from gateway.core.errors import Forbidden, InvalidRequest
from gateway.ports import Replay

from . import problems
from .bodies import Time, of_member, read_as
from .doors import JSON, Doors, Headers
from .query import read_moment

MOST_IDS: Final = 1000
_ONE_FORM: Final = "give `ids`, or `since` and `until`: one of the two"

CallbackId = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which callbacks to post once more: `ids` (each a `webhook-id`), or those made from `since` on and before `until`.

    `caller` is for operators: only that one's; without it those of all callers.
    """

    ids: Annotated[tuple[CallbackId, ...], msgspec.Meta(min_length=1, max_length=MOST_IDS)] | None = None
    since: Time | None = None
    until: Time | None = None
    caller: str | None = None


class ReplayView(msgspec.Struct, frozen=True):
    """How many callbacks are posted once more."""

    count: int


def callbacks_handlers(doors: Doors) -> list[HTTPRouteHandler]:
    """The handler of this file."""

    @post("/v1/callbacks/replay", status_code=202)
    async def replay(request: Request[Any, Any, Any]) -> Response[bytes]:
        caller = doors.caller_of(Headers(request.scope["headers"]))
        count = await doors.callbacks.replay(_meant(await read_as(request, ReplayRequest), caller))
        return Response(problems.encode(ReplayView(count)), status_code=202, media_type=JSON)

    return [replay]


def _meant(asked: ReplayRequest, caller: Caller) -> Replay:
    """What is asked for, narrowed to what the caller may see; raises InvalidRequest or Forbidden."""
    owner = asked.caller if caller.is_operator else caller.name
    if asked.caller not in (None, owner):
        raise Forbidden("`caller` is for operators; without it your own callbacks are posted once more")
    has_time = asked.since is not None and asked.until is not None
    if (asked.since is None) != (asked.until is None) or has_time == (asked.ids is not None):
        raise InvalidRequest(_ONE_FORM)
    if asked.ids is not None:
        return Replay(caller=owner, ids=tuple(dict.fromkeys(asked.ids)))
    since, until = (read_moment(it, getattr(asked, it), of_member) for it in ("since", "until"))
    if since is not None and until is not None and since >= until:
        raise of_member("until", "must be later than `since`")
    return Replay(caller=owner, since=since, until=until)
