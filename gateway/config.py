"""`gateway.toml` and the files beside it, read into Settings; every promise between two settings is checked here.

The annotated reference of every key is `config/gateway.toml` itself. Nothing below `wiring` sees Settings.
"""

import base64
import binascii
import fnmatch
import hashlib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from .core.errors import CannotStart
from .core.schedule import QuietHours, read_quiet_hours

Size = Annotated[int, msgspec.Meta(ge=1, extra={"unit": "bytes"})]
Count = Annotated[int, msgspec.Meta(ge=0)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Our own door."""

    host: str = "127.0.0.1"
    port: Port = 8080
    public_port: Port = 0
    wait: timedelta = timedelta(seconds=10)
    max_body: Size = 256 * 1024
    max_batch: Annotated[int, msgspec.Meta(ge=1)] = 1000
    max_batch_body: Size = 8 * 1024 * 1024


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where messages are kept, and for how long."""

    url: str = "sqlite:///var/gateway.db"
    retention: timedelta = timedelta(days=30)


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The keys that seal the store."""

    keys: list[str]

    def __repr__(self) -> str:
        return "Secrets(…)"


class Zalo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where Zalo is, and how long we wait for it."""

    api_url: str = "https://business.openapi.zalo.me"
    oauth_url: str = "https://oauth.zaloapp.com"
    connect_timeout: timedelta = timedelta(seconds=2)
    read_timeout: timedelta = timedelta(seconds=15)

    @property
    def is_simulated(self) -> bool:
        """True if this Zalo is on our own machine: it is not the real one."""
        return urlsplit(self.api_url).hostname in ("127.0.0.1", "localhost", "::1")


class Delivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Retries, probes and limits."""

    retry_first: timedelta = timedelta(seconds=1)
    retry_cap: timedelta = timedelta(minutes=5)
    probe_every: timedelta = timedelta(seconds=10)
    pause_after_uncertain: Count = 5
    receipt_grace: timedelta = timedelta(seconds=60)
    max_queued: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One Official Account and the app that sends for it."""

    app_id: str
    app_secret: str
    oa_id: str = ""
    webhook_secrets: list[str] = []
    appsecret_proof: bool = False
    max_per_second: Count = 0
    urgent_reserve: Count = 0
    quiet_hours: str = ""

    def __repr__(self) -> str:
        return f"Account(app_id={self.app_id!r}, …)"

    def quiet(self) -> QuietHours | None:
        """When this account does not disturb anybody."""
        return read_quiet_hours(self.quiet_hours)


class Callback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a caller wants to be told."""

    url: str
    secrets: list[str]

    def __repr__(self) -> str:
        return f"Callback(url={self.url!r}, …)"


class Caller(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One service (or person) that calls us, and what it may do."""

    key_sha256: list[Digest]
    events: list[str] = []
    role: Literal["sender", "operator"] = "sender"
    mode: Literal["live", "development"] = "live"
    max_per_second: Count = 0
    callback: Callback | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything in `gateway.toml`."""

    secrets: Secrets
    server: Server = Server()
    store: Store = Store()
    zalo: Zalo = Zalo()
    delivery: Delivery = Delivery()
    accounts: dict[str, Account] = {}
    callers: dict[str, Caller] = {}

    def sealing_keys(self) -> list[bytes]:
        """The keys of `secrets.keys` as bytes."""
        return [_sealing_key(text) for text in self.secrets.keys]


class SettingFault(msgspec.Struct, frozen=True):
    """One thing wrong in `gateway.toml`, where it stands, and the cure."""

    file: str
    line: int
    what: str
    place: tuple[str, ...] = ()
    variable: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


class BrokenConfig(CannotStart):
    """`gateway.toml` cannot be used; `faults` says why, all at once."""

    code = "broken-config"
    title = "The configuration cannot be used"

    def __init__(self, faults: list[SettingFault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class Loaded(msgspec.Struct, frozen=True):
    """The Settings, where they came from, and the variables that were not set (only when that was allowed)."""

    settings: Settings
    folder: Path
    unset: tuple[SettingFault, ...]

    @property
    def mappings(self) -> dict[str, bytes]:
        """Every mapping file, by path."""
        return _files(self.folder / "mappings", "*.toml")

    @property
    def templates(self) -> dict[str, bytes]:
        """Every template snapshot, by path."""
        return _files(self.folder / "templates", "*.json")

    @property
    def samples(self) -> dict[str, bytes]:
        """Every sample, by path."""
        return _files(self.folder / "samples", "*/*.json")


Rewrite = Callable[[dict[str, Any]], None]
_VARIABLE: Final = re.compile(r"\$\{(?:file:(?P<file>[^}]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?)\}")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE: Final = re.compile(r"(\d+)(B|KiB|MiB|GiB)")
_SIZE_UNITS: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MAX_WAIT: Final = timedelta(seconds=60)
T = TypeVar("T", bound=msgspec.Struct)


def load(
    path: Path,
    *,
    environment: Mapping[str, str] = os.environ,
    may_be_unset: bool = False,
    rewrite: Rewrite | None = None,
) -> Loaded:
    """The Settings in the file at `path`; raises BrokenConfig with every fault, or CannotStart if there is no file.

    With `may_be_unset` a variable that is not set stays in place as text and is listed, which is enough for
    commands that need no secret. `rewrite` may change the raw tables before variables are filled in.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}; name the file with --config") from error
    except UnicodeDecodeError as error:
        raise BrokenConfig([SettingFault(str(path), 1, "is not UTF-8; save it as UTF-8")]) from error
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise BrokenConfig([SettingFault(str(path), int(line[1]) if line else 1, f"is not TOML: {error}")]) from error
    if rewrite is not None:
        rewrite(raw)
    reading = _Reading(str(path), text, environment)
    settings = reading.settings(raw)
    faults = reading.faults if may_be_unset else [*reading.faults, *reading.unset]
    if faults or settings is None:
        raise BrokenConfig(sorted(faults, key=lambda fault: fault.line))
    return Loaded(settings, path.parent, tuple(reading.unset))


