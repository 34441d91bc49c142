"""The only room that builds things and sees Settings: what is made of what, and in which order it starts and drains."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
from litestar import Litestar

from .alarm import Alarm
from .backlog import Backlog
from .callbacks import Callbacks
from .config import Loaded, Settings
from .core.callback import TOLD
from .core.caller import Bucket, Caller
from .core.mapping import MappingSet, compile_mappings
from .core.message import Message
from .core.news import Kind, News
from .core.schedule import Backoff
from .dispatch import LEASE_MARGIN, Dispatch
from .endpoints.client import Destination, EndpointClient
from .gates import AccountRules, Gates
from .grants import Grants
from .http.app import make_app, make_public_app
from .http.doors import Doors, Limits
from .intake import Intake
from .logins import Logins, Registration
from .mappings import Files, Mappings
from .orders import Orders
from .pauses import Pauses
from .ports import Depth, Observer, Untold, Vault
from .quotas import Quotas
from .receipts import KEPT_FOR, Receipts
from .silence import Silence
from .storage import SqliteStore
from .telemetry import Telemetry
from .tokens import App, Tokens
from .waiting import Waiting
from .watch import Watch
from .zalo.client import ZaloClient
from .zalo.webhook import Keys, judge_of


class Gateway(msgspec.Struct, frozen=True):
    """A gateway: its doors, and everything behind them that runs and must be brought to rest."""

    app: Litestar
    public_app: Litestar | None
    intake: Intake
    gates: Gates
    tokens: Tokens
    logins: Logins
    dispatch: Dispatch
    backlog: Backlog
    waiting: Waiting
    receipts: Receipts
    silence: Silence
    quotas: Quotas
    orders: Orders
    callbacks: Callbacks
    watch: Watch
    mappings: Mappings
    zalo: ZaloClient
    endpoints: EndpointClient

    async def prepare(self) -> None:
        """What the store holds is known, and what dead processes left open is concluded."""
        await self.gates.reload(now())
        await self.tokens.look()
        await self.dispatch.recover()
        await self.watch.look()

    async def run(self) -> None:
        """Everything that works by itself works, until `aclose`."""
        works = (
            self.backlog.run,
            self.receipts.run,
            self.silence.run,
            self.quotas.run,
            self.callbacks.run,
            self.watch.run,
            self.mappings.run,
        )
        await asyncio.gather(*(work() for work in works))

    def reload(self) -> None:
        """The files are looked at again, and every endpoint is called again."""
        self.mappings.ask()
        self.callbacks.reload()

    async def drain(self) -> None:
        """Nothing new is accepted, every request under way has its outcome recorded, nobody waits any more."""
        self.tokens.stop()
        self.silence.stop()
        self.quotas.stop()
        await self.intake.drain()
        await self.orders.drain()
        await self.backlog.drain()
        await self.dispatch.drain()
        self.waiting.close()

    async def aclose(self) -> None:
        """Drained, and no connection is open any more."""
        await self.drain()
        self.receipts.stop()
        self.watch.stop()
        self.mappings.stop()
        await self.callbacks.drain()
        await self.logins.aclose()
        await self.tokens.aclose()
        await self.endpoints.aclose()
        await self.zalo.aclose()


def now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(UTC)


def files_of(loaded: Loaded) -> Files:
    """The mappings and snapshots that lie beside the configuration now; raises CannotStart."""
    return Files(loaded.mappings, loaded.templates)


def compiled(loaded: Loaded, files: Files) -> MappingSet:
    """What the files say; raises MappingFaults with every fault."""
    return compile_mappings(files.mappings, templates=files.templates, accounts=loaded.settings.accounts)


@asynccontextmanager
async def running(loaded: Loaded, telemetry: Telemetry, store: SqliteStore) -> AsyncIterator[Gateway]:
    """A gateway that works for as long as the context lasts, and has drained after it."""
    gateway = build(loaded, telemetry, store)
    works: list[asyncio.Task[None]] = []
    try:
        await gateway.prepare()
        works.append(asyncio.create_task(gateway.run()))
        yield gateway
    finally:
        await gateway.aclose()
        await asyncio.gather(*works)


def build(loaded: Loaded, telemetry: Telemetry, store: SqliteStore) -> Gateway:
    """What a gateway is made of; raises MappingFaults with every fault of the mappings. Nothing runs yet."""
    settings, delivery = loaded.settings, loaded.settings.delivery
    mappings = _mappings(loaded, telemetry)
    zalo = zalo_of(settings)
    lease = settings.zalo.connect_timeout + settings.zalo.read_timeout + LEASE_MARGIN
    proofs = {name: it.app_secret for name, it in settings.accounts.items() if it.appsecret_proof}
    operators = [name for name in settings.told() if settings.callers[name].role == "operator"]

    apps = {name: App(account.app_id, account.app_secret) for name, account in settings.accounts.items()}
    grants = Grants(store, now, jitter=random.random())  # noqa: S311 - so that not all ask at once
    tokens = Tokens(grants, store, store.journal, zalo, apps, now, telemetry, owner=store.owner, deadline=lease)
    quotas = Quotas(zalo, grants, now, telemetry, accounts=settings.accounts, app_secret=proofs.get)
    gates = Gates(
        store,
        _rules(settings),
        grants.trouble,
        telemetry,
        probe_every=delivery.probe_every,
        pause_after_uncertain=delivery.pause_after_uncertain,
        remaining=quotas.remaining,
    )
    pauses = Pauses(store, gates, now, telemetry, operators=operators)
    waiting = Waiting(store, now, gates.hold_on)
    alarm = Alarm(now)
    endpoints = EndpointClient(_destinations(settings))
    callbacks = Callbacks(store, endpoints, settings.told(), now, random.random, telemetry)

    def tell(message: Message) -> None:
        waiting.tell(message)
        if message.state.status in TOLD:
            callbacks.wake(message.caller)

    dispatch = Dispatch(
        store,
        zalo,
        grants,
        tokens,
        gates,
        tell,
        now,
        random.random,
        telemetry,
        alarm,
        owner=store.owner,
        lease=lease,
        backoff=Backoff(delivery.retry_first, delivery.retry_cap),
        app_secret=proofs.get,
        heed_quota=quotas.heed,
    )
    backlog = Backlog(
        store,
        dispatch,
        zalo,
        grants,
        tokens,
        gates,
        tell,
        now,
        telemetry,
        alarm,
        app_secret=proofs.get,
    )

    def note(depths: Sequence[Depth], untold: Sequence[Untold], at: datetime) -> None:
        telemetry.note_queues(depths, untold, at)
        telemetry.note_grants(grants.all(), at)
        telemetry.note_quotas({account: quotas.remaining(account) for account in gates.accounts})
        paused = [hold for account in gates.accounts if (hold := pauses.paused(account)) is not None]
        telemetry.note_stops(paused, callbacks.disabled)

    watch = Watch(
        store,
        store,
        pauses.look,
        note,
        now,
        telemetry,
        max_queued=delivery.max_queued,
        retention=settings.store.retention,
        receipts_kept_for=KEPT_FOR,
    )
    intake = Intake(
        store,
        gates,
        dispatch.depart,
        now,
        telemetry,
        owner=store.owner,
        lease=lease,
        grace=delivery.receipt_grace,
        queue=watch,
        is_busy=dispatch.is_busy,
    )

    def hear(account: str, news: News) -> None:
        if news.kind is Kind.QUOTA:
            quotas.refresh(account)

    keys = {name: Keys(it.app_id, it.webhook_secrets) for name, it in settings.accounts.items()}
    receipts = Receipts(store, judge_of(keys), tell, now, telemetry, operators=operators, hear=hear)
    silence = Silence(store, zalo, grants, tokens, gates, tell, now, telemetry, app_secret=proofs.get)
    orders = Orders(store, lambda: mappings.in_force, now, telemetry, tell, grace=delivery.receipt_grace)
    logins = logins_of(settings, store, zalo, telemetry)
    server = settings.server
    callers = _callers(settings)
    doors = Doors(
        intake=intake,
        waiting=waiting,
        receipts=receipts,
        orders=orders,
        callbacks=callbacks,
        ledger=store,
        gates=gates,
        pauses=pauses,
        quotas=quotas,
        grants=grants,
        logins=logins,
        mappings=mappings,
        exposition=telemetry.exposition,
        observer=telemetry,
        clock=now,
        limits=Limits(server.wait, server.max_body, server.max_batch, server.max_batch_body),
        callers={digest: callers[name] for name, it in settings.callers.items() for digest in it.key_sha256},
        buckets={name: Bucket(caller.max_per_second) for name, caller in callers.items()},
        accounts=frozenset(settings.accounts),
    )
    public_app = make_public_app(doors) if server.public_port else None
    return Gateway(
        app=make_app(doors, has_public_door=public_app is not None),
        public_app=public_app,
        intake=intake,
        gates=gates,
        tokens=tokens,
        logins=logins,
        dispatch=dispatch,
        backlog=backlog,
        waiting=waiting,
        receipts=receipts,
        silence=silence,
        quotas=quotas,
        orders=orders,
        callbacks=callbacks,
        watch=watch,
        mappings=mappings,
        zalo=zalo,
        endpoints=endpoints,
    )


def zalo_of(settings: Settings) -> ZaloClient:
    """What speaks to Zalo."""
    it = settings.zalo
    return ZaloClient(it.api_url, it.oauth_url, it.connect_timeout, it.read_timeout)


def logins_of(settings: Settings, vault: Vault, zalo: ZaloClient, observer: Observer) -> Logins:
    """How accounts come to a grant by consent."""
    registrations = {
        name: Registration(it.app_id, it.app_secret, it.oa_id, it.code_verifier)
        for name, it in settings.accounts.items()
    }
    deadline = settings.zalo.connect_timeout + settings.zalo.read_timeout + LEASE_MARGIN
    oauth_url = settings.zalo.oauth_url
    return Logins(vault, zalo, registrations, now, observer, oauth_url=oauth_url, deadline=deadline)


def _rules(settings: Settings) -> dict[str, AccountRules]:
    return {
        name: AccountRules(it.max_per_second, it.quiet(), it.urgent_reserve)
        for name, it in settings.accounts.items()
    }


def _callers(settings: Settings) -> dict[str, Caller]:
    return {
        name: Caller(name, tuple(it.events), it.role == "operator", it.mode, it.max_per_second)
        for name, it in settings.callers.items()
    }


def _destinations(settings: Settings) -> dict[str, Destination]:
    return {
        name: Destination(it.callback.url, it.callback.secrets)
        for name, it in settings.callers.items()
        if it.callback is not None
    }


def _mappings(loaded: Loaded, telemetry: Telemetry) -> Mappings:
    files = files_of(loaded)
    mapping_set = compiled(loaded, files)

    # In a thread: sending goes on meanwhile.
    async def read() -> Files:
        return await asyncio.to_thread(files_of, loaded)

    async def compile_set(found: Files) -> MappingSet:
        return await asyncio.to_thread(compiled, loaded, found)

    mappings = Mappings(mapping_set, files, read, compile_set, now, telemetry)
    telemetry.label_types_from(lambda: mappings.in_force.mappings)
    telemetry.fact("mappings-loaded", count=len(mapping_set.mappings), version=mapping_set.version)
    return mappings
