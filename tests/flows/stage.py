"""What the tests of the flows share: simulated time, a Zalo that is told what to answer, and a store that can fail."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from selectors import DefaultSelector, SelectorKey
from typing import Any, Final, TypeVar

import msgspec

from gateway.alarm import Alarm
from gateway.backlog import Backlog
from gateway.core.caller import Caller
from gateway.core.delivery import (
    Accepted,
    Category,
    Deferred,
    DeliveryError,
    Outcome,
    Quota,
    Reason,
    Refused,
    Scope,
    State,
    Uncertain,
    Until,
    Wait,
    ZaloWord,
)
from gateway.core.errors import CannotOpen, Unavailable
from gateway.core.event import Event
from gateway.core.grant import (
    AccessToken,
    AppSecret,
    Dead,
    Grant,
    Lost,
    NotPresented,
    RefreshResult,
    RefreshToken,
    Rotated,
    Token,
    first_grant,
)
from gateway.core.grant import Refused as RefusedRefresh
from gateway.core.hold import Hold
from gateway.core.identity import Identity
from gateway.core.mapping import MappingSet, compile_mappings
from gateway.core.message import Letter, Message
from gateway.core.schedule import Backoff
from gateway.dispatch import Dispatch
from gateway.gates import AccountRules, Gates
from gateway.grants import Grants
from gateway.intake import Intake, Taken
from gateway.ports import Acceptance, Conflicting, Heard, Journal, Known, Write
from gateway.storage.memory import MemoryStore
from gateway.tokens import App, Tokens
from gateway.waiting import Waiting

T = TypeVar("T")

NOON = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)  # twelve o'clock in Vietnam
LEASE = timedelta(seconds=22)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
TOKEN_LIFE = timedelta(hours=25)
PROBE_EVERY = timedelta(seconds=10)
CALLER = Caller("checkout", ("*",))


# -- time --


class _Leap(DefaultSelector):
    """Never waits: what would have been waited for has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everyone waits, and nothing will ever happen"
            self.now += max(timeout, 0.0)
        return found


class TimelessLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is simulated and passes only while everyone waits."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        return self._leap.now