class _Reading:
    """One reading of one file: what was found wrong on the way."""

    def __init__(self, file: str, text: str, environment: Mapping[str, str]) -> None:
        self._file = file
        self._lines = text.splitlines()
        self._environment = environment
        self.faults: list[SettingFault] = []
        self.unset: list[SettingFault] = []

    def settings(self, raw: dict[str, Any]) -> Settings | None:
        """The Settings in the raw tables, or None if a fault was found."""
        known = {field.name: field for field in msgspec.structs.fields(Settings)}
        for name in raw.keys() - known.keys():
            self._fault((name,), f"there is no table `{name}`; there are {', '.join(known)}")
        tables: dict[str, Any] = {}
        for name, kind in (("secrets", Secrets), ("server", Server), ("store", Store), ("zalo", Zalo), ("delivery", Delivery)):
            tables[name] = self._table((name,), raw.get(name, {}), kind)
        tables["accounts"] = self._group("accounts", raw, Account)
        tables["callers"] = self._group("callers", raw, Caller)
        if self.faults:
            return None
        settings = Settings(**tables)
        for place, what in _broken_promises(settings, has_unset=bool(self.unset)):
            self._fault(place, what)
        return None if self.faults else settings

    def _group(self, name: str, raw: dict[str, Any], kind: type[T]) -> dict[str, T | None]:
        group = raw.get(name, {})
        if not isinstance(group, dict):
            self._fault((name,), f"`{name}` must hold tables such as [{name}.main]")
            return {}
        for one in group:
            if not _NAME.fullmatch(one):
                self._fault((name, one), f"{name}.{one}: a name may hold letters, digits, '.', '_' and '-' only")
        return {one: self._table((name, one), table, kind) for one, table in group.items()}

    def _table(self, place: tuple[str, ...], raw: Any, kind: type[T]) -> T | None:
        if not isinstance(raw, dict):
            self._fault(place, f"`{'.'.join(place)}` must be a table")
            return None
        filled = {key: self._filled((*place, key), value) for key, value in raw.items()}
        before = len(self.faults)
        for field in msgspec.structs.fields(kind):
            if field.name in filled:
                filled[field.name] = self._with_unit((*place, field.name), filled[field.name], field.type)
        if len(self.faults) > before:
            return None
        if kind is Caller and isinstance(digests := filled.get("key_sha256"), list):
            # The text of a variable that is not set is no digest; that it is not set has been noted.
            filled["key_sha256"] = [it for it in digests if "${" not in str(it)]
        try:
            return msgspec.convert(filled, kind, builtin_types=(timedelta,))
        except msgspec.ValidationError as error:
            at = re.search(r"`\$\.?([^`]*)`$", str(error))
            unknown = re.search(r"unknown field `([^`]*)`", str(error))
            key = unknown[1] if unknown else (re.split(r"[.\[]", at[1])[0] if at else "")
            self._fault((*place, key) if key else place, _in_plain_words(str(error), kind))
            return None

    def _filled(self, place: tuple[str, ...], value: Any) -> Any:
        """`value` with every variable in every string filled in."""
        if isinstance(value, str):
            return _VARIABLE.sub(lambda found: self._variable(place, found), value)
        if isinstance(value, list):
            return [self._filled(place, item) for item in value]
        if isinstance(value, dict):
            return {key: self._filled((*place, key), item) for key, item in value.items()}
        return value

    def _variable(self, place: tuple[str, ...], found: re.Match[str]) -> str:
        if found["file"] is not None:
            try:
                return Path(found["file"]).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                what = f"the secret file {found['file']} cannot be read ({type(error).__name__}); mount it"
                self.unset.append(SettingFault(self._file, self._line(place), what, place))
                return found[0]
        value = self._environment.get(found["name"], "")
        if value:
            return value
        if found["default"] is not None:
            return found["default"]
        what = f"{'.'.join(place)} needs the variable {found['name']}, which is not set; export it"
        self.unset.append(SettingFault(self._file, self._line(place), what, place, found["name"]))
        return found[0]

    def _with_unit(self, place: tuple[str, ...], value: Any, kind: Any) -> Any:
        try:
            if kind is timedelta:
                return read_duration(value)
            if get_origin(kind) is Annotated and _unit(kind) == "bytes":
                return read_size(value)
        except ValueError as error:
            self._fault(place, f"{'.'.join(place)} {error}")
        return value

    def _fault(self, place: tuple[str, ...], what: str) -> None:
        self.faults.append(SettingFault(self._file, self._line(place), what))

    def _line(self, place: tuple[str, ...]) -> int:
        """The line on which `place` stands, or that of its table, or the first."""
        *tables, key = place
        best, table = 1, ""
        for number, line in enumerate(self._lines, 1):
            header = re.match(r"\s*\[([^\[\]]+)\]", line)
            if header is not None:
                table = header[1].strip()
                if table in (".".join(place), ".".join(tables)):
                    best = number
            elif table == ".".join(tables) and re.match(rf"\s*{re.escape(key)}\s*=", line):
                return number
        return best


