"""The Ledger, the Outbox and the Vault in plain dictionaries: what the other keepers are compared with, and what tests of flows use.

Nothing here is fast, durable or sealed; it is meant to be seen to be right.
"""
# ruff: noqa: D102 - what each operation promises is said once, in gateway/ports

from collections.abc import Callable, Collection, Iterable, Sequence
from copy import deepcopy
from datetime import datetime
from itertools import count

import msgspec

from gateway.core.event import Event
from gateway.core.hold import Hold
from gateway.core.identity import Identity, TrackingId, canonical
from gateway.core.message import Letter, Message
from gateway.core.receipt import Receipt
from gateway.ports import Acceptance, Conflicting, Depth, KeptReceipt, Known, Overtaken, Page, Query, Stored

from .memory_outbox import MemoryOutbox
from .memory_vault import MemoryVault
from .records import MAX_ORPHANS, RANKS, check_feed_position, cursor_position


class _Row(msgspec.Struct):
    """One message: `seq` is its place in the order of acceptance, `changed` that of its newest change."""

    message: Message
    letter: Letter
    seq: int
    changed: int


class _Name(msgspec.Struct, frozen=True):
    """Which message a name of an identity names, and what the event said."""

    tracking_id: str
    told: bytes


class MemoryStore(MemoryVault, MemoryOutbox):
    """Keeps the Ledger, the Outbox and the Vault for as long as the process lives; `told` are the callers with a callback."""

    def __init__(
        self,
        is_dead: Callable[[str], bool] = lambda _: False,
        *,
        owner: str = "memory",
        told: Collection[str] = (),
        max_orphans: int = MAX_ORPHANS,
    ) -> None:
        MemoryVault.__init__(self, is_dead)
        MemoryOutbox.__init__(self, told)
        self.owner = owner
        self._max_orphans = max_orphans
        self._numbers = count(1)
        self._newest = 0  # the number of the newest change, which may have been swept
        self._rows: dict[str, _Row] = {}
        self._names: dict[str, _Name] = {}
        self._holds: dict[str, Hold] = {}
        self._receipts: dict[int, KeptReceipt] = {}
        self._orphans: set[int] = set()

    # -- messages --

    async def accept(
        self, message: Message, letter: Letter, identity: Identity, *, despite: int | None = None
    ) -> Acceptance:
        known = await self.known(identity, letter.event)
        if isinstance(known, Conflicting):
            return known
        if known is None:
            if despite is None:
                for kept in self._receipts.values():
                    if _speaks_of(kept, message.account, tracking_id=message.tracking_id):
                        return Overtaken(kept.id, kept.receipt)
            number = self._newest = next(self._numbers)
            self._rows[message.tracking_id] = _Row(message, deepcopy(letter), number, number)
            if despite is not None:
                self._forget_receipt(despite)
                self._renew_receipts(message)
            self._announce(message, None)
        tracking_id = message.tracking_id if known is None else known.message.tracking_id
        for name in identity.names:
            self._names[name] = _Name(tracking_id, canonical(letter.event))
        return Stored() if known is None else known

    async def known(self, identity: Identity, event: Event) -> Known | Conflicting | None:
        self._check()
        found = [self._names[name] for name in identity.names if name in self._names]
        if not found:
            return None
        message = self._rows[found[0].tracking_id].message
        if any(name != _Name(message.tracking_id, canonical(event)) for name in found):
            return Conflicting(message.tracking_id)
        return Known(message)

    async def save(self, message: Message, *, expected: int, letter: Letter | None = None) -> bool:
        self._check()
        row = self._rows.get(message.tracking_id)
        if row is None or row.message.version != expected:
            return False
        before, row.message = row.message, message
        row.changed = self._newest = next(self._numbers)
        row.letter = row.letter if letter is None else deepcopy(letter)
        self._announce(message, before.state.status)
        self._renew_receipts(message)
        return True

    async def load(self, tracking_id: str) -> Message | None:
        self._check()
        row = self._rows.get(tracking_id)
        return None if row is None else row.message

    async def letter(self, tracking_id: str) -> Letter | None:
        self._check()
        row = self._rows.get(tracking_id)
        return None if row is None else deepcopy(row.letter)

    async def find(self, query: Query) -> Page:
        self._check()
        position = cursor_position(query)
        if query.updated_after is None:
            rows = sorted(self._rows.values(), key=lambda row: -row.seq)
            rest = [row for row in rows if (position is None or row.seq < position) and _is_wanted(row, query)]
            page = rest[: query.limit]
            return Page(
                tuple(row.message for row in page), f"s{page[-1].seq}" if len(rest) > query.limit else None
            )
        rows = sorted(self._rows.values(), key=lambda row: row.changed)
        check_feed_position(position, self._newest)
        if position is None:
            later = [row.changed for row in rows if row.message.updated_at > query.updated_after]
            position = later[0] - 1 if later else self._newest
        rest = [row for row in rows if row.changed > position and _is_wanted(row, query)]
        page = rest[: query.limit]
        end = page[-1].changed if len(rest) > query.limit else self._newest
        return Page(tuple(row.message for row in page), f"c{end}")

    async def matching(self, query: Query, statuses: Collection[str]) -> Sequence[TrackingId]:
        self._check()
        after = query.updated_after
        return [
            row.message.tracking_id
            for row in self._rows.values()
            if row.message.state.status in statuses
            and _is_wanted(row, query)
            and (after is None or row.message.updated_at > after)
        ]

    async def due(self, account: str, now: datetime, *, held: Collection[Hold], limit: int) -> Sequence[Message]:
        self._check()
        ready = [message for message in self._ready(now) if message.account == account]
        return [message for message in ready if not any(_covers(hold, message) for hold in held)][:limit]

    async def overdue(self, now: datetime, limit: int, *, under: Hold | None = None) -> Sequence[Message]:
        self._check()
        late = [message for message in self._messages() if message.state.is_waiting and message.expires_at <= now]
        if under is not None:
            late = [message for message in late if _covers(under, message)]
        return sorted(late, key=lambda message: message.expires_at)[:limit]

    async def stalled(self, now: datetime, limit: int) -> Sequence[Message]:
        self._check()
        open_ones = [(message.open_attempt, message) for message in self._messages()]
        lapsed = [
            (attempt.lease_until, message)
            for attempt, message in open_ones
            if attempt is not None and (attempt.lease_until <= now or self._is_dead(attempt.owner))
        ]
        return [message for _, message in sorted(lapsed, key=lambda pair: pair[0])][:limit]

    async def silent(self, account: str, now: datetime, limit: int) -> Sequence[Message]:
        self._check()
        own = [(message.ask_at, message) for message in self._messages() if message.account == account]
        long_enough = [(ask_at, message) for ask_at, message in own if ask_at is not None and ask_at <= now]
        return [message for _, message in sorted(long_enough, key=lambda pair: pair[0])][:limit]

    async def depths(self) -> Sequence[Depth]:
        self._check()
        queued: dict[tuple[str, str], list[datetime]] = {}
        for message in self._messages():
            if message.state.is_waiting:
                queued.setdefault((message.account, message.priority), []).append(message.accepted_at)
        return [Depth(account, priority, len(times), min(times)) for (account, priority), times in queued.items()]

    async def sweep(self, now: datetime, *, final_before: datetime, receipts_before: datetime) -> int:
        self._check()
        swept = [
            message for message in self._messages() if _is_final(message) and message.updated_at < final_before
        ]
        for message in swept:
            del self._rows[message.tracking_id]
        self._names = {name: it for name, it in self._names.items() if it.tracking_id in self._rows}
        orphans = [self._receipts[number] for number in sorted(self._orphans)]
        gone = {kept.id for kept in orphans if kept.received_at < receipts_before}
        for account in {kept.account for kept in orphans}:
            own = [kept.id for kept in orphans if kept.account == account]
            gone.update(own[: max(0, len(own) - self._max_orphans)])
        for number in gone:
            self._forget_receipt(number)
        told = self._sweep_outbox(final_before, receipts_before)
        return len(swept) + len(gone) + told + self._drop_logins(now)

    # -- holds --

    async def put_hold(self, hold: Hold) -> None:
        self._check()
        self._holds[hold.key] = hold

    async def drop_hold(self, key: str) -> None:
        self._check()
        self._holds.pop(key, None)

    async def holds(self) -> Sequence[Hold]:
        self._check()
        return [self._holds[key] for key in sorted(self._holds)]

    # -- receipts --

    async def keep_receipt(self, account: str, received_at: datetime, receipt: Receipt, body: bytes) -> int:
        self._check()
        number = next(self._numbers)
        self._receipts[number] = KeptReceipt(number, account, received_at, receipt, body)
        return number

    async def receipts(self, limit: int) -> Sequence[KeptReceipt]:
        self._check()
        return [kept for number, kept in self._receipts.items() if number not in self._orphans][:limit]

    async def match(self, account: str, receipt: Receipt) -> Message | None:
        self._check()
        everything = self._messages()
        by_name = [it for it in everything if it.tracking_id == receipt.tracking_id and it.is_of(account)]
        is_known = receipt.msg_id is not None
        by_msg_id = [it for it in everything if is_known and it.msg_id == receipt.msg_id and it.account == account]
        return next(iter(by_name + by_msg_id), None)

    async def settle_receipt(self, receipt_id: int, *, is_matched: bool) -> None:
        self._check()
        kept = self._receipts.get(receipt_id)
        if is_matched:
            self._forget_receipt(receipt_id)
        elif kept is not None and await self.match(kept.account, kept.receipt) is None:
            self._orphans.add(receipt_id)

    # -- the store itself --

    async def ping(self) -> None:
        self._check()

    async def aclose(self) -> None:
        self._is_closed = True

    def _messages(self) -> Iterable[Message]:
        return [row.message for row in self._rows.values()]

    def _ready(self, now: datetime) -> list[Message]:
        """Queued messages whose time has come, urgent ones first, then the longest due."""
        ready = [message for message in self._messages() if message.state.is_waiting and _due_at(message) <= now]
        return sorted(ready, key=lambda it: (RANKS[it.priority], _due_at(it), it.accepted_at))

    def _forget_receipt(self, number: int) -> None:
        self._receipts.pop(number, None)
        self._orphans.discard(number)

    def _renew_receipts(self, message: Message) -> None:
        """Orphans that speak of this message are to be worked on again."""
        for kept in self._receipts.values():
            if _speaks_of(kept, message.account, tracking_id=message.tracking_id, msg_id=message.msg_id):
                self._orphans.discard(kept.id)


def _speaks_of(kept: KeptReceipt, account: str, *, tracking_id: str, msg_id: str | None = None) -> bool:
    if kept.account != account:
        return False
    return kept.receipt.tracking_id == tracking_id or (msg_id is not None and kept.receipt.msg_id == msg_id)


def _covers(hold: Hold, message: Message) -> bool:
    return hold.covers(message.account, message.template_id, message.event_type)


def _due_at(message: Message) -> datetime:
    return message.next_attempt_at or message.accepted_at


def _is_final(message: Message) -> bool:
    return not (message.state.is_waiting or message.state.is_sending or message.open_attempt is not None)


def _is_wanted(row: _Row, query: Query) -> bool:
    message = row.message
    asked = [
        (query.caller, message.caller),
        (query.status, message.state.status),
        (query.event_type, message.event_type),
        (query.event_id, message.event_id),
        (query.account, message.account),
        (query.phone, row.letter.phone),
    ]
    return (
        all(wanted in (None, is_) for wanted, is_ in asked)
        and (query.since is None or query.since <= message.accepted_at)
        and (query.until is None or message.accepted_at < query.until)
    )