class Clock:
    """The time of the loop, and what a test adds by hand."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self.turned = timedelta()

    def __call__(self) -> datetime:
        return NOON + self.turned + timedelta(seconds=self._loop.time())

    def turn(self, by: timedelta) -> None:
        self.turned += by


async def until(condition: Callable[[], bool], patience_s: float = 30) -> None:
    """The condition holds; it is looked at whenever everyone else waits."""
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110 - simulated time: this is what waiting on a condition means here
            await asyncio.sleep(0.01)


async def settled() -> None:
    """Everything that could go on without time passing has gone on."""
    for _ in range(200):
        await asyncio.sleep(0)


# -- the store --


class Store(MemoryStore):
    """A MemoryStore with a moment before and after every operation, that fails when it is told to.

    `fails` names the operations that fail from now on; in `loses` are those that are done but not confirmed. With
    `is_brief` each goes wrong once. An operation with an event in `gates` waits for it.
    """

    def __init__(self, is_dead: Callable[[str], bool] = lambda _: False) -> None:
        self.dead: set[str] = set()
        self.sealed: set[str] = set()
        super().__init__(lambda owner: owner in self.dead or is_dead(owner))
        self.fails: set[str] = set()
        self.loses: set[str] = set()
        self.is_brief = False
        self.counts: dict[str, int] = {}
        self.gates: dict[str, asyncio.Event] = {}

    async def _do(self, name: str, step: Awaitable[T]) -> T:
        self.counts[name] = self.counts.get(name, 0) + 1
        try:
            await asyncio.sleep(0)
            if name in self.gates:
                await self.gates[name].wait()
            if self._goes_wrong(name, self.fails):
                raise Unavailable(f"{name} fails")
        except BaseException:
            if asyncio.iscoroutine(step):
                step.close()
            raise
        result = await step
        await asyncio.sleep(0)
        if self._goes_wrong(name, self.loses):
            raise Unavailable(f"{name} is not confirmed")
        return result

    def _goes_wrong(self, name: str, faulty: set[str]) -> bool:
        is_wrong = name in faulty
        if self.is_brief:
            faulty.discard(name)
        return is_wrong

    async def accept(
        self, message: Message, letter: Letter, identity: Identity, *, despite: int | None = None
    ) -> Acceptance:
        return await self._do("accept", super().accept(message, letter, identity, despite=despite))

    async def known(self, identity: Identity, event: Event) -> Known | Conflicting | None:
        return await super().known(identity, event)

    async def save(self, message: Message, *, expected: int, letter: Letter | None = None) -> bool:
        return await self._do("save", super().save(message, expected=expected, letter=letter))

    async def load(self, tracking_id: str) -> Message | None:
        return await self._do("load", super().load(tracking_id))

    async def letter(self, tracking_id: str) -> Letter | None:
        return await self._do("letter", super().letter(tracking_id))

    async def due(self, account: str, now: datetime, *, held: Collection[Hold], limit: int) -> Sequence[Message]:
        return await self._do("due", super().due(account, now, held=held, limit=limit))

    async def put_hold(self, hold: Hold) -> None:
        await self._do("put_hold", super().put_hold(hold))

    async def holds(self) -> Sequence[Hold]:
        found = await self._do("holds", super().holds())
        await asyncio.sleep(0)
        return found

    async def grant(self, account: str) -> Grant | None:
        if account in self.sealed:
            raise CannotOpen("no key in secrets.keys opens grant")
        return await self._do("grant", super().grant(account))

    async def put_grant(self, grant: Grant, *, expected: int) -> bool:
        return await self._do("put_grant", super().put_grant(grant, expected=expected))

    async def take_lease(self, account: str, *, owner: str, now: datetime, until: datetime) -> bool:
        return await self._do("take_lease", super().take_lease(account, owner=owner, now=now, until=until))

    async def rehearse(self, grant: Grant) -> None:
        await self._do("rehearse", super().rehearse(grant))

    @contextmanager
    def failing(self, *names: str) -> Iterator[None]:
        self.fails |= set(names)
        yield
        self.fails -= set(names)

    @contextmanager
    def losing(self, *names: str) -> Iterator[None]:
        self.loses |= set(names)
        yield
        self.loses -= set(names)


# -- Zalo --


def error(number: int | None, code: str = "some-error") -> DeliveryError:
    word = None if number is None else ZaloWord(number, "Zalo's words")
    return DeliveryError(code, Category.TRANSIENT, "what it means", number is not None, "what to do", word)


def accepted(msg_id: str = "m-1") -> Accepted:
    return Accepted(msg_id, None, Quota(500, 499))


def refused(number: int = -118, *, blocks_template: bool = False) -> Refused:
    return Refused(error(number), blocks_template)


def deferred(
    number: int | None = -100,
    reason: Reason = Reason.RETRY,
    scope: Scope = Scope.MESSAGE,
    ends: Until = Until.BACKOFF,
    retry_after_s: int | None = None,
) -> Deferred:
    return Deferred(error(number), Wait(reason, scope, ends), retry_after_s)


REJECTED = deferred(-124, Reason.CREDENTIALS, Scope.ACCOUNT, Until.NEW_GRANT)
UNCERTAIN = Uncertain(error(None, "timed-out"))
Answer = Outcome | Callable[["Request"], Awaitable[Outcome]]


PROVED: Final = Token(AccessToken("access-1"), 1, AppSecret("proof"))
"""What every request of a house's carries at first."""


class Request(msgspec.Struct, frozen=True):
    """One request that reached Zalo."""

    token: Token
    tracking_id: str
    phone: str
    template_id: str
    template_data: Mapping[str, str]
    development: bool
    at: datetime