def _broken_promises(settings: Settings, *, has_unset: bool) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every promise between settings, or of one with the world, that is not kept."""
    if not has_unset:
        for text in settings.secrets.keys:
            try:
                _sealing_key(text)
            except CannotStart as error:
                yield ("secrets", "keys"), error.detail
        if not settings.secrets.keys:
            yield ("secrets", "keys"), "secrets.keys is empty; put a key there: head -c 32 /dev/urandom | base64"
    if not settings.accounts:
        yield ("accounts",), "there is no account; add [accounts.main]"
    if settings.server.wait > _MAX_WAIT:
        yield ("server", "wait"), "server.wait may be 60s at most"
    for name in ("connect_timeout", "read_timeout"):
        if getattr(settings.zalo, name) <= timedelta(0):
            yield ("zalo", name), f"zalo.{name} must be longer than nothing"
    if settings.delivery.retry_first > settings.delivery.retry_cap:
        yield ("delivery", "retry_first"), "delivery.retry_first must not be longer than delivery.retry_cap"
    for name in ("api_url", "oauth_url"):
        if re.match(r"https?://[^/]+", getattr(settings.zalo, name)) is None:
            yield ("zalo", name), f"zalo.{name} must be a URL such as https://business.openapi.zalo.me"
    for name, account in settings.accounts.items():
        try:
            account.quiet()
        except ValueError as error:
            yield ("accounts", name, "quiet_hours"), f"accounts.{name}.quiet_hours {error}"
    owner_of: dict[str, str] = {}
    for name, caller in settings.callers.items():
        for digest in caller.key_sha256:
            if owner_of.setdefault(digest, name) != name:
                yield ("callers", name, "key_sha256"), f"callers {owner_of[digest]} and {name} share a key; each needs its own"


def read_duration(value: Any) -> timedelta:
    """The time in text such as "250ms", "10s", "5m", "24h", "30d"; raises ValueError."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('must be a duration such as "250ms", "10s", "5m", "24h" or "30d"')
    try:
        return timedelta(seconds=float(found[1]) * _DURATION_UNITS[found[2]])
    except OverflowError:
        raise ValueError("is longer than anybody can wait") from None


def read_size(value: Any) -> int:
    """The bytes in text such as "64KiB", or a bare number of them; raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('must be a size such as "64KiB" or "8MiB"')
    return int(found[1]) * _SIZE_UNITS[found[2]]


def key_digest(key: str) -> str:
    """What `callers.*.key_sha256` holds for a caller key: lower-case hex SHA-256 of its bytes."""
    return hashlib.sha256(key.encode()).hexdigest()


def _sealing_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise CannotStart("secrets.keys must hold base64 of 32 bytes: head -c 32 /dev/urandom | base64")
    return key


def _unit(kind: Any) -> str | None:
    for meta in get_args(kind)[1:]:
        if isinstance(meta, msgspec.Meta) and meta.extra is not None:
            return meta.extra.get("unit")
    return None


def _in_plain_words(error: str, kind: type[msgspec.Struct]) -> str:
    unknown = re.search(r"unknown field `([^`]*)`", error)
    if unknown is None:
        return error.replace("`$.", "`")
    known = [field.name for field in msgspec.structs.fields(kind)]
    near = [name for name in known if fnmatch.fnmatch(name, f"*{unknown[1][:4]}*")]
    return f"there is no key `{unknown[1]}`; did you mean `{near[0]}`?" if near else f"there is no key `{unknown[1]}`; there are {', '.join(known)}"


def _files(folder: Path, pattern: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.glob(pattern)) if path.is_file()}
