"""What the flows ask of the outside: small Protocols, each kept by at least two keepers or a fake under one suite.

Every operation of the Ledger and the Vault is atomic, and durable when it returns: each could be one script on
one message's keys and the indexes. They raise `Unavailable` when the store cannot confirm; then nothing is known
of whether the change was made.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from .core.callback import Callback
from .core.delivery import Outcome, Quota
from .core.event import Event
from .core.grant import AccessToken, Grant, Intent, NotPresented, RefreshResult
from .core.hold import Hold
from .core.identity import Identity, TrackingId
from .core.login import Login
from .core.message import Letter, Message
from .core.news import News
from .core.receipt import Receipt
from .core.silence import StatusAnswer, Unclear

Clock = Callable[[], datetime]
Chance = Callable[[], float]


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


class KeptNews(msgspec.Struct, frozen=True):
    """One piece of news, and when it came."""

    account: str
    received_at: datetime
    news: News


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Which callbacks are to be posted again: those with these ids, or those made in this time; of all callers if None."""

    caller: str | None
    ids: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


class Untold(msgspec.Struct, frozen=True):
    """How many callbacks a caller has not yet got, and since when the oldest waits."""

    caller: str
    count: int
    oldest: datetime


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


class Outbox(Protocol):
    """The callbacks. Each is stored with the change that it tells of, and kept as long as a message, to be replayed."""

    async def due_callers(self, now: datetime) -> Collection[str]:
        """The callers of whom a callback is due. As cheap with a hundred thousand waiting as with one."""

    async def take_callbacks(
        self, caller: str, now: datetime, *, until: datetime, limit: int
    ) -> Sequence[Callback]:
        """The caller's callbacks that are due, the longest due first, with this try counted; nobody else gets them before `until`."""

    async def settle_callback(self, callback_id: str, *, next_at: datetime | None) -> None:
        """The callback is tried again then; never, if None: it was taken, or is given up."""

    async def replay_callbacks(self, replay: Replay, now: datetime) -> int:
        """The callbacks that are meant are due now, as if they had never been tried; how many those are."""

    async def untold(self) -> Sequence[Untold]:
        """How much waits for each caller."""


class Vault(Protocol):
    """The grants, one record an account, sealed; and the right to renew one."""

    async def grant(self, account: str) -> Grant | None:
        """The account's grant as it now stands."""

    async def version(self, account: str) -> int:
        """The version of the account's grant, also of one that does not open; 0 if there is none."""

    async def put_grant(self, grant: Grant, *, expected: int) -> bool:
        """The grant has replaced the one of version `expected` (0: there was none); False, and no change, if not."""

    async def take_lease(self, account: str, *, owner: str, now: datetime, until: datetime) -> bool:
        """The owner alone is to renew the account's grant until then; False while another one's lease has not ended."""

    async def drop_lease(self, account: str, *, owner: str) -> None:
        """The owner has no lease on the account any more."""

    async def rehearse(self, grant: Grant) -> None:
        """What follows this grant could be sealed, opened again and committed just now; raises Unavailable if not."""

    def is_gone(self, owner: str) -> bool:
        """True if that process is known to be dead; False while nobody can tell."""

    async def put_login(self, login: Login) -> None:
        """The login is waiting for its callback, in place of an older one of the same account."""

    async def take_login(self, state: str, now: datetime) -> Login | None:
        """The login that waits under this state, which waits no more; None if there is none, or its time is over."""

    async def is_waiting(self, login: Login) -> bool:
        """True while the login waits for its callback, as far as anybody has looked at its time."""

    async def end_login(self, login: Login, told: bytes) -> None:
        """What came of the login is on record, in place of what came of an earlier one of the account."""

    async def login_end(self, login: Login) -> bytes | None:
        """What came of the login, as it was told; None if it is not on record."""


class Heard(msgspec.Struct, frozen=True):
    """What Zalo's token endpoint answered, as it came."""

    status: int
    body: bytes


class Entry(Protocol):
    """The room for the answer to one presentation. Neither raises: what cannot be kept must not be lost for it."""

    def begin(self) -> bool:
        """It is on disk that the question may have left us; False, and then it must not."""

    def __call__(self, status: int, body: bytes) -> None:
        """The answer is on disk, as it came."""


