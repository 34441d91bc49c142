"""What Zalo says of its own accord, on demand: changes of templates and quotas, ratings, tests."""

from typing import Any, assert_never

import msgspec

from gateway.simulator.faults import Unfit
from gateway.simulator.ledger import Message
from gateway.simulator.rules import Natural
from gateway.simulator.templates import Quality, Status, Template
from gateway.simulator.webhooks import Event
from gateway.simulator.zalo import Rating, Zalo


class TemplateStatus(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="template_status", tag_field="event"
):
    """A template gets another status, and `change_template_status` tells."""

    template_id: str
    new_status: Status
    reason: str = ""


class TemplateQuality(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="template_quality", tag_field="event"
):
    """A template gets another quality, and `change_template_quality` tells."""

    template_id: str
    quality: Quality


class DailyQuota(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="daily_quota", tag_field="event"):
    """The OA gets another daily quota, and `change_oa_daily_quota` tells."""

    value: Natural


class Rated(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="rating", tag_field="event"):
    """A customer rates a message, and `user_feedback` tells; `/rating/get` shows it."""

    rate: int
    msg_id: str | None = None
    tracking_id: str | None = None
    note: str = ""
    feedbacks: list[str] = []


class Clicked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="button", tag_field="event"):
    """A customer presses a quick-reply button, and `user_click_response_button` tells."""

    data: str
    msg_id: str | None = None
    tracking_id: str | None = None


class ConsoleTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="test", tag_field="event"):
    """Somebody presses the console's test button: `user_send_text`, signed."""


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="probe", tag_field="event"):
    """Somebody saves the webhook address in the console: an unsigned `{}`."""


class Raw(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="raw", tag_field="event"):
    """Any event: the members given, and a timestamp, signed."""

    members: dict[str, Any]


Announcement = TemplateStatus | TemplateQuality | DailyQuota | Rated | Clicked | ConsoleTest | Probe | Raw


def announce(zalo: Zalo, said: Announcement) -> Event:
    """What is told of has happened; the event that tells of it is given back, and not yet posted."""
    match said:
        case TemplateStatus():
            event = _template_status(zalo, said)
        case TemplateQuality():
            event = _template_quality(zalo, said)
        case DailyQuota():
            event = _daily_quota(zalo, said)
        case Rated():
            event = _rated(zalo, said)
        case Clicked():
            event = _clicked(zalo, said)
        case ConsoleTest():
            event = _console_test(zalo)
        case Probe():
            event = Event(b"{}", None, "", "OA OpenAPI")
        case Raw():
            event = _signed(zalo, said.members)
        case _:
            assert_never(said)
    return event


def _signed(zalo: Zalo, members: dict[str, Any], **more: Any) -> Event:
    return zalo.deliveries.signer.event(members, zalo.clock.wall(), **more)


def _ids(zalo: Zalo) -> dict[str, str]:
    signer = zalo.deliveries.signer
    return {"oa_id": signer.oa_id, "app_id": signer.app_id}


def _template(zalo: Zalo, template_id: str) -> Template:
    if template_id not in zalo.templates:
        raise Unfit("template_id", f"no such template; there are: {', '.join(zalo.templates)}")
    return zalo.templates[template_id]


def _template_status(zalo: Zalo, said: TemplateStatus) -> Event:
    before = _template(zalo, said.template_id)
    zalo.templates[said.template_id] = msgspec.structs.replace(
        before, status=said.new_status, reason=said.reason or None
    )
    members = {
        "event_name": "change_template_status",
        **_ids(zalo),
        "template_id": said.template_id,
        "status": {"prev_status": before.status, "new_status": said.new_status},
        "reason": said.reason,
    }
    return _signed(zalo, members)


def _template_quality(zalo: Zalo, said: TemplateQuality) -> Event:
    before = _template(zalo, said.template_id)
    zalo.templates[said.template_id] = msgspec.structs.replace(before, quality=said.quality)
    members = {
        "event_name": "change_template_quality",
        **_ids(zalo),
        "template_id": said.template_id,
        "quality": said.quality,
    }
    return _signed(zalo, members)


def _daily_quota(zalo: Zalo, said: DailyQuota) -> Event:
    before = zalo.rules.daily_quota
    zalo.change_rules(msgspec.structs.replace(zalo.rules, daily_quota=said.value))
    members = {
        "event_name": "change_oa_daily_quota",
        "oaId": _ids(zalo)["oa_id"],
        "quota": {"prev_value": before, "new_value": said.value},
        "app_id": _ids(zalo)["app_id"],
    }
    return _signed(zalo, members)


def _message(zalo: Zalo, msg_id: str | None, tracking_id: str | None) -> Message:
    for message in reversed(zalo.ledger.messages.values()):
        if msg_id == message.msg_id or (msg_id is None and tracking_id == message.tracking_id is not None):
            return message
    raise Unfit("msg_id" if msg_id else "tracking_id", "no accepted message has it")


def _rated(zalo: Zalo, said: Rated) -> Event:
    if not 1 <= said.rate <= 5:
        raise Unfit("rate", "an integer from 1 to 5")
    message = _message(zalo, said.msg_id, said.tracking_id)
    submit_ms = int(zalo.clock.wall() * 1000)
    tracking_id = message.tracking_id or ""
    zalo.ratings.append(
        Rating(message.template_id, message.msg_id, tracking_id, said.rate, said.note, said.feedbacks, submit_ms)
    )
    members = {
        "event_name": "user_feedback",
        **_ids(zalo),
        "message": {
            "rating_type": "csat",
            "option": "five_emotions",
            "note": said.note,
            "rate": said.rate,
            "submit_time": str(submit_ms),
            "msg_id": message.msg_id,
            "feedbacks": said.feedbacks,
            "tracking_id": tracking_id,
        },
    }
    return _signed(zalo, members, msg_id=message.msg_id, tracking_id=message.tracking_id)


def _clicked(zalo: Zalo, said: Clicked) -> Event:
    message = _message(zalo, said.msg_id, said.tracking_id)
    members = {
        "event_name": "user_click_response_button",
        **_ids(zalo),
        "msg_id": message.msg_id,
        "message": {
            "submit_time": str(int(zalo.clock.wall() * 1000)),
            "button_type": "response",
            "data": said.data,
            "tracking_id": message.tracking_id or "",
        },
    }
    return _signed(zalo, members, msg_id=message.msg_id, tracking_id=message.tracking_id)


def _console_test(zalo: Zalo) -> Event:
    members = {
        "event_name": "user_send_text",
        "app_id": _ids(zalo)["app_id"],
        "sender": {"id": "1000000000000000001"},
        "recipient": {"id": _ids(zalo)["oa_id"]},
        "message": {"text": "This is testing message", "msg_id": "This is message id"},
    }
    return _signed(zalo, members, server="OA OpenAPI")
