"""One reading of `gateway.toml`: variables filled in, units understood, and every fault on the way."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

import msgspec

from gateway.core.duration import read_duration
from gateway.core.errors import clip
from gateway.core.mapping_faults import meant_by, nearest_to
from gateway.core.toml_lines import line_of, locate

from . import promises
from .faults import Place, SettingFault, named
from .settings import Account, Callback, Caller, Delivery, Secrets, Server, Settings, Store, Zalo

_BARE_VARIABLE: Final = re.compile(r"\$([A-Za-z_]\w*)")
_VARIABLE: Final = re.compile(
    r"\$\{(?:file:(?P<file>[^}]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?)\}"
)
_SIZE: Final = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB)")
_SIZE_UNITS: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TABLES: Final[dict[str, tuple[type[Any], Callable[[Any], promises.Broken]]]] = {
    "server": (Server, promises.of_server),
    "store": (Store, promises.of_store),
    "secrets": (Secrets, promises.of_secrets),
    "zalo": (Zalo, promises.of_zalo),
    "delivery": (Delivery, promises.of_delivery),
}
_GROUPS: Final[dict[str, tuple[type[Any], Callable[[Any], promises.Broken]]]] = {
    "accounts": (Account, promises.of_accounts),
    "callers": (Caller, promises.of_callers),
}
T = TypeVar("T", bound=msgspec.Struct)


class Reading:
    """Reads the raw tables of one file; `faults` is what was found wrong, `unset` which variables are not set."""

    def __init__(self, file: str, text: str, environment: Mapping[str, str]) -> None:
        self._file = file
        self._places = locate(text)
        self._environment = environment
        self.faults: list[SettingFault] = []
        self.unset: list[SettingFault] = []

    def settings(self, raw: dict[str, Any]) -> Settings | None:
        """The Settings in the raw tables, or None if a fault was found."""
        known = {*_TABLES, *_GROUPS}
        for name in [name for name in raw if name not in known]:
            self._fault((name,), f"`{clip(name)}` is not a table here", nearest_to(name, known))
            self._take_as_meant((), raw, name, known)
        tables: dict[str, Any] = {}
        for name, (kind, promised) in _TABLES.items():
            tables[name] = self._table((name,), raw.get(name, {}), kind)
            self._hold(promised, tables[name])
        for name, (kind, promised) in _GROUPS.items():
            group = tables[name] = self._group(name, raw.get(name, {}), kind)
            if group or not raw.get(name):
                self._hold(promised, group)
        return None if self.faults else Settings(**tables)

    def _hold(self, promised: Callable[[Any], promises.Broken], settings: Any) -> None:
        """Every promise of these settings that is not kept is a fault, but for keys that have no value yet."""
        if settings is None:
            return
        unset = {fault.place for fault in self.unset} | {fault.place[:-1] for fault in self.unset}
        unread = {named(fault.place) for fault in self.faults}
        for place, what, cure in promised(settings):
            if place not in unset and not any(name in what for name in unread):
                self._fault(place, what, cure)

    def _take_as_meant(self, place: Place, raw: dict[str, Any], name: str, known: Iterable[str]) -> None:
        """A name that is nearly a known one stands where that is missing, so that one slip is one fault."""
        meant = meant_by(name, known)
        if meant is None or meant in raw:
            return
        raw[meant] = raw.pop(name)
        wrong, right = (*place, name), (*place, meant)
        found = [(each, at) for each, at in self._places.items() if each[: len(wrong)] == wrong]
        self._places.update({(*right, *each[len(wrong) :]): at for each, at in found})

    def _group(self, name: str, raw: Any, kind: type[T]) -> dict[str, T]:
        """Each table of the group that can be looked at."""
        if not isinstance(raw, dict):
            self._fault((name,), f"`{name}` is not a group of tables", f"write [{name}.<name>]")
            return {}
        for one in raw:
            if not _NAME.fullmatch(one):
                what = f"`{name}.{clip(one)}` is not a name"
                self._fault((name, one), what, "use letters, digits, '.', '_' and '-', 64 at most")
        tables = {one: self._table((name, one), table, kind) for one, table in raw.items()}
        return {one: table for one, table in tables.items() if table is not None}

    def _table(self, place: Place, raw: Any, kind: type[T]) -> T | None:
        """The table as what it is to be, defaults for what was wrong; None if what has none was wrong."""
        if not isinstance(raw, dict):
            self._fault(place, f"`{named(place)}` is not a table", f"write [{named(place)}]")
            return None
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        values: dict[str, Any] = {}
        for name in [name for name in raw if name not in fields]:
            what = f"`{clip(name)}` is not a key of [{named(place)}]"
            self._fault((*place, name), what, nearest_to(name, fields))
            self._take_as_meant(place, raw, name, fields)
        for name, value in raw.items():
            if name not in fields:
                continue
            found = self._value((*place, name), value, fields[name])
            if found is not msgspec.UNSET:
                values[name] = found
        for name, field in fields.items():
            if field.required and name not in raw:
                self._fault((*place, name), f"`{named((*place, name))}` is missing", "it has no default: set it")
        return kind(**values) if all(name in values for name, field in fields.items() if field.required) else None

    def _value(self, place: Place, raw: Any, field: msgspec.structs.FieldInfo) -> Any:
        """The value of one key; UNSET, and the default holds, where it cannot be had."""
        if field.type == Callback | None:
            return self._table(place, raw, Callback)
        before = len(self.unset)
        value = self._filled(place, raw)
        if len(self.unset) > before:
            if isinstance(raw, list):
                lost = {fault.place[-1] for fault in self.unset[before:]}
                value = [item for number, item in enumerate(value) if number not in lost]
            elif not field.required:
                return msgspec.UNSET
        try:
            # What stands in a variable is always text: there "8080" is a number. Elsewhere it is a slip.
            return _understood(value, field.type, is_from_variable=isinstance(raw, str) and "${" in raw)
        except msgspec.ValidationError as error:
            at = re.search(r"at `\$\[(\d+)\]", str(error))
            self._fault((*place, int(at[1])) if at else place, *_in_plain_words(named(place), str(error)))
        except ValueError as error:
            self._fault(place, f"`{named(place)}` cannot be understood", str(error))
        return msgspec.UNSET

    def _filled(self, place: Place, value: Any) -> Any:
        """`value` with every variable in every string filled in."""
        if isinstance(value, str):
            if "${" in _VARIABLE.sub("", value):
                cure = "write ${NAME}, ${NAME:-default} or ${file:PATH}"
                self._fault(place, f"`{named(place)}` holds a ${{…}} that is no variable", cure)
            elif (bare := _BARE_VARIABLE.fullmatch(value)) is not None:
                self._fault(place, f"`{named(place)}` is a variable without braces", f"write ${{{bare[1]}}}")
            return _VARIABLE.sub(lambda found: self._variable(place, found), value)
        if isinstance(value, list):
            return [self._filled((*place, number), item) for number, item in enumerate(value)]
        return value

    def _variable(self, place: Place, found: re.Match[str]) -> str:
        if found["file"] is not None:
            try:
                return Path(found["file"]).read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as error:
                what = f"`{named(place)}` needs the file {clip(found['file'])}, which cannot be read"
                cure = f"mount it ({type(error).__name__})"
                self.unset.append(SettingFault(self._file, self._line(place), what, cure, place))
                return found[0]
        value = self._environment.get(found["name"], "")
        if value:
            return value
        if found["default"] is not None:
            return found["default"]
        what = f"`{named(place)}` needs the variable {found['name']}, which is not set"
        cure = f"export {found['name']}"
        self.unset.append(SettingFault(self._file, self._line(place), what, cure, place, found["name"]))
        return found[0]

    def _fault(self, place: Place, what: str, cure: str) -> None:
        self.faults.append(SettingFault(self._file, self._line(place), what, cure, place))

    def _line(self, place: Place) -> int:
        """The line of the key, or of the nearest table around it."""
        return line_of(self._places, place)


def _understood(value: Any, kind: Any, *, is_from_variable: bool) -> Any:
    """The value as the key wants it; raises ValueError (or msgspec's, which is one) with the cure."""
    if kind is timedelta:
        if not isinstance(value, str):
            raise ValueError('write a duration like "250ms", "10s", "5m", "24h" or "30d"')
        return read_duration(value)
    if _is_size(kind):
        value = read_size(value)
    return msgspec.convert(value, kind, strict=not is_from_variable)


def read_size(value: Any) -> int:
    """The bytes in text such as "64KiB", or a bare number of them; raises ValueError with the cure."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('write a size like "64KiB" or "8MiB"')
    return int(found[1]) * _SIZE_UNITS[found[2]]


def _is_size(kind: Any) -> bool:
    metas = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return any(isinstance(meta, msgspec.Meta) and (meta.extra or {}).get("unit") == "bytes" for meta in metas)


_WORDS: Final = (
    (r"Expected `(\w+)`, got `(\w+)`", "`{name}` is not of its kind", "it is {0}, not {1}"),
    (r"Expected `int` >= (\d+)", "`{name}` is too small", "it is at least {0}"),
    (r"Expected `int` <= (\d+)", "`{name}` is too large", "it is at most {0}"),
    (
        r"Expected `str` matching regex",
        "`{name}` holds no SHA-256 digest",
        "it is 64 digits of lower-case hex: zns-gateway key new NAME",
    ),
    (r"Invalid enum value (.+?)(?: - |$)", "`{name}` has no such value", "there are {values}"),
)
_KINDS: Final = {
    "int": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "float": "a fraction",
}
_VALUES: Final = {"role": "`sender`, `operator`", "mode": "`live`, `development`"}


def _in_plain_words(name: str, said: str) -> tuple[str, str]:
    """What is wrong, and the cure, from what msgspec said."""
    for pattern, what, cure in _WORDS:
        found = re.search(pattern, said)
        if found is not None:
            words = [_KINDS.get(word, word) for word in found.groups()]
            values = _VALUES.get(name.rpartition(".")[2], "")
            return what.format(name=name), cure.format(*words, values=values)
    return f"`{name}` is not what it should be", said