class Journal(Protocol):
    """The answers to refreshes, sealed, on a disk of this machine's before anything is made of them.

    An answer may be the only copy of a new pair. So all that can fail is done in `open`.
    """

    def open(self, grant: Grant, *, besides: Intent | None = None) -> Entry:
        """The room for the answer to the presentation that the grant intends; raises Unavailable.

        `besides` is another intent of this process's that may be on record: its room stays.
        """

    def read(self, grant: Grant) -> Heard | None:
        """The answer to the presentation that the grant intends, if it was written down whole."""

    def void(self, grant: Grant) -> bool:
        """True if nothing was asked under the grant's intent, and nothing will be; False where nobody can tell."""

    def drop(self, grant: Grant) -> None:
        """The answer to that presentation is not needed any more, nor what others prepared for it and did not use."""


Write = Callable[[int, bytes], None]


class Courier(Protocol):
    """Takes one message to Zalo, once."""

    async def send(
        self,
        access_token: str,
        *,
        phone: str,
        template_id: str,
        template_data: Mapping[str, str],
        tracking_id: str,
        development: bool = False,
        app_secret: str | None = None,
    ) -> Outcome:
        """What became of one request; never raises for anything that Zalo or the network does."""

    async def answers(self, access_token: str, *, app_secret: str | None = None) -> bool:
        """True if Zalo answers a harmless question sensibly; costs nothing and changes nothing."""


class Oracle(Protocol):
    """Answers questions about what was sent; they cost nothing and change nothing."""

    async def status(self, access_token: str, msg_id: str, *, app_secret: str | None = None) -> StatusAnswer:
        """What became of the message of this `msg_id`; never raises for anything that Zalo or the network does."""

    async def quota(self, access_token: str, *, app_secret: str | None = None) -> Quota | Unclear:
        """The account's daily quota as it stands; never raises either."""


class Called(msgspec.Struct, frozen=True):
    """How one call of a caller's endpoint ended: `status` is None if there was no answer; then `cause` says why."""

    status: int | None
    cause: str = ""
    retry_after_s: int | None = None  # what the answer asked for; also where it gave a date


class Endpoint(Protocol):
    """Where callers are told; each has one URL."""

    async def call(self, callback: Callback, now: datetime) -> Called:
        """The callback was posted once; never raises for anything that the other side or the network does."""


class Issuer(Protocol):
    """Turns a refresh token into a new pair, once."""

    async def prepare(self) -> NotPresented | None:
        """A connection is open for the next `refresh`; or why there is none."""

    async def refresh(
        self, *, app_id: str, app_secret: str, refresh_token: str, journal: Write | None = None
    ) -> RefreshResult:
        """What became of one presentation; never raises for anything that Zalo or the network does.

        `journal` gets the answer before anything is made of it.
        """

    def read(self, heard: Heard, refresh_token: str) -> RefreshResult:
        """What an answer that was written down makes of the grant whose refresh token was presented."""


class Observer(Protocol):
    """Is told what happened: one log line and one number a fact. Never raises, never waits."""

    def fact(self, name: str, **about: Any) -> None:
        """The fact is logged and counted."""


class Token(msgspec.Struct, frozen=True):
    """An access token and the generation it belongs to."""

    access: AccessToken
    generation: int


class TokenSource(Protocol):
    """Gives everyone the account's one fresh access token."""

    def usable(self, account: str) -> Token | None:
        """The token to use now; None while there is none that works as far as anybody knows."""

    def on_trial(self, account: str) -> Token | None:
        """The token that Zalo has rejected, while it has not expired: for one message to try now and then."""

    async def prove(self, account: str, generation: int) -> None:
        """It is on record that Zalo took that generation's token."""


class Renewer(Protocol):
    """Keeps every account's token fresh."""

    async def renew(self, account: str, generation: int) -> None:
        """Zalo rejected that generation: a newer one is in use, or the account is troubled."""

    async def look(self) -> None:
        """What other processes did to the grants is known here, and what is due to be renewed is being renewed."""


class Signed(msgspec.Struct, frozen=True):
    """A webhook event that Zalo signed, and what it says."""

    said: Receipt | News


class Forged(msgspec.Struct, frozen=True):
    """A webhook call whose signature is wrong, missing or cannot be checked."""


class Probe(msgspec.Struct, frozen=True):
    """The empty call with which Zalo tries a webhook URL."""


Verdict = Signed | Forged | Probe

Depart = Callable[[Message, Letter], None]
Tell = Callable[[Message], None]
Judge = Callable[[str, bytes | None, bytes | None, bytes], Verdict]
"""From an account, the signature and server headers and the raw body, what to make of a webhook call."""
