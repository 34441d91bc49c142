"""Everything that `gateway.toml` may hold, with its defaults."""

import base64
import binascii
import hashlib
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from gateway.core.errors import CannotStart
from gateway.core.schedule import QuietHours, read_quiet_hours

Size = Annotated[int, msgspec.Meta(ge=1, extra={"unit": "bytes"})]
Count = Annotated[int, msgspec.Meta(ge=0)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class Server(msgspec.Struct, frozen=True):
    """Our own door."""

    host: str = "127.0.0.1"
    port: Port = 8080
    public_port: Port = 0
    public_url: str = ""
    wait: timedelta = timedelta(seconds=10)
    max_body: Size = 256 * 1024
    max_batch: AtLeastOne = 1000
    max_batch_body: Size = 8 * 1024 * 1024

    def callback_url(self) -> str:
        """Where Zalo sends a person back to after the consent; "" while nobody has said where we are."""
        return f"{self.public_url.rstrip('/')}/oauth/zalo/callback" if self.public_url else ""


class Store(msgspec.Struct, frozen=True):
    """Where messages are kept, and for how long."""

    url: str = "sqlite:///var/gateway.db"
    retention: timedelta = timedelta(days=30)


class Secrets(msgspec.Struct, frozen=True):
    """The keys that seal the store."""

    keys: list[str]

    def __repr__(self) -> str:
        return "Secrets(…)"


class Zalo(msgspec.Struct, frozen=True):
    """Where Zalo is, and how long we wait for it."""

    api_url: str = "https://business.openapi.zalo.me"
    oauth_url: str = "https://oauth.zaloapp.com"
    connect_timeout: timedelta = timedelta(seconds=2)
    read_timeout: timedelta = timedelta(seconds=15)

    @property
    def is_simulated(self) -> bool:
        """True if this Zalo is on our own machine: it is not the real one."""
        return is_here(self.api_url)


class Delivery(msgspec.Struct, frozen=True):
    """Retries, probes and limits."""

    retry_first: timedelta = timedelta(seconds=1)
    retry_cap: timedelta = timedelta(minutes=5)
    probe_every: timedelta = timedelta(seconds=10)
    pause_after_uncertain: Count = 5
    receipt_grace: timedelta = timedelta(seconds=60)
    max_queued: AtLeastOne = 1_000_000


class Account(msgspec.Struct, frozen=True):
    """One Official Account and the app that sends for it."""

    app_id: str
    app_secret: str
    oa_id: str = ""
    webhook_secrets: list[str] = []
    code_verifier: str = ""
    appsecret_proof: bool = False
    max_per_second: Count = 0
    urgent_reserve: Count = 0
    quiet_hours: str = ""

    def __repr__(self) -> str:
        return f"Account(app_id={self.app_id!r}, …)"

    def quiet(self) -> QuietHours | None:
        """When this account does not disturb anybody; raises ValueError for hours that are none."""
        return read_quiet_hours(self.quiet_hours)


class Callback(msgspec.Struct, frozen=True):
    """Where a caller wants to be told."""

    url: str
    secrets: list[str]

    def __repr__(self) -> str:
        return f"Callback(url={self.url!r}, …)"


class Caller(msgspec.Struct, frozen=True):
    """One service (or person) that calls us, and what it may do."""

    key_sha256: list[Digest]
    events: list[str] = []
    role: Literal["sender", "operator"] = "sender"
    mode: Literal["live", "development"] = "live"
    max_per_second: Count = 0
    callback: Callback | None = None


class Settings(msgspec.Struct, frozen=True):
    """Everything in `gateway.toml`."""

    secrets: Secrets
    server: Server = Server()
    store: Store = Store()
    zalo: Zalo = Zalo()
    delivery: Delivery = Delivery()
    accounts: dict[str, Account] = {}
    callers: dict[str, Caller] = {}

    def told(self) -> list[str]:
        """The callers that want to be told what becomes of their messages."""
        return [name for name, caller in self.callers.items() if caller.callback is not None]

    def sealing_keys(self) -> list[bytes]:
        """The keys of `secrets.keys` as bytes; raises CannotStart for one that is none."""
        return [sealing_key(text) for text in self.secrets.keys]


def is_here(url: str) -> bool:
    """True if the URL names this very machine."""
    try:
        return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    except ValueError:
        return False


def key_digest(key: str) -> str:
    """What `callers.*.key_sha256` holds for a caller key: lower-case hex SHA-256 of its bytes."""
    return hashlib.sha256(key.encode()).hexdigest()


def sealing_key(text: str) -> bytes:
    """The 32 bytes of one of `secrets.keys`; raises CannotStart, which does not quote it."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise CannotStart("secrets.keys holds something else than base64 of 32 bytes")
    return key
