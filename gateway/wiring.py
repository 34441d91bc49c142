"""The only room that builds things and sees Settings: what is made of what, and in which order it starts and drains."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
from litestar import Litestar

from .config import Loaded, Settings
from .core.caller import Bucket, Caller
from .core.grant import Trouble
from .core.mapping import MappingSet, compile_mappings
from .core.receipt import Receipt
from .core.schedule import Backoff
from .dispatch import LEASE_MARGIN, Dispatch
from .gates import AccountRules, Gates
from .grants import Grants
from .http.app import make_app, make_public_app
from .http.doors import Doors, Limits
from .intake import Intake
from .logins import Logins, Registration
from .mappings import Files, Mappings
from .ports import Forged, Judge, Observer, Probe, Signed, Vault, Verdict
from .receipts import KEPT_FOR, Receipts
from .storage import SqliteStore
from .telemetry import Telemetry
from .tokens import App, Tokens
from .waiting import Waiting
from .watch import Watch
from .zalo.client import ZaloClient
from .zalo.webhook import OtherEvent, Unreadable, read_webhook, verify


class Gateway(msgspec.Struct, frozen=True):
    """A gateway: its doors, and everything behind them that runs and must be brought to rest."""

    app: Litestar
    public_app: Litestar | None
    intake: Intake
    gates: Gates
    tokens: Tokens
    logins: Logins
    dispatch: Dispatch
    waiting: Waiting
    receipts: Receipts
    watch: Watch
    mappings: Mappings
    zalo: ZaloClient

    async def prepare(self) -> None:
        """What the store holds is known, and what dead processes left open is concluded."""
        await self.gates.reload(now())
        await self.tokens.look()
        await self.dispatch.recover()
        await self.watch.look()

    async def drain(self) -> None:
        """Nothing new is accepted, every request under way has its outcome recorded, nobody waits any more."""
        self.tokens.stop()
        await self.intake.drain()
        await self.dispatch.drain()
        self.waiting.close()

    async def aclose(self) -> None:
        """Drained, and no connection is open any more."""
        await self.drain()
        self.receipts.stop()
        self.watch.stop()
        self.mappings.stop()
        await self.logins.aclose()
        await self.tokens.aclose()
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
    loops: list[asyncio.Task[None]] = []
    try:
        await gateway.prepare()
        runs = (gateway.dispatch.run, gateway.receipts.run, gateway.watch.run, gateway.mappings.run)
        loops += [asyncio.create_task(run()) for run in runs]
        yield gateway
    finally:
        await gateway.aclose()
        await asyncio.gather(*loops)


def build(loaded: Loaded, telemetry: Telemetry, store: SqliteStore) -> Gateway:
    """What a gateway is made of; raises MappingFaults with every fault of the mappings. Nothing runs yet."""
    settings = loaded.settings
    mappings = _mappings(loaded, telemetry)
    lease = settings.zalo.connect_timeout + settings.zalo.read_timeout + LEASE_MARGIN
    zalo = ZaloClient(
        settings.zalo.api_url, settings.zalo.oauth_url, settings.zalo.connect_timeout, settings.zalo.read_timeout
    )
    apps = {name: App(account.app_id, account.app_secret) for name, account in settings.accounts.items()}
    grants = Grants(store, now, jitter=random.random())  # noqa: S311 - so that not all ask at once
    tokens = Tokens(grants, store, store.journal, zalo, apps, now, telemetry, owner=store.owner, deadline=lease)
    rules = {name: AccountRules(it.max_per_second, it.quiet()) for name, it in settings.accounts.items()}
    gates = Gates(
        store,
        rules,
        grants.trouble,
        telemetry,
        probe_every=settings.delivery.probe_every,
        pause_after_uncertain=settings.delivery.pause_after_uncertain,
    )
    waiting = Waiting(store, now, gates.hold_on)
    dispatch = _dispatch(settings, store, zalo, grants, tokens, gates, waiting, telemetry, lease)
    watch = _watch(settings, store, grants, telemetry)
    intake = Intake(
        store,
        gates,
        dispatch.depart,
        now,
        telemetry,
        owner=store.owner,
        lease=lease,
        queue=watch,
        is_busy=dispatch.is_busy,
    )
    receipts = Receipts(store, _judge(settings), waiting.tell, now, telemetry)
    logins = logins_of(settings, store, zalo, telemetry)
    doors = _doors(settings, intake, waiting, receipts, store, gates, grants, logins, mappings, telemetry)
    public_app = make_public_app(doors) if settings.server.public_port else None
    app = make_app(doors, has_public_door=public_app is not None)
    return Gateway(
        app, public_app, intake, gates, tokens, logins, dispatch, waiting, receipts, watch, mappings, zalo
    )


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


def _dispatch(
    settings: Settings,
    store: SqliteStore,
    zalo: ZaloClient,
    grants: Grants,
    tokens: Tokens,
    gates: Gates,
    waiting: Waiting,
    telemetry: Telemetry,
    lease: timedelta,
) -> Dispatch:
    proofs = {name: it.app_secret for name, it in settings.accounts.items() if it.appsecret_proof}
    return Dispatch(
        store,
        zalo,
        grants,
        tokens,
        gates,
        waiting.tell,
        now,
        random.random,
        telemetry,
        owner=store.owner,
        lease=lease,
        backoff=Backoff(settings.delivery.retry_first, settings.delivery.retry_cap),
        app_secret=proofs.get,
    )


def _watch(settings: Settings, store: SqliteStore, grants: Grants, telemetry: Telemetry) -> Watch:
    return Watch(
        store,
        grants.all,
        telemetry.note_state,
        now,
        telemetry,
        max_queued=settings.delivery.max_queued,
        retention=settings.store.retention,
        receipts_kept_for=KEPT_FOR,
    )


def _doors(
    settings: Settings,
    intake: Intake,
    waiting: Waiting,
    receipts: Receipts,
    store: SqliteStore,
    gates: Gates,
    grants: Grants,
    logins: Logins,
    mappings: Mappings,
    telemetry: Telemetry,
) -> Doors:
    def trouble(account: str) -> Trouble | None:
        grant = grants.grant(account)
        return None if grant is None else grant.trouble

    callers = {
        name: Caller(name, tuple(it.events), it.role == "operator", it.mode, it.max_per_second)
        for name, it in settings.callers.items()
    }
    server = settings.server
    return Doors(
        intake=intake,
        waiting=waiting,
        receipts=receipts,
        ledger=store,
        gates=gates,
        logins=logins,
        mappings=mappings,
        exposition=telemetry.exposition,
        observer=telemetry,
        clock=now,
        limits=Limits(server.wait, server.max_body, server.max_batch, server.max_batch_body),
        callers={digest: callers[name] for name, it in settings.callers.items() for digest in it.key_sha256},
        buckets={name: Bucket(caller.max_per_second) for name, caller in callers.items()},
        accounts=frozenset(settings.accounts),
        trouble=trouble,
    )


def logins_of(settings: Settings, vault: Vault, zalo: ZaloClient, observer: Observer) -> Logins:
    """How accounts come to a grant by consent."""
    registrations = {
        name: Registration(it.app_id, it.app_secret, it.oa_id, it.code_verifier)
        for name, it in settings.accounts.items()
    }
    deadline = settings.zalo.connect_timeout + settings.zalo.read_timeout + LEASE_MARGIN
    oauth_url = settings.zalo.oauth_url
    return Logins(vault, zalo, registrations, now, observer, oauth_url=oauth_url, deadline=deadline)


def _judge(settings: Settings) -> Judge:
    """How a webhook call is told from a forged one."""

    def judge(account: str, signature: bytes | None, server: bytes | None, body: bytes) -> Verdict:
        configured = settings.accounts[account]
        if signature is None and body.strip() in (b"", b"{}"):
            return Probe()
        if not verify(signature, body, configured.app_id, configured.webhook_secrets):
            return Forged()
        said = read_webhook(body, server)
        if isinstance(said, Receipt):
            return Signed("user_received_message", said)
        name = said.name if isinstance(said, OtherEvent) else type(said).__name__
        return Forged() if isinstance(said, Unreadable) else Signed(name, None)

    return judge
