"""What the suites play with: made-up events, messages and grants, and a stage for each keeper.

A new keeper joins by one more entry in `KEEPERS`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from gateway.core.callback import Callback
from gateway.core.conclusion import concluded
from gateway.core.delivery import Accepted, Reason
from gateway.core.event import Event
from gateway.core.grant import AccessToken, Grant, RefreshToken
from gateway.core.hold import Hold
from gateway.core.identity import Identity, TrackingId, identify
from gateway.core.login import Login
from gateway.core.message import Letter, Message, claimed
from gateway.core.news import Kind, News
from gateway.core.receipt import Receipt
from gateway.ports import Acceptance, Journal, Ledger, Outbox, Query, Replay, Stored, Vault
from gateway.storage import MemoryStore, open_store
from gateway.storage.owners import Owners
from tests.messages import make_queued

NOW: Final = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
LEASE: Final = timedelta(seconds=22)
TOLD: Final = frozenset({"crm"})
KEY: Final = b"k" * 32
PHONE: Final = "84912345678"


class Store(Ledger, Outbox, Vault, Protocol):
    """A keeper of all three ports."""

    @property
    def owner(self) -> str: ...

    @property
    def journal(self) -> Journal: ...


class Stage(msgspec.Struct, frozen=True):
    """A keeper that tells `crm`, and the names of two other processes that use it: one is dead, one lives."""

    store: Store
    dead: str
    living: str


OpenStage = Callable[[Path, int], AbstractAsyncContextManager[Stage]]


@asynccontextmanager
async def memory_stage(_: Path, max_orphans: int) -> AsyncIterator[Stage]:
    yield Stage(MemoryStore(lambda name: name == "dead", told=TOLD, max_orphans=max_orphans), "dead", "living")


@asynccontextmanager
async def sqlite_stage(folder: Path, max_orphans: int) -> AsyncIterator[Stage]:
    url = f"sqlite:///{folder / 'store.db'}"
    store = await open_store(url, [KEY], is_simulated=False, told=TOLD, max_orphans=max_orphans)
    other = Owners(folder / "store.db.owners")
    try:
        yield Stage(store, "1-gone", other.name)
    finally:
        other.close()
        await store.aclose()


KEEPERS: Final[dict[str, OpenStage]] = {"memory": memory_stage, "sqlite": sqlite_stage}


def after(seconds: float) -> datetime:
    """So many seconds after the moment at which everything here begins."""
    return NOW + timedelta(seconds=seconds)


def make_event(name: str = "evt-1", **changes: Any) -> Event:
    made = Event(id=name, source="/checkout", type="order.paid", data={"order_id": "A1", "total": 250_000})
    return msgspec.structs.replace(made, **changes)


def identity_of(event: Event, key: str | None = None) -> Identity:
    return identify(mode="live", caller="checkout", event=event, key=key)


def make_message(name: str = "evt-1", *, key: str | None = None, **changes: Any) -> Message:
    """A queued message of the event of that name, due at once."""
    event = make_event(name, type=changes.get("event_type", "order.paid"))
    about = {
        "tracking_id": identity_of(event, key).tracking_id,
        "event_id": event.id,
        "event_source": event.source,
    }
    return make_queued(**{"accepted_at": NOW, **about, **changes})


def make_letter(event: Event, phone: str | None = PHONE) -> Letter:
    return Letter(event, phone, {"customer_name": "Nguyễn Văn Ánh", "otp": "135790"}, frozenset({"otp"}))


async def put(store: Ledger, message: Message, *, key: str | None = None, phone: str | None = PHONE) -> Message:
    """The message, newly accepted."""
    assert await take(store, message, key=key, phone=phone) == Stored()
    return message


async def take(
    store: Ledger,
    message: Message,
    *,
    key: str | None = None,
    phone: str | None = PHONE,
    despite: int | None = None,
) -> Acceptance:
    event = make_event(message.event_id, type=message.event_type)
    return await store.accept(message, make_letter(event, phone), identity_of(event, key), despite=despite)


async def change(store: Ledger, message: Message, **changes: Any) -> Message:
    """The message's next version, saved."""
    newer = msgspec.structs.replace(message, version=message.version + 1, **changes)
    assert await store.save(newer, expected=message.version)
    return newer


def begin(message: Message, owner: str, now: datetime = NOW) -> Message:
    """The message with an attempt of that owner begun."""
    return claimed(message, owner=owner, now=now, lease=LEASE)


def finish(message: Message, msg_id: str, now: datetime = NOW) -> Message:
    """The message after Zalo took it."""
    return concluded(message, message.attempts, Accepted(msg_id), now)


