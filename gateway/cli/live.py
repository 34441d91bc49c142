"""What Zalo says of templates now: which ones are wanted, and each one's definition, or why there is none."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.config import Loaded
from gateway.core.errors import CannotStart, clip
from gateway.core.grant import AppSecret, Grant, Token
from gateway.core.grant_health import cure_of_credentials
from gateway.core.mapping_faults import ConfigFault, nearest_to
from gateway.core.silence import Unclear
from gateway.core.template import UnreadableTemplate, read_template
from gateway.core.template_table import IDENTIFIER
from gateway.core.toml_file import open_toml
from gateway.storage import kind_of
from gateway.zalo.client import ZaloClient

from .tables import clock
from .terminal import Asking, now

NO_SUCH_TEMPLATE: Final = -109  # Source: docs/zalo.md §5
# After one of these the next question would only wait as long for the same.
_OUT_OF_REACH: Final = frozenset(
    {"name-not-resolved", "connection-refused", "connect-timed-out", "tls-failed", "timed-out"}
)


class Wanted(msgspec.Struct, frozen=True):
    """A template, and the account whose it is."""

    template_id: str
    account: str


class Found(msgspec.Struct, frozen=True):
    """Zalo's definition: as JSON, and as the bytes of a snapshot that `read_template` takes."""

    document: Mapping[str, Any]
    raw: bytes


class Missing(msgspec.Struct, frozen=True):
    """Zalo gives no usable definition; `number` is its error where it said one."""

    detail: str
    number: int | None = None


class Heard(msgspec.Struct, frozen=True):
    """What was learnt of each template that could be asked for, and of each account why it could not be asked."""

    answers: Mapping[Wanted, Found | Missing]
    troubles: tuple[str, ...]


def wanted_templates(
    loaded: Loaded, mappings: Mapping[str, bytes], ids: Sequence[str], account: str | None
) -> tuple[list[Wanted], list[str]]:
    """The templates with these ids, or all that mappings use; and why that may not be all of them.

    Mappings are only searched, since a template may be wanted in order to mend them. Raises CannotStart for an id
    that is none, or whose account nobody can know.
    """
    accounts = loaded.settings.accounts
    if account is not None and account not in accounts:
        raise CannotStart(f"there is no account {clip(account)}; {nearest_to(account, accounts)}")
    sole = next(iter(accounts)) if len(accounts) == 1 else None
    uses, troubles = _uses(mappings, accounts, sole)
    if not ids:
        found = [Wanted(template_id, owner) for template_id, owner in uses.items()]
        return [each for each in found if account in (None, each.account)], troubles
    wanted = []
    for template_id in dict.fromkeys(ids):
        owner = account or uses.get(template_id) or sole
        if IDENTIFIER.fullmatch(template_id) is None:
            raise CannotStart(f"{clip(template_id)} is no template id; write the id that Zalo gave it")
        if owner is None:
            listed = ", ".join(accounts)
            raise CannotStart(
                f"no mapping uses template {template_id}, so nobody knows whose it is; add --account ({listed})"
            )
        wanted.append(Wanted(template_id, owner))
    return wanted, []


def _uses(
    mappings: Mapping[str, bytes], accounts: Mapping[str, Any], sole: str | None
) -> tuple[dict[str, str], list[str]]:
    """The account of every template that a mapping uses, and the mappings that do not say."""
    uses: dict[str, str] = {}
    troubles = []
    for file, raw in mappings.items():
        opened = open_toml(file, raw)
        if isinstance(opened, ConfigFault):
            troubles.append(str(opened))
            continue
        owner = opened.document.get("account", sole)
        if not isinstance(owner, str) or owner not in accounts:
            what = "does not say which configured account its templates belong to"
            troubles.append(f"{file}:1: {what}, zns-gateway check says more")
            continue
        tables = opened.document.get("template")
        for table in tables if isinstance(tables, list) else [tables]:
            template_id = str(table.get("id", "")) if isinstance(table, dict) else ""
            if IDENTIFIER.fullmatch(template_id):
                uses.setdefault(template_id, owner)
    return uses, troubles


def hear(asking: Asking, loaded: Loaded, wanted: Sequence[Wanted]) -> Heard:
    """What Zalo says of each now; raises CannotStart if there is no store to take a token from.

    The access tokens are used as they are: to renew one is the business of the gateway that serves.
    """
    _hold_apart(loaded)
    return asyncio.run(_heard(asking, loaded, wanted))


