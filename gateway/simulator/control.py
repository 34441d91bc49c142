"""The calls under `/__sim`: what a test may see and steer. Their errors are honest HTTP errors in JSON."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from gateway.simulator.announce import Announcement, announce
from gateway.simulator.exchange import Asked, Told, told_json
from gateway.simulator.faults import Asked as FaultAsked
from gateway.simulator.faults import Unfit
from gateway.simulator.rules import Rules
from gateway.simulator.zalo import Zalo

T = TypeVar("T")
_NAMED_FIELD: Final = re.compile(r"(?:\$\.|field `)(\w+)")


class ClockAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /__sim/clock`."""

    scale: Annotated[float, Meta(gt=0, le=1_000_000)]


class WebhookAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /__sim/webhook`; null stops the posts."""

    url: str | None


class ExpireAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /__sim/expire`."""

    what: Literal["access", "refresh", "all"] = "access"


def credentials(zalo: Zalo, _asked: Asked) -> Told:
    """All that a client needs, with a fresh grant."""
    return told_json(zalo.credentials())


def ledger(zalo: Zalo, asked: Asked) -> Told:
    """What Zalo would know; `?tracking_id=` narrows it."""
    return told_json(zalo.ledger.told(asked.query().get("tracking_id")))


def show_faults(zalo: Zalo, _asked: Asked) -> Told:
    """The faults that are set."""
    return told_json(zalo.faults.told())


def set_fault(zalo: Zalo, asked: Asked) -> Told:
    """One more fault is set."""
    zalo.faults.add(body_of(asked, FaultAsked))
    return told_json(zalo.faults.told())


def clear_faults(zalo: Zalo, _asked: Asked) -> Told:
    """No fault is set any more."""
    zalo.faults.clear()
    return told_json(zalo.faults.told())


def show_clock(zalo: Zalo, _asked: Asked) -> Told:
    """How fast the simulated time runs."""
    return told_json({"scale": zalo.clock.scale})


def set_clock(zalo: Zalo, asked: Asked) -> Told:
    """Simulated time runs at another pace, for what is already under way too."""
    zalo.clock.rescale(body_of(asked, ClockAsked).scale)
    zalo.deliveries.agenda.on_sooner()
    return show_clock(zalo, asked)


def show_webhook(zalo: Zalo, _asked: Asked) -> Told:
    """Where webhooks go."""
    return told_json({"url": zalo.deliveries.url})


def set_webhook(zalo: Zalo, asked: Asked) -> Told:
    """Webhooks go there from now on."""
    zalo.deliveries.url = webhook_url_of(body_of(asked, WebhookAsked).url)
    return show_webhook(zalo, asked)


def show_rules(zalo: Zalo, _asked: Asked) -> Told:
    """The rules in force."""
    return told_json(zalo.rules)


def set_rules(zalo: Zalo, asked: Asked) -> Told:
    """The rules given have changed, the others have not."""
    given = body_of(asked, dict[str, Any])
    zalo.change_rules(_converted({**msgspec.structs.asdict(zalo.rules), **given}, Rules))
    return show_rules(zalo, asked)


def expire(zalo: Zalo, asked: Asked) -> Told:
    """The access tokens (or the refresh tokens, or all) that are out there have expired."""
    what = body_of(asked, ExpireAsked).what if asked.body.strip() else "access"
    return told_json({"what": what, "expired": zalo.issuer.expire(what)})


def events(zalo: Zalo, asked: Asked) -> Told:
    """Zalo says something of its own accord: the event is on its way, and what it tells of has happened."""
    event = announce(zalo, body_of(asked, cast("type[Announcement]", Announcement)))
    zalo.deliveries.soon(event)
    return told_json({"event_name": event.event_name, "body": event.body.decode(), "to": zalo.deliveries.url})


CALLS: Final[dict[str, dict[str, Callable[[Zalo, Asked], Told]]]] = {
    "/__sim/credentials": {"GET": credentials},
    "/__sim/ledger": {"GET": ledger},
    "/__sim/faults": {"GET": show_faults, "POST": set_fault, "DELETE": clear_faults},
    "/__sim/clock": {"GET": show_clock, "POST": set_clock},
    "/__sim/webhook": {"GET": show_webhook, "POST": set_webhook},
    "/__sim/rules": {"GET": show_rules, "POST": set_rules},
    "/__sim/expire": {"POST": expire},
    "/__sim/events": {"POST": events},
}


def answer(zalo: Zalo, asked: Asked) -> Told:
    """What a call under `/__sim` is told; a body that does not fit is 400 and names the field."""
    by_method = CALLS.get(asked.path)
    if by_method is None:
        return _fault_of_asker(404, None, f"no such call; there are: {', '.join(CALLS)}")
    call = by_method.get(asked.method)
    if call is None:
        return _fault_of_asker(405, None, f"{asked.path} takes {', '.join(by_method)}")
    try:
        return call(zalo, asked)
    except Unfit as unfit:
        return _fault_of_asker(400, unfit.field, unfit.detail)


def body_of(asked: Asked, kind: type[T]) -> T:
    """The body as what it is to be; `Unfit` if it is not."""
    try:
        return _converted(msgspec.json.decode(asked.body), kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        if isinstance(error, Unfit):
            raise
        raise Unfit("", f"the body is not JSON: {error}") from error


def webhook_url_of(url: str | None) -> str | None:
    """The address, if webhooks can go there; `Unfit` if not."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        is_fit = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_fit = False
    if not is_fit or not url.isascii() or not url.isprintable() or " " in url:
        raise Unfit("url", "an absolute http or https address, or null")
    return url


def _converted(given: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        named = _NAMED_FIELD.search(str(error))
        raise Unfit(named[1] if named else "", str(error)) from error


def _fault_of_asker(status: int, field: str | None, detail: str) -> Told:
    return told_json({"error": status, "field": field or None, "detail": detail}, error=None, status=status)
