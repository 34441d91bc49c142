"""What is made of what: each part is built once, when the first other one needs it."""
# ruff: noqa: D102 - what each part is, its type says

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

from litestar import Litestar

from gateway.alarm import Alarm
from gateway.backlog import Backlog
from gateway.callbacks import Callbacks
from gateway.config import Loaded
from gateway.core.callback import TOLD
from gateway.core.caller import Bucket
from gateway.core.grant import AppSecret
from gateway.core.mapping import MappingSet
from gateway.core.message import Message
from gateway.core.news import Kind, News
from gateway.core.schedule import Backoff
from gateway.dispatch import Dispatch
from gateway.endpoints.client import EndpointClient
from gateway.gates import Gates
from gateway.grants import Grants
from gateway.http.app import make_app, make_public_app
from gateway.http.doors import Doors, Limits
from gateway.intake import Intake
from gateway.logins import Logins
from gateway.mappings import Files, Mappings
from gateway.orders import Orders
from gateway.pauses import Pauses
from gateway.ports import Depth, Untold
from gateway.quotas import Quotas
from gateway.receipts import KEPT_FOR, Receipts
from gateway.silence import Silence
from gateway.storage import SqliteStore
from gateway.telemetry import Telemetry
from gateway.tokens import App, Tokens
from gateway.waiting import Waiting
from gateway.watch import Watch
from gateway.zalo.client import ZaloClient
from gateway.zalo.webhook import Keys, judge_of

from .from_settings import (
    callers_of,
    compiled,
    destinations_of,
    files_of,
    lease_of,
    logins_of,
    now,
    rules_of,
    zalo_of,
)


