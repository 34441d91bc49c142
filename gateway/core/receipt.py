"""A Receipt: Zalo's later word that a message is on the phone."""

from datetime import datetime

import msgspec


class Receipt(msgspec.Struct, frozen=True):
    """One message was delivered. At least one of the two ids is there; `delivered_at` is Zalo's time, if sane."""

    msg_id: str | None
    tracking_id: str | None
    delivered_at: datetime | None