class Zalo:
    """The Courier: answers what it was told to, in turn, and then yes; remembers every request."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.script: list[Answer] = []
        self.rule: Callable[[Request], Answer] | None = None
        self.requests: list[Request] = []
        self.is_answering = True
        self.asked = 0
        self.opening: asyncio.Event | None = None
        self.on_request: Callable[[Request], Awaitable[None]] | None = None

    def hold_back(self) -> asyncio.Event:
        """Requests wait for their answer until the event is set."""
        self.opening = asyncio.Event()
        return self.opening

    async def send(
        self,
        token: Token,
        *,
        phone: str,
        template_id: str,
        template_data: Mapping[str, str],
        tracking_id: str,
        development: bool = False,
    ) -> Outcome:
        request = Request(token, tracking_id, phone, template_id, template_data, development, self._clock())
        self.requests.append(request)
        answer: Answer = accepted(f"m-{len(self.requests)}")
        if self.rule is not None:
            answer = self.rule(request)
        elif self.script:
            answer = self.script.pop(0)
        if self.on_request is not None:
            await self.on_request(request)
        if self.opening is not None:
            await self.opening.wait()
        await asyncio.sleep(0)
        return await answer(request) if callable(answer) else answer

    async def answers(self, token: Token) -> bool:
        self.asked += 1
        await asyncio.sleep(0)
        return self.is_answering


def pair(number: int, life: timedelta = TOKEN_LIFE) -> Rotated:
    return Rotated(AccessToken(f"access-{number}"), RefreshToken(f"refresh-{number}"), life)


class Issuer:
    """The Issuer: answers what it was told to, in turn, and then a new pair; remembers what was presented."""

    def __init__(self) -> None:
        self.script: list[RefreshResult] = []
        self.presented: list[str] = []
        self.unsent: NotPresented | None = None
        self.opening: asyncio.Event | None = None
        self.on_refresh: Callable[[str], Awaitable[None]] | None = None

    def hold_back(self) -> asyncio.Event:
        self.opening = asyncio.Event()
        return self.opening

    async def prepare(self) -> NotPresented | None:
        return self.unsent

    async def refresh(
        self, *, app_id: str, app_secret: str, refresh_token: str, journal: Write | None = None
    ) -> RefreshResult:
        assert (app_id, app_secret) == ("app", "app-secret")
        assert journal is not None
        self.presented.append(refresh_token)
        answer = self.script.pop(0) if self.script else pair(len(self.presented) + 1)
        if self.on_refresh is not None:
            await self.on_refresh(refresh_token)
        if self.opening is not None:
            await self.opening.wait()
        if not isinstance(answer, Lost | NotPresented):
            journal(200, written(answer))
        await asyncio.sleep(0)
        return answer

    def read(self, heard: Heard, refresh_token: str) -> RefreshResult:
        assert refresh_token.startswith("refresh-")
        return read_back(heard)


def written(answer: RefreshResult) -> bytes:
    """An answer as it would come over the wire."""
    return msgspec.msgpack.encode((type(answer).__name__, answer))


def read_back(heard: Heard) -> RefreshResult:
    """The answer that was written so."""
    name, _ = msgspec.msgpack.decode(heard.body)
    kind = {"Rotated": Rotated, "Dead": Dead, "Refused": RefusedRefresh}[name]
    result: RefreshResult = msgspec.msgpack.decode(heard.body, type=tuple[str, kind])[1]  # type: ignore[valid-type]
    return result


class Notes:
    """The Observer: remembers every fact."""

    def __init__(self) -> None:
        self.facts: list[tuple[str, dict[str, Any]]] = []

    def fact(self, name: str, **about: Any) -> None:
        self.facts.append((name, about))

    def named(self, name: str) -> list[dict[str, Any]]:
        return [about for each, about in self.facts if each == name]


# -- the house --

MAPPING = """
{top}
[[template]]
when = 'data.total > 0'
id = "{template}"
phone = '{{{{ data.phone }}}}'
[template.data]
total = '{{{{ data.total | vnd }}}}'
"""


def mapping_set(
    top: str = "", *, types: Sequence[str] = ("order.paid",), account: str = "main", template: str = "400001"
) -> MappingSet:
    text = MAPPING.format(top=f'account = "{account}"\n{top}', template=template)
    return compile_mappings(
        {f"{one}.toml": text.encode() for one in types}, templates={}, accounts=["main", "other"]
    )


def event(
    event_id: str = "evt-1", *, event_type: str = "order.paid", total: int = 1000, phone: str = "0912345678"
) -> Event:
    return Event(event_id, "/checkout", event_type, {"total": total, "phone": phone})


async def fresh(tokens: Tokens, account: str = "main") -> Token | None:
    """The token that is there after the refresh that it needs."""
    await tokens.look()
    if (task := tokens._refreshing.get(account)) is not None:
        await asyncio.shield(task)
    return tokens._grants.usable(account)


class House:
    """A gateway without doors: the flows on a fake Zalo. Two houses on one store are two processes."""

    def __init__(
        self,
        *,
        store: Store | None = None,
        clock: Clock | None = None,
        zalo: Zalo | None = None,
        issuer: Issuer | None = None,
        owner: str = "us",
        journal: Journal | None = None,
        mappings: MappingSet | None = None,
        rules: Mapping[str, AccountRules] | None = None,
        pause_after_uncertain: int = 5,
    ) -> None:
        self.clock = clock or Clock()
        self.store = store or Store()
        self.zalo = zalo or Zalo(self.clock)
        self.issuer = issuer or Issuer()
        self.notes = Notes()
        self.mappings = mappings or mapping_set()
        self.has_room = True
        self.is_busy = False
        self.is_busy_for_batches = False
        self.queued = 0
        self.chance = 0.0
        self.remaining: Callable[[str], int | None] = lambda _: None
        self.heed_quota: Callable[[str, Quota, datetime], None] = lambda *_: None
        rules = rules or {"main": AccountRules()}
        apps = {account: App("app", "app-secret") for account in rules}
        self.grants = Grants(self.store, self.clock, proofs={"main": AppSecret("proof")})
        self.journal = journal or self.store.journal
        self.tokens = Tokens(
            self.grants,
            self.store,
            self.journal,
            self.issuer,
            apps,
            self.clock,
            self.notes,
            owner=owner,
            deadline=LEASE,
        )
        self.gates = Gates(
            self.store,
            rules,
            self.grants.trouble,
            self.notes,
            probe_every=PROBE_EVERY,
            pause_after_uncertain=pause_after_uncertain,
            remaining=self._left,
        )
        self.waiting = Waiting(self.store, self.clock, self.gates.hold_on)
        self.alarm = Alarm(self.clock)
        self.dispatch = Dispatch(
            self.store,
            self.zalo,
            self.grants,
            self.tokens,
            self.gates,
            self.waiting.tell,
            self.clock,
            lambda: self.chance,
            self.notes,
            self.alarm,
            owner=owner,
            lease=LEASE,
            backoff=Backoff(SECOND, timedelta(minutes=5)),
            heed_quota=self._heed_quota,
        )
        self.backlog = Backlog(
            self.store,
            self.dispatch,
            self.zalo,
            self.grants,
            self.tokens,
            self.gates,
            self.waiting.tell,
            self.clock,
            self.notes,
            self.alarm,
        )
        self.intake = Intake(
            self.store,
            self.gates,
            self.dispatch.depart,
            self.clock,
            self.notes,
            owner=owner,
            lease=LEASE,
            grace=timedelta(seconds=60),
            queue=self,
            is_busy=lambda _, *, for_batch, besides: self.is_busy or (for_batch and self.is_busy_for_batches),
        )

    def _left(self, account: str) -> int | None:
        return self.remaining(account)

    def _heed_quota(self, account: str, quota: Quota, now: datetime) -> None:
        self.heed_quota(account, quota, now)

    async def drain(self) -> None:
        """Nothing new is begun, and what was under way has ended."""
        await self.backlog.drain()
        await self.dispatch.drain()

    async def open(self, *, grant: Grant | None = None) -> "House":
        """Everything that the start does; the account has a grant."""
        if await self.store.grant("main") is None:
            await self.store.put_grant(
                grant or first_grant("main", pair(1), self.clock(), before=None), expected=0
            )
        await self.gates.reload(self.clock())
        await self.tokens.look()
        await self.dispatch.recover()
        return self

    def is_full(self) -> bool:
        return not self.has_room

    def count(self) -> None:
        self.queued += 1

    def discount(self) -> None:
        self.queued -= 1

    async def post(self, event_id: str = "evt-1", caller: Caller = CALLER, **about: Any) -> Taken:
        return await self.accept(event(event_id, **about), caller)

    async def accept(
        self, event: Event, caller: Caller = CALLER, key: str | None = None, *, is_in_batch: bool = False
    ) -> Taken:
        return await self.intake.accept(event, caller, self.mappings, key, is_in_batch=is_in_batch)

    async def send(self, event_id: str = "evt-1", caller: Caller = CALLER, **about: Any) -> Message:
        """The message as it stands when all that could be done for it at once has been done."""
        taken = await self.post(event_id, caller, **about)
        await self.quiet()
        return await self.now(taken.message)

    async def now(self, message: Message) -> Message:
        found = await self.store.load(message.tracking_id)
        assert found is not None
        return found

    async def state(self, message: Message) -> State:
        return (await self.now(message)).state

    async def quiet(self) -> None:
        """Nothing is under way any more."""
        await settled()
        await until(lambda: not self.dispatch._under_way)

    async def turn(self, by: timedelta = timedelta()) -> None:
        """The clock has been turned, and the backlog has had a turn and all that followed from it."""
        self.clock.turn(by)
        is_due = True
        while is_due:
            self.alarm.begin()
            await self.backlog._turn(self.clock())
            await self.quiet()
            is_due = self.alarm._soonest is not None and self.alarm._soonest <= self.clock()