def _hold_apart(loaded: Loaded) -> None:
    """No token of a simulator goes to Zalo, and none of Zalo's to whatever listens on this machine."""
    settings = loaded.settings
    kind, is_simulated = kind_of(settings.store.url), settings.zalo.is_simulated
    if kind == "simulated" and not is_simulated:
        raise CannotStart(
            f"the store {settings.store.url} holds a token of the simulator's, which means nothing to "
            f"{settings.zalo.api_url}; name the simulator in zalo.api_url and zalo.oauth_url, or set another store.url"
        )
    if kind == "live" and is_simulated:
        raise CannotStart(
            f"the store {settings.store.url} holds a real token, and {settings.zalo.api_url} is not Zalo; "
            "set zalo.api_url, or another store.url"
        )


async def _heard(asking: Asking, loaded: Loaded, wanted: Sequence[Wanted]) -> Heard:
    zalo = loaded.settings.zalo
    store = await asking.open_store(loaded, must_exist=True)
    try:
        grants = {name: await store.grant(name) for name in dict.fromkeys(each.account for each in wanted)}
    finally:
        await store.aclose()
    answers: dict[Wanted, Found | Missing] = {}
    troubles: dict[str, str] = {}
    client = ZaloClient(zalo.api_url, zalo.oauth_url, zalo.connect_timeout, zalo.read_timeout)
    try:
        for each in wanted:
            if each.account in troubles:
                continue
            heard = await _ask(client, loaded, each, grants[each.account])
            if isinstance(heard, str):
                troubles[each.account] = heard
            else:
                answers[each] = heard
    finally:
        await client.aclose()
    return Heard(answers, tuple(troubles.values()))


async def _ask(client: ZaloClient, loaded: Loaded, wanted: Wanted, grant: Grant | None) -> Found | Missing | str:
    """What Zalo says of the template; or why there is no use in asking for others of its account."""
    account = loaded.settings.accounts[wanted.account]
    if grant is None:
        cure = cure_of_credentials(wanted.account, has_grant=False)
        return f"account {wanted.account} has no grant: {cure}"
    if now() >= grant.expires_at:
        gone = f"the access token of account {wanted.account} expired at {clock(grant.expires_at)}"
        return f"{gone}: {_cure(grant)}"
    proof = AppSecret(account.app_secret) if account.appsecret_proof else None
    heard = await client.template(Token(grant.access, grant.generation, proof), wanted.template_id)
    if not isinstance(heard, Unclear):
        return _definition(wanted.template_id, heard)
    error = heard.error
    if heard.wants_new_grant:
        said = "" if error.zalo is None else f" ({error.zalo.error})"
        return f"Zalo does not take the access token of account {wanted.account}{said}: {_cure(grant)}"
    if error.code in _OUT_OF_REACH:
        return f"{error.detail} ({loaded.settings.zalo.api_url}): look at zalo.api_url and at the network, and try again"
    if error.zalo is None:
        return Missing(error.detail)
    if error.zalo.error == NO_SUCH_TEMPLATE:
        return Missing(f"Zalo has no such template for account {wanted.account}", NO_SUCH_TEMPLATE)
    return Missing(f"Zalo refuses to tell: {error.detail}", error.zalo.error)


def _cure(grant: Grant) -> str:
    imported = cure_of_credentials(grant.account)
    if not grant.is_alive:
        return imported
    return f"a running gateway renews it (zns-gateway serve); without one: {imported}"


def _definition(template_id: str, document: dict[str, Any]) -> Found | Missing:
    """The definition, if a mapping can be compiled with what would be written."""
    try:
        raw = f"{json.dumps(document, ensure_ascii=False, indent=2)}\n".encode()
        template = read_template(raw)
    except UnreadableTemplate as unreadable:
        return Missing(f"Zalo's answer is no definition: it {unreadable.detail}")
    except (ValueError, RecursionError):
        return Missing("Zalo's answer is no definition: it cannot be written as a file")
    if template.id and template.id != template_id:
        return Missing(f"Zalo's answer is the definition of another template, {clip(template.id)}")
    return Found(document, raw)
