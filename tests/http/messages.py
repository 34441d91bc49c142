"""Messages for the tests of this room."""

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.core.delivery import Category, DeliveryError, Quota, State, ZaloWord
from gateway.core.identity import TrackingId
from gateway.core.message import Message, stored

NOW = datetime(2026, 11, 23, 8, 0, 0, 123000, tzinfo=UTC)


def message(state: State = State.QUEUED, **changes: Any) -> Message:
    """The message of the contract's example, in this state."""
    told: dict[str, Any] = {
        "tracking_id": TrackingId("0c9m3k8q2v7x1n5t4r6w8y0z2b"),
        "caller": "checkout",
        "mode": "live",
        "event_id": "evt-1",
        "event_source": "/checkout",
        "event_type": "order.paid",
        "mapping_version": "sha256:ab",
        "account": "main",
        "template_id": "7895417a7d3f9461cd2e",
        "phone": "84*****4321",
        "priority": "normal",
        "resends": False,
        "ignores_quiet_hours": False,
        "time_limit": timedelta(hours=2),
        "life": timedelta(hours=24),
        "state": state,
        "accepted_at": NOW,
        "expires_at": NOW + timedelta(hours=24),
        "updated_at": NOW,
    }
    return stored(Message(**{**told, **changes}), NOW)


def sent() -> Message:
    """It went out at once."""
    quota = Quota(500, 499)
    return message(State.SENT, attempts=1, msg_id="a4d0243feee163bd3af2", sent_at=NOW, quota=quota)


def failed() -> Message:
    """Zalo refused it for good."""
    error = DeliveryError(
        code="recipient-not-on-zalo",
        category=Category.RECIPIENT,
        detail="Zalo account not existed",
        permanent=True,
        advice="use another channel",
        zalo=ZaloWord(-118, "Zalo account not existed"),
    )
    return message(State.FAILED, attempts=1, error=error)
