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
from .core.mapping import MappingSet, compile_mappings
from .core.receipt import Receipt
from .core.schedule import Backoff
from .dispatch import Dispatch
from .gates import AccountRules, Gates
from .http.app import make_app, make_public_app
from .http.doors import Doors, Limits
from .intake import Intake
from .ports import Forged, Judge, Probe, Signed, Verdict
from .receipts import KEPT_FOR, Receipts
from .storage import SqliteStore
from .telemetry import Telemetry
from .tokens import App, Tokens
from .waiting import Waiting
from .watch import Watch
from .zalo.client import ZaloClient
from .zalo.webhook import OtherEvent, Unreadable, read_webhook, verify

_LEASE_MARGIN = timedelta(seconds=5)


class Gateway(msgspec.Struct, frozen=True):
    """A gateway that runs, and how it is brought to rest."""

    app: Litestar
    public_app: Litestar | None
    intake: Intake
    dispatch: Dispatch
    waiting: Waiting

    async def drain(self) -> None:
        """Nothing new is accepted, every request under way has its outcome recorded, nobody waits any more."""
        self.intake.close()
        await self.dispatch.drain()
        self.waiting.close()


def now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(UTC)


def mappings_of(loaded: Loaded) -> MappingSet:
    """The mappings beside the configuration; raises MappingFaults with every fault."""
    return compile_mappings(loaded.mappings, templates=loaded.templates, accounts=loaded.settings.accounts)


@asynccontextmanager
async def running(loaded: Loaded, telemetry: Telemetry, store: SqliteStore) -> AsyncIterator[Gateway]:
    """A gateway that works for as long as the context lasts, and has drained after it."""
    settings = loaded.settings
    mapping_set = mappings_of(loaded)
    telemetry.label_types_from(lambda: mapping_set.mappings)
    telemetry.fact("mappings-loaded", count=len(mapping_set.mappings), version=mapping_set.version)
    zalo = ZaloClient(
        settings.zalo.api_url, settings.zalo.oauth_url, settings.zalo.connect_timeout, settings.zalo.read_timeout
    )
    exchange = settings.zalo.connect_timeout + settings.zalo.read_timeout
    lease = exchange + _LEASE_MARGIN
    apps = {name: App(account.app_id, account.app_secret) for name, account in settings.accounts.items()}
    tokens = Tokens(store, zalo, apps, now, telemetry, owner=store.owner, deadline=lease)
    rules = {name: AccountRules(it.max_per_second, it.quiet()) for name, it in settings.accounts.items()}
    gates = Gates(store, rules, tokens.trouble, telemetry)
    waiting = Waiting(store, now)
    proofs = {name: it.app_secret for name, it in settings.accounts.items() if it.appsecret_proof}
    dispatch = Dispatch(
        store,
        zalo,
        tokens,
        gates,
        waiting.tell,
        now,
        random.random,
        telemetry,
        owner=store.owner,
        lease=lease,
        backoff=Backoff(settings.delivery.retry_first, settings.delivery.retry_cap),
        probe_every=settings.delivery.probe_every,
        pause_after_uncertain=settings.delivery.pause_after_uncertain,
        app_secret=proofs.get,
    )
    watch = Watch(
        store,
        tokens.grants,
        telemetry.note_state,
        now,
        telemetry,
        max_queued=settings.delivery.max_queued,
        retention=settings.store.retention,
        receipts_kept_for=KEPT_FOR,
    )
    intake = Intake(
        store,
        gates,
        lambda: mapping_set,
        dispatch.depart,
        now,
        telemetry,
        owner=store.owner,
        lease=lease,
        is_full=watch.is_full,
    )
    receipts = Receipts(store, _judge(settings), waiting.tell, now, telemetry)
    doors = _doors(settings, intake, waiting, receipts, store, gates, mapping_set, telemetry)
    public_app = make_public_app(doors) if settings.server.public_port else None
    app = make_app(doors, has_public_door=public_app is not None)

    await gates.reload(now())
    await tokens.reload()
    await dispatch.recover()
    await watch.look()
    loops = [asyncio.create_task(loop()) for loop in (dispatch.run, receipts.run, watch.run)]
    gateway = Gateway(app, public_app, intake, dispatch, waiting)
    try:
        yield gateway
    finally:
        await gateway.drain()
        receipts.stop()
        watch.stop()
        await asyncio.gather(*loops)
        await tokens.aclose()
        await zalo.aclose()


def _doors(
    settings: Settings,
    intake: Intake,
    waiting: Waiting,
    receipts: Receipts,
    store: SqliteStore,
    gates: Gates,
    mapping_set: MappingSet,
    telemetry: Telemetry,
) -> Doors:
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
        mappings=lambda: mapping_set,
        exposition=telemetry.exposition,
        observer=telemetry,
        clock=now,
        limits=Limits(server.wait, server.max_body, server.max_batch, server.max_batch_body),
        callers={digest: callers[name] for name, it in settings.callers.items() for digest in it.key_sha256},
        buckets={name: Bucket(caller.max_per_second) for name, caller in callers.items()},
        accounts=frozenset(settings.accounts),
    )


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