class Parts:
    """The parts of one gateway, none of which runs yet."""

    def __init__(self, loaded: Loaded, telemetry: Telemetry, store: SqliteStore) -> None:
        """Raises MappingFaults with every fault of the mappings."""
        self._settings = loaded.settings
        self._telemetry = telemetry
        self._store = store
        self._lease = lease_of(loaded.settings)
        self._alarm = Alarm(now)
        self.mappings = _mappings(loaded, telemetry)

    # -- accepting --

    @cached_property
    def intake(self) -> Intake:
        return Intake(
            self._store,
            self.gates,
            self.dispatch.depart,
            now,
            self._telemetry,
            owner=self._store.owner,
            lease=self._lease,
            grace=self._settings.delivery.receipt_grace,
            queue=self.watch,
            is_busy=self.dispatch.is_busy,
        )

    @cached_property
    def orders(self) -> Orders:
        grace = self._settings.delivery.receipt_grace
        return Orders(self._store, lambda: self.mappings.in_force, now, self._telemetry, self._tell, grace=grace)

    # -- Zalo, and what it takes to speak to it --

    @cached_property
    def zalo(self) -> ZaloClient:
        return zalo_of(self._settings)

    @cached_property
    def grants(self) -> Grants:
        jitter = random.random()  # noqa: S311 - so that not all ask at once
        accounts = self._settings.accounts.items()
        proofs = {name: AppSecret(it.app_secret) for name, it in accounts if it.appsecret_proof}
        return Grants(self._store, now, jitter=jitter, proofs=proofs)

    @cached_property
    def tokens(self) -> Tokens:
        apps = {name: App(it.app_id, it.app_secret) for name, it in self._settings.accounts.items()}
        return Tokens(
            self.grants,
            self._store,
            self._store.journal,
            self.zalo,
            apps,
            now,
            self._telemetry,
            owner=self._store.owner,
            deadline=self._lease,
        )

    @cached_property
    def logins(self) -> Logins:
        return logins_of(self._settings, self._store, self.zalo, self._telemetry)

    @cached_property
    def quotas(self) -> Quotas:
        accounts = self._settings.accounts
        return Quotas(self.zalo, self.grants, now, self._telemetry, accounts=accounts)

    # -- sending --

    @cached_property
    def gates(self) -> Gates:
        delivery = self._settings.delivery
        return Gates(
            self._store,
            rules_of(self._settings),
            self.grants.trouble,
            self._telemetry,
            probe_every=delivery.probe_every,
            pause_after_uncertain=delivery.pause_after_uncertain,
            remaining=self.quotas.remaining,
        )

    @cached_property
    def dispatch(self) -> Dispatch:
        delivery = self._settings.delivery
        return Dispatch(
            self._store,
            self.zalo,
            self.grants,
            self.tokens,
            self.gates,
            self._tell,
            now,
            random.random,
            self._telemetry,
            self._alarm,
            owner=self._store.owner,
            lease=self._lease,
            backoff=Backoff(delivery.retry_first, delivery.retry_cap),
            heed_quota=self.quotas.heed,
        )

    @cached_property
    def backlog(self) -> Backlog:
        return Backlog(
            self._store,
            self.dispatch,
            self.zalo,
            self.grants,
            self.tokens,
            self.gates,
            self._tell,
            now,
            self._telemetry,
            self._alarm,
        )

    # -- what became of it --

    @cached_property
    def receipts(self) -> Receipts:
        keys = {
            name: Keys(it.app_id, it.webhook_secrets, it.oa_id) for name, it in self._settings.accounts.items()
        }
        return Receipts(
            self._store,
            judge_of(keys),
            self._tell,
            now,
            self._telemetry,
            operators=self._operators,
            hear=self._hear,
        )

    def _hear(self, account: str, news: News) -> None:
        if news.kind is Kind.QUOTA:
            self.quotas.refresh(account)

    @cached_property
    def silence(self) -> Silence:
        return Silence(
            self._store,
            self.zalo,
            self.grants,
            self.tokens,
            self.gates,
            self._tell,
            now,
            self._telemetry,
        )

    # -- telling --

    def _tell(self, message: Message) -> None:
        self.waiting.tell(message)
        if message.state.status in TOLD:
            self.callbacks.wake(message.caller)

    @cached_property
    def waiting(self) -> Waiting:
        return Waiting(self._store, now, self.gates.hold_on)

    @cached_property
    def endpoints(self) -> EndpointClient:
        return EndpointClient(destinations_of(self._settings))

    @cached_property
    def callbacks(self) -> Callbacks:
        told = self._settings.told()
        return Callbacks(self._store, self.endpoints, told, now, random.random, self._telemetry)

    @cached_property
    def pauses(self) -> Pauses:
        return Pauses(self._store, self.gates, now, self._telemetry, operators=self._operators)

    @cached_property
    def _operators(self) -> list[str]:
        """The operators who want to be told."""
        callers = self._settings.callers
        return [name for name in self._settings.told() if callers[name].role == "operator"]

    @cached_property
    def watch(self) -> Watch:
        return Watch(
            self._store,
            self._store,
            self.pauses.look,
            self._note,
            now,
            self._telemetry,
            max_queued=self._settings.delivery.max_queued,
            retention=self._settings.store.retention,
            receipts_kept_for=KEPT_FOR,
        )

    def _note(self, depths: Sequence[Depth], untold: Sequence[Untold], at: datetime) -> None:
        accounts = self.gates.accounts
        self._telemetry.note_queues(depths, untold, at)
        self._telemetry.note_grants(self.grants.all(), self.grants.troubles(accounts, at), at)
        self._telemetry.note_quotas({account: self.quotas.remaining(account) for account in accounts})
        paused = [hold for account in accounts if (hold := self.pauses.paused(account)) is not None]
        narrow = [hold for account in accounts for hold in self.gates.narrow_holds(account, at)]
        self._telemetry.note_stops(paused, narrow, self.callbacks.disabled)

    # -- doors --

    @cached_property
    def app(self) -> Litestar:
        return make_app(self._doors, has_public_door=self.public_app is not None)

    @cached_property
    def public_app(self) -> Litestar | None:
        return make_public_app(self._doors) if self._settings.server.public_port else None

    @cached_property
    def _doors(self) -> Doors:
        settings, server = self._settings, self._settings.server
        callers = callers_of(settings)
        return Doors(
            intake=self.intake,
            waiting=self.waiting,
            receipts=self.receipts,
            orders=self.orders,
            callbacks=self.callbacks,
            ledger=self._store,
            gates=self.gates,
            pauses=self.pauses,
            quotas=self.quotas,
            grants=self.grants,
            logins=self.logins,
            mappings=self.mappings,
            exposition=self._telemetry.exposition,
            observer=self._telemetry,
            clock=now,
            limits=Limits(server.wait, server.max_body, server.max_batch, server.max_batch_body),
            callers={digest: callers[name] for name, it in settings.callers.items() for digest in it.key_sha256},
            buckets={name: Bucket(caller.max_per_second) for name, caller in callers.items()},
            accounts=frozenset(settings.accounts),
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