def make_hold(account: str = "main", **changes: Any) -> Hold:
    made = Hold(account, Reason.BILLING, NOW, cause="-115", cure="top up")
    return msgspec.structs.replace(made, **changes)


def make_grant(account: str = "main", *, version: int = 1, generation: int = 1) -> Grant:
    return Grant(
        account=account,
        generation=generation,
        access=AccessToken(f"access-{account}-{generation}"),
        refresh=RefreshToken(f"refresh-{account}-{generation}"),
        obtained_at=NOW,
        expires_at=after(90_000),
        consented_at=NOW,
        version=version,
    )


def make_login(account: str = "main", state: str = "state-1", **changes: Any) -> Login:
    made = Login(
        account, state, "verifier-of-" + state, "https://zns.example.com/oauth/zalo/callback", after(1800)
    )
    return msgspec.structs.replace(made, **changes)


def make_callback(name: str = "c-1", caller: str = "crm", **changes: Any) -> Callback:
    return msgspec.structs.replace(
        Callback(name, caller, "account.paused", NOW, b'{"type":"account.paused"}'), **changes
    )


def make_news(key: str = "k-1", kind: Kind = Kind.TEMPLATE_STATUS, **changes: Any) -> News:
    made = News(kind=kind, key=key, at=NOW, subject="tpl-1", before="ENABLE", after="DISABLE", note="canary-note")
    return msgspec.structs.replace(made, **changes)


def ids(messages: Any) -> list[str]:
    """The event ids of these messages, in their order."""
    return [message.event_id for message in messages]


def tracking_id_of(name: str, key: str | None = None) -> TrackingId:
    return identity_of(make_event(name), key).tracking_id


Ask = Callable[[Store], Awaitable[object]]
OPERATIONS: Final[dict[str, Ask]] = {
    "accept": lambda store: take(store, make_message()),
    "known": lambda store: store.known(Identity(tracking_id_of("evt-1")), make_event()),
    "save": lambda store: store.save(make_message(), expected=1),
    "load": lambda store: store.load("any"),
    "letter": lambda store: store.letter("any"),
    "find": lambda store: store.find(Query(phone=PHONE)),
    "matching": lambda store: store.matching(Query(), ["queued"]),
    "due": lambda store: store.due("main", NOW, held=(), limit=1),
    "overdue": lambda store: store.overdue(NOW, 1),
    "stalled": lambda store: store.stalled(NOW, 1),
    "silent": lambda store: store.silent("main", NOW, 1),
    "depths": lambda store: store.depths(),
    "put_hold": lambda store: store.put_hold(make_hold()),
    "drop_hold": lambda store: store.drop_hold("any"),
    "holds": lambda store: store.holds(),
    "pauses": lambda store: store.pauses(),
    "note_pause": lambda store: store.note_pause("main", make_hold(), before=None, callbacks=()),
    "keep_receipt": lambda store: store.keep_receipt("main", NOW, Receipt("m", None, None), b"{}"),
    "receipts": lambda store: store.receipts(1),
    "match": lambda store: store.match("main", Receipt("m", None, None)),
    "settle_receipt": lambda store: store.settle_receipt(1, is_matched=True),
    "keep_news": lambda store: store.keep_news("main", NOW, make_news(), b"{}", ()),
    "news": lambda store: store.news(1),
    "due_callers": lambda store: store.due_callers(NOW),
    "take_callbacks": lambda store: store.take_callbacks("crm", NOW, until=after(1), limit=1),
    "settle_callback": lambda store: store.settle_callback("any", taken_until=NOW, next_at=None),
    "replay_callbacks": lambda store: store.replay_callbacks(Replay(caller=None), NOW),
    "untold": lambda store: store.untold(),
    "sweep": lambda store: store.sweep(NOW, final_before=NOW, receipts_before=NOW),
    "ping": lambda store: store.ping(),
    "version": lambda it: it.version("main"),
    "grant": lambda store: store.grant("main"),
    "put_grant": lambda store: store.put_grant(make_grant(), expected=0),
    "take_lease": lambda store: store.take_lease("main", owner="any", now=NOW, until=after(1)),
    "drop_lease": lambda store: store.drop_lease("main", owner="any"),
    "rehearse": lambda store: store.rehearse(make_grant()),
    "put_login": lambda store: store.put_login(make_login()),
    "take_login": lambda store: store.take_login("any", NOW),
    "is_waiting": lambda store: store.is_waiting(make_login()),
    "end_login": lambda store: store.end_login(make_login(), b"any"),
    "login_end": lambda store: store.login_end(make_login()),
}
