"""The Ledger: every message, its identity, its letter, the receipts that came, and what is held."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from gateway.core.callback import Callback
from gateway.core.event import Event
from gateway.core.hold import Hold
from gateway.core.identity import Identity, TrackingId
from gateway.core.message import Letter, Message
from gateway.core.news import News
from gateway.core.receipt import Receipt

from .telling import KeptNews


class Stored(msgspec.Struct, frozen=True):
    """The message is in the Ledger, under every name of its identity."""


class Known(msgspec.Struct, frozen=True):
    """The event was here before and says the same: this is its message as it now stands."""

    message: Message


class Conflicting(msgspec.Struct, frozen=True):
    """The identity was used with another event, or its two names are two messages."""

    tracking_id: TrackingId


class Overtaken(msgspec.Struct, frozen=True):
    """Nothing was stored: a receipt for this very message is already here, kept as `receipt_id`."""

    receipt_id: int
    receipt: Receipt


Acceptance = Stored | Known | Conflicting | Overtaken


class KeptReceipt(msgspec.Struct, frozen=True):
    """One receipt as it was stored, before it was worked on."""

    id: int
    account: str
    received_at: datetime
    receipt: Receipt
    body: bytes


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages to list. `updated_after` turns the list into the feed: oldest change first."""

    caller: str | None = None
    status: str | None = None
    event_type: str | None = None
    phone: str | None = None
    event_id: str | None = None
    account: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    updated_after: datetime | None = None
    cursor: str | None = None
    limit: int = 100


class Page(msgspec.Struct, frozen=True):
    """One page of a list, and where the next one begins."""

    items: tuple[Message, ...]
    next_cursor: str | None


class Depth(msgspec.Struct, frozen=True):
    """How many messages of one account and priority are queued, and since when the oldest."""

    account: str
    priority: str
    count: int
    oldest: datetime


class Ledger(Protocol):
    """Every message, its identity, its letter, the receipts that came, what is held and what Zalo told.

    A caller that asked to be told is told of each change of a message's status, and that it will be is stored with
    the change, by `accept` and `save`.
    """

    async def accept(
        self, message: Message, letter: Letter, identity: Identity, *, despite: int | None = None
    ) -> Acceptance:
        """The message is stored, unless its identity is known or a receipt for it is (but `despite`, which is dropped)."""

    async def known(self, identity: Identity, event: Event) -> Known | Conflicting | None:
        """What `accept` would say of this event's identity, or None if it is new; stores nothing."""

    async def save(self, message: Message, *, expected: int, letter: Letter | None = None) -> bool:
        """The message has replaced the one whose version was `expected`; False, and no change, if there is none.

        So has its letter, if there is a new one: it is found by that one's phone then.
        """

    async def load(self, tracking_id: str) -> Message | None:
        """The message as it now stands."""

    async def letter(self, tracking_id: str) -> Letter | None:
        """What is confidential of the message, or None if there is no such message."""

    async def find(self, query: Query) -> Page:
        """One page of messages; raises InvalidRequest for a cursor that is not one of ours."""

    async def matching(self, query: Query, statuses: Collection[str]) -> Sequence[TrackingId]:
        """Every message of these statuses that the query's filters leave, oldest first; its limit and cursor do not count."""

    async def due(self, account: str, now: datetime, *, held: Collection[Hold], limit: int) -> Sequence[Message]:
        """Queued messages whose time has come and that no hold covers, urgent ones first, then the longest due."""

    async def overdue(self, now: datetime, limit: int, *, under: Hold | None = None) -> Sequence[Message]:
        """Queued messages whose time has passed by `now`, the longest past first; only those that `under` covers."""

    async def stalled(self, now: datetime, limit: int) -> Sequence[Message]:
        """Messages with an attempt still open whose lease has lapsed, or whose process on this machine is dead."""

    async def silent(self, account: str, now: datetime, limit: int) -> Sequence[Message]:
        """The account's messages whose `ask_at` has come, the longest due first."""

    async def depths(self) -> Sequence[Depth]:
        """How much is queued."""

    async def put_hold(self, hold: Hold) -> None:
        """The hold is in force, in place of an older one on the same."""

    async def drop_hold(self, key: str) -> None:
        """Nothing is held under this key."""

    async def holds(self) -> Sequence[Hold]:
        """Every hold in force."""

    async def pauses(self) -> Mapping[str, Hold]:
        """By account, the pause that operators were last told of; an account that they think sends is not there."""

    async def note_pause(
        self, account: str, hold: Hold | None, *, before: Hold | None, callbacks: Sequence[Callback]
    ) -> bool:
        """Operators will be told by these callbacks; False, and no change, if `before` is not what they were told last."""

    async def keep_receipt(self, account: str, received_at: datetime, receipt: Receipt, body: bytes) -> int:
        """The receipt is stored with the webhook's raw body, to be worked on; its number."""

    async def receipts(self, limit: int) -> Sequence[KeptReceipt]:
        """Stored receipts that have not been worked on, oldest first."""

    async def match(self, account: str, receipt: Receipt) -> Message | None:
        """The account's message that a receipt speaks of: by tracking_id, else by msg_id."""

    async def settle_receipt(self, receipt_id: int, *, is_matched: bool) -> None:
        """The receipt has been worked on: forgotten if it was matched, else kept for its message to turn up."""

    async def keep_news(
        self, account: str, received_at: datetime, news: News, body: bytes, callbacks: Sequence[Callback]
    ) -> bool:
        """The news is stored with the raw body, and operators will be told; False, and no change, if it was here before."""

    async def news(self, limit: int) -> Sequence[KeptNews]:
        """What Zalo told last, newest first, but for events that change nothing here."""

    async def sweep(self, now: datetime, *, final_before: datetime, receipts_before: datetime) -> int:
        """What has outlived its retention is gone; how much that was."""

    async def ping(self) -> None:
        """The store has just confirmed a change; raises Unavailable if it could not."""

    async def aclose(self) -> None:
        """The store is closed; what was promised is safe."""
