"""A made-up message, for tests that are about one or two of its fields."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from gateway.core.delivery import State
from gateway.core.identity import TrackingId
from gateway.core.message import Message, stored


def make_queued(accepted_at: datetime, **changes: Any) -> Message:
    """A message of checkout's that was accepted at that moment, and is due at once."""
    life = changes.get("life", timedelta(hours=24))
    made = Message(
        tracking_id=TrackingId("t" * 26),
        caller="checkout",
        mode="live",
        event_id="evt-1",
        event_source="/checkout",
        event_type="order.paid",
        mapping_version="sha256:0",
        account="main",
        template_id="tpl-1",
        phone="84*****5678",
        priority="normal",
        resends=False,
        ignores_quiet_hours=False,
        time_limit=timedelta(hours=2),
        life=life,
        state=State.QUEUED,
        accepted_at=accepted_at,
        updated_at=accepted_at,
        expires_at=accepted_at + life,
    )
    return stored(msgspec.structs.replace(made, **changes), accepted_at)
