"""An Event that is filled by its Mapping becomes a Message: as it is accepted, and as it is sent again."""

from collections.abc import Mapping as Dict
from datetime import datetime, timedelta

from .delivery import State
from .event import Event
from .identity import TrackingId
from .mapping import Mapping, Skipped, fill
from .message import DEFAULT_TIME_LIMIT, Letter, Message, Mode, stored
from .phone import mask
from .template import Template


def born(
    event: Event,
    mapping: Mapping,
    templates: Dict[str, Template],
    *,
    tracking_id: TrackingId,
    caller: str,
    mode: Mode,
    now: datetime,
    grace: timedelta,
) -> tuple[Message, Letter]:
    """The event's message, queued or skipped, and what is confidential of it; raises what `fill` refuses.

    `grace` is how long after the template's time limit a missing receipt is waited for.
    """
    filled = fill(mapping, event)
    sends = None if isinstance(filled, Skipped) else filled
    template = None if sends is None else templates.get(sends.template_id)
    not_before = None if sends is None else sends.not_before
    message = Message(
        tracking_id=tracking_id,
        caller=caller,
        mode=mode,
        event_id=event.id,
        event_source=event.source,
        event_type=event.type,
        mapping_version=mapping.version,
        account=mapping.account,
        template_id=None if sends is None else sends.template_id,
        phone=None if sends is None else mask(sends.phone),
        priority=mapping.priority.value,
        resends=mapping.on_unknown == "resend",
        ignores_quiet_hours=mapping.quiet_hours == "ignore",
        time_limit=(None if template is None else template.timeout) or DEFAULT_TIME_LIMIT,
        life=mapping.expires_after,
        grace=grace,
        state=State.SKIPPED if sends is None else State.QUEUED,
        accepted_at=now,
        updated_at=now,
        not_before=not_before,
        expires_at=max(now, not_before or now) + mapping.expires_after,
    )
    letter = Letter(event) if sends is None else Letter(event, sends.phone, sends.template_data, sends.secret)
    return stored(message, now, cause="no template's `when` held" if sends is None else None), letter
