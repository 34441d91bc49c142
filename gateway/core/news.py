"""News: what Zalo tells of an account beside receipts. Nothing here moves a message."""

from datetime import datetime
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What a piece of news is about."""

    TEMPLATE_STATUS = "template-status"
    TEMPLATE_QUALITY = "template-quality"
    QUOTA = "quota"
    FEEDBACK = "feedback"
    OTHER = "other"  # an event that changes nothing here, kept as it came


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that Zalo said, once however often it repeats it: `key` tells it from every other of its account.

    `at` is Zalo's time, if sane. `subject` is the template's id, the rated message's msg_id, the event's name of an
    OTHER, or empty. `note` is in somebody's own words: why a template was refused, or what a customer wrote.
    """

    kind: Kind
    key: str
    at: datetime | None = None
    subject: str = ""
    tracking_id: str | None = None
    before: str | None = None
    after: str | None = None
    note: str = ""
