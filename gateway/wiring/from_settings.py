"""What is made of the settings alone: each part gets that, and never the settings themselves."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from gateway.config import Loaded, Settings
from gateway.core.caller import Caller
from gateway.core.mapping import MappingSet, compile_mappings
from gateway.dispatch import LEASE_MARGIN
from gateway.endpoints.client import Destination
from gateway.gates import AccountRules
from gateway.logins import Logins, Registration
from gateway.mappings import Files
from gateway.ports import Observer, Vault
from gateway.zalo.client import ZaloClient


def now() -> datetime:
    """The time, aware and in UTC."""
    return datetime.now(UTC)


def files_of(loaded: Loaded) -> Files:
    """The mappings and snapshots that lie beside the configuration now; raises CannotStart."""
    return Files(loaded.mappings, loaded.templates)


def compiled(loaded: Loaded, files: Files) -> MappingSet:
    """What the files say; raises MappingFaults with every fault."""
    return compile_mappings(files.mappings, templates=files.templates, accounts=loaded.settings.accounts)


def lease_of(settings: Settings) -> timedelta:
    """How long an attempt, or a refresh, may take before anyone may conclude it."""
    return settings.zalo.connect_timeout + settings.zalo.read_timeout + LEASE_MARGIN


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
    oauth_url = settings.zalo.oauth_url
    return Logins(vault, zalo, registrations, now, observer, oauth_url=oauth_url, deadline=lease_of(settings))


def rules_of(settings: Settings) -> Mapping[str, AccountRules]:
    """What each account's sending keeps to."""
    return {
        name: AccountRules(it.max_per_second, it.quiet(), it.urgent_reserve)
        for name, it in settings.accounts.items()
    }


def callers_of(settings: Settings) -> Mapping[str, Caller]:
    """Who may call, by name."""
    return {
        name: Caller(name, tuple(it.events), it.role == "operator", it.mode, it.max_per_second)
        for name, it in settings.callers.items()
    }


def destinations_of(settings: Settings) -> Mapping[str, Destination]:
    """Where callers are told, by name."""
    return {
        name: Destination(it.callback.url, it.callback.secrets)
        for name, it in settings.callers.items()
        if it.callback is not None
    }
