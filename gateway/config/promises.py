"""What Settings promise one another and the world: one function a table, so that each says all it has to say."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from gateway.core.errors import CannotStart
from gateway.core.login import is_verifier
from gateway.core.signing import read_secret

from .faults import Place
from .settings import Account, Callback, Caller, Delivery, Secrets, Server, Store, Zalo, is_here, sealing_key

MAX_WAIT: Final = timedelta(seconds=60)
_KEEPERS_TO_COME: Final = ("redis", "rediss", "redis+sentinel", "redis+cluster")
_MAKE_KEY: Final = "put the output of `head -c 32 /dev/urandom | base64` there"
_MAKE_WHSEC: Final = 'make one: echo "whsec_$(openssl rand -base64 32)"'
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_NUMBERS: Final = re.compile(r"[0-9.]+")

Broken = Iterator[tuple[Place, str, str]]
"""The place of each promise that is not kept, what is wrong, and the cure."""


def of_secrets(secrets: Secrets) -> Broken:
    """The store can be sealed."""
    if not secrets.keys:
        yield ("secrets", "keys"), "secrets.keys is empty", _MAKE_KEY
    for number, text in enumerate(secrets.keys):
        try:
            sealing_key(text)
        except CannotStart as error:
            yield ("secrets", "keys", number), error.detail, _MAKE_KEY


def of_server(server: Server) -> Broken:
    """No call waits for ever, and each listener has a port of its own."""
    if server.wait > MAX_WAIT:
        yield ("server", "wait"), "server.wait is longer than 60s", "60s is the most; 10s is the default"
    if server.port and server.public_port == server.port:
        yield (
            ("server", "public_port"),
            "server.public_port is server.port",
            "choose another one, or 0 for one listener",
        )
    if server.public_url and not _is_base_url(server.public_url):
        what = "server.public_url is not the beginning of a URL"
        yield ("server", "public_url"), what, 'write one such as "https://zns.example.com", without a query'
    if not server.host:
        yield ("server", "host"), "server.host is empty", 'write "127.0.0.1", or "0.0.0.0" for every address'
    if server.max_batch_body < server.max_body:
        yield (
            ("server", "max_batch_body"),
            "server.max_batch_body is smaller than server.max_body",
            "make it larger",
        )


def of_store(store: Store) -> Broken:
    """The URL names a keeper that there is."""
    cure = 'write "sqlite:///var/gateway.db" (relative) or "sqlite:////srv/gateway.db" (absolute)'
    scheme = store.url.partition(":")[0]
    if scheme in _KEEPERS_TO_COME:
        yield (
            ("store", "url"),
            f"store.url is {scheme}://…, and this version keeps its messages in SQLite only",
            cure,
        )
    elif re.match(r"sqlite:///[^?#]", store.url) is None:
        yield ("store", "url"), "store.url names no store", cure


def of_zalo(zalo: Zalo) -> Broken:
    """There is somebody to talk to, and time to do it."""
    for name in ("connect_timeout", "read_timeout"):
        if getattr(zalo, name) <= timedelta(0):
            yield ("zalo", name), f"zalo.{name} is nothing", "give it some time, such as 2s"
    for name in ("api_url", "oauth_url"):
        if not _is_url(getattr(zalo, name)):
            yield ("zalo", name), f"zalo.{name} is no URL", "write one such as https://business.openapi.zalo.me"
    if is_here(zalo.api_url) != is_here(zalo.oauth_url):
        what = "zalo.api_url and zalo.oauth_url are not both Zalo or both a simulator on this machine"
        yield ("zalo", "oauth_url"), what, "real and simulated grants are never mixed: change one of them"


def of_delivery(delivery: Delivery) -> Broken:
    """Delays grow, and what is paused is tried now and then."""
    if delivery.retry_first > delivery.retry_cap:
        what = "delivery.retry_first is longer than delivery.retry_cap"
        yield ("delivery", "retry_first"), what, "make it shorter, or the cap longer"
    if delivery.probe_every <= timedelta(0):
        yield ("delivery", "probe_every"), "delivery.probe_every is nothing", "10s is the default"


def of_accounts(accounts: Mapping[str, Account]) -> Broken:
    """Each account can prove who it is, and only Zalo can sign its webhooks."""
    if not accounts:
        yield ("accounts",), "there is no account", "add [accounts.main]"
    for name, account in accounts.items():
        place = ("accounts", name)
        for key in ("app_id", "app_secret"):
            if not getattr(account, key).strip():
                yield (*place, key), f"accounts.{name}.{key} is empty", "copy it from the app's page at Zalo"
        if not all(secret.strip() for secret in account.webhook_secrets):
            what = f"accounts.{name}.webhook_secrets holds an empty secret, which anybody could sign with"
            yield (
                (*place, "webhook_secrets"),
                what,
                "copy the OA Secret Key from the app's Webhook page, or leave it out",
            )
        if account.code_verifier and not is_verifier(account.code_verifier):
            what = f"accounts.{name}.code_verifier is none that PKCE allows"
            cure = "it is 43 to 128 characters of A-Z a-z 0-9 - . _ ~; leave it out for a new one at each login"
            yield (*place, "code_verifier"), what, cure
        try:
            account.quiet()
        except ValueError as error:
            yield (*place, "quiet_hours"), f"accounts.{name}.quiet_hours is no stretch of a day", f"it {error}"


def of_callers(callers: Mapping[str, Caller]) -> Broken:
    """A key says who calls, and a callback can be made."""
    owners: dict[str, str] = {}
    for name, caller in callers.items():
        for digest in caller.key_sha256:
            owner = owners.setdefault(digest, name)
            if owner != name:
                what = f"callers {owner} and {name} share a key"
                yield ("callers", name, "key_sha256"), what, f"make one for each: zns-gateway key new {name}"
        if caller.callback is not None:
            yield from _of_callback(name, caller.callback)


def _of_callback(name: str, callback: Callback) -> Broken:
    place, key = ("callers", name, "callback"), f"callers.{name}.callback"
    if not _is_url(callback.url):
        cure = "write one of http or https with a host, such as http://checkout.internal/zns"
        yield (*place, "url"), f"{key}.url is no URL", cure
    elif "@" in urlsplit(callback.url).netloc:
        what = f"{key}.url holds a user name or a password, which is never sent"
        yield (*place, "url"), what, "take it away: the signature tells the endpoint who calls"
    if "#" in callback.url:
        what = f"{key}.url holds a fragment, which is never sent"
        yield (*place, "url"), what, "take the # away, and what follows it"
    if not callback.secrets:
        yield (*place, "secrets"), f"{key}.secrets is empty", _MAKE_WHSEC
    for number, text in enumerate(callback.secrets):
        try:
            read_secret(text)
        except ValueError as error:
            what = f"{key}.secrets holds what is {error}"
            yield (*place, "secrets", number), what, _MAKE_WHSEC


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        is_ours = parts.scheme in ("http", "https") and parts.port != 0 and text.isprintable()
        return is_ours and _is_host(parts.hostname or "")
    except ValueError:
        return False


def _is_host(text: str) -> bool:
    if ":" in text or _NUMBERS.fullmatch(text):
        ip_address(text)
        return True
    return _NAME.fullmatch(text) is not None


def _is_base_url(text: str) -> bool:
    return _is_url(text) and text.isascii() and not set(text) & set("?#@\\ ")
