"""Who is who among events: the tracking_id, and when two events are the same one.

Everything here is derived without any secret, so that any replica, after any loss, comes to the same answer.
"""

import hashlib
from typing import Any, Final, NewType

import msgspec

from .event import Event

TrackingId = NewType("TrackingId", str)

_LENGTH: Final = 26  # 104 bits in hex; Zalo recommends at most 48 characters without special ones
_encode = msgspec.json.Encoder(order="sorted").encode
_FIRST_TOO_LARGE: Final = 2.0**64


class Identity(msgspec.Struct, frozen=True):
    """The names under which one event is known. `by_key` is there when the caller gave an `Idempotency-Key`."""

    by_event: TrackingId
    by_key: TrackingId | None = None

    @property
    def tracking_id(self) -> TrackingId:
        """What the message is called: by the caller's key if there is one."""
        return self.by_event if self.by_key is None else self.by_key

    @property
    def names(self) -> tuple[TrackingId, ...]:
        """Every name, the tracking_id first."""
        return (self.by_event,) if self.by_key is None else (self.by_key, self.by_event)


def identify(*, mode: str, caller: str, event: Event, key: str | None = None) -> Identity:
    """The Identity of `event`, the same on any replica at any time."""
    return Identity(
        by_event=_derive("event", mode, caller, event.source, event.id),
        by_key=None if key is None else _derive("key", mode, caller, key),
    )


def _derive(*parts: str) -> TrackingId:
    # JSON keeps the parts apart: ("a", "bc") and ("ab", "c") are two identities.
    return TrackingId(hashlib.sha256(_encode(parts)).hexdigest()[:_LENGTH])


def canonical(event: Event) -> bytes:
    """The bytes that are equal exactly when two events say the same: `type`, and `data` compared as JSON.

    Member order does not count, numbers count by value, `true` is not 1, strings go by code point.
    """
    return _encode([event.type, _by_value(event.data)])


def _by_value(value: Any) -> Any:
    """`value` with every whole number written as an integer, wherever it stands."""
    if isinstance(value, dict):
        return {name: _by_value(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_by_value(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _FIRST_TOO_LARGE:
        return int(value)
    return value
