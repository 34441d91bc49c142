"""One mapping file, read and compiled, with every fault that is in it."""

import hashlib
from collections.abc import Collection, Iterable
from collections.abc import Mapping as Dict
from datetime import timedelta
from typing import Any, Final, Literal

import msgspec

from .arguments import NO_TABLE, Labels
from .choices import Table
from .duration import read_duration
from .errors import clip
from .filling import Choice, Mapping, Priority, Rule
from .mapping_faults import ConfigFault, meant_by, nearest_to
from .moments import instant
from .template_table import IDENTIFIER, Snapshot, TemplateTable
from .template_table import KEYS as TEMPLATE_KEYS
from .toml_file import TomlFile, open_toml
from .values import Refusal, nfc

_SHORTEST_LIFE: Final = timedelta(seconds=1)
_LONGEST_LIFE: Final = timedelta(days=365)
_BELOW: Final = "put it below [[template]]"
_ABOVE: Final = "put it above the first [table]"
_KEYS: Final = (
    *("summary", "owner", "account", "priority", "expires_after", "on_unknown", "quiet_hours", "not_before"),
    *("labels", "template"),
)


def event_type_of(file: str) -> str:
    """The event type that a mapping's file is named after."""
    return file.replace("\\", "/").rpartition("/")[2].removesuffix(".toml")


def read_mapping(
    file: str, raw: bytes, snapshots: Dict[str, Snapshot], accounts: Collection[str]
) -> tuple[Mapping | None, list[ConfigFault]]:
    """The Mapping in the file, or None and its faults."""
    opened = open_toml(file, raw)
    if isinstance(opened, ConfigFault):
        return None, [opened]
    mapping = _Reader(opened, snapshots).mapping(raw, accounts)
    return (None, _once(opened.faults)) if opened.faults else (mapping, [])


def _once(faults: list[ConfigFault]) -> list[ConfigFault]:
    """A table that is not there is one fault, on the first line that uses it, however many do."""
    found: dict[str, list[ConfigFault]] = {}
    for fault in sorted(faults, key=lambda fault: fault.line):
        table = NO_TABLE.search(fault.what)
        found.setdefault(str(fault) if table is None else table[0], []).append(fault)
    return [_told_once(same) for same in found.values()]


def _told_once(same: list[ConfigFault]) -> ConfigFault:
    first, *others = same
    lines = ", ".join(dict.fromkeys(str(other.line) for other in others if other.line != first.line))
    if not lines:
        return first
    return msgspec.structs.replace(first, what=f"{first.what} (used on line {lines} too)")


class _Reader:
    """Reads one key of the file after the other; each method notes what is wrong with its own."""

    def __init__(self, file: TomlFile, snapshots: Dict[str, Snapshot]) -> None:
        self.file = file
        self.snapshots = snapshots
        self.labels: Labels = {}

    def mapping(self, raw: bytes, accounts: Collection[str]) -> Mapping:
        """The Mapping as far as it can be read; it counts only if the file then has no fault."""
        document, event_type = self.file.document, event_type_of(self.file.name)
        if not self.file.name.endswith(".toml") or not IDENTIFIER.fullmatch(event_type):
            cure = "name it TYPE.toml, with A-Z a-z 0-9 . _ - in TYPE"
            self.file.fault((), "is not named after an event type", cure)
        self._rejoin_templates()
        if isinstance(document.get("template"), list) or not TEMPLATE_KEYS & document.keys():
            self.file.refuse_unknown_keys((), document, _KEYS, dict.fromkeys(TEMPLATE_KEYS, _BELOW))
        self.labels = self._labels(document.get("labels", {}))
        choices = self._choices(document.get("template"))
        return Mapping(
            event_type=event_type,
            file=self.file.name,
            version=self._version(raw, choices),
            account=self._account(document.get("account"), accounts),
            choices=choices,
            summary=self.file.text(("summary",), document.get("summary", "")),
            owner=self.file.text(("owner",), document.get("owner", "")),
            priority=Priority(self._one_of("priority", [each.value for each in Priority], "normal")),
            expires_after=self._expires_after(document.get("expires_after", "24h")),
            on_unknown=self._on_unknown(),
            quiet_hours=self._quiet_hours(),
            not_before=self._not_before(document.get("not_before")),
        )

    def _rejoin_templates(self) -> None:
        """A misspelt [[template]] above a [template.data] is one slip."""
        document, data = self.file.document, self.file.document.get("template")
        slips = [
            key
            for key, it in document.items()
            if it and isinstance(it, list) and key not in _KEYS and meant_by(key, ["template"])
        ]
        if isinstance(data, dict) and slips and all(isinstance(each, dict) for each in document[slips[0]]):
            self.file.fault(
                (slips[0],), f"`{clip(slips[0])}` is not a key of a mapping here", "did you mean `template`?"
            )
            tables = document["template"] = document.pop(slips[0])
            tables[-1].update(data)

    def _version(self, raw: bytes, choices: Iterable[Choice]) -> str:
        used = {choice.template_id for choice in choices}
        whole = hashlib.sha256(hashlib.sha256(raw).digest())
        for template_id in sorted(used & self.snapshots.keys()):
            whole.update(self.snapshots[template_id].digest)
        return f"sha256:{whole.hexdigest()}"

    def _one_of(self, key: str, allowed: list[str], preset: str) -> str:
        value = self.file.document.get(key, preset)
        if isinstance(value, str) and value in allowed:
            return value
        choices = " or ".join(f'"{each}"' for each in allowed)
        self.file.fault((key,), f"`{key}` has a value that it cannot have", f"write {choices}")
        return preset

    def _on_unknown(self) -> Literal["hold", "resend"]:
        return "resend" if self._one_of("on_unknown", ["hold", "resend"], "hold") == "resend" else "hold"

    def _quiet_hours(self) -> Literal["defer", "ignore"]:
        return "ignore" if self._one_of("quiet_hours", ["defer", "ignore"], "defer") == "ignore" else "defer"

    def _account(self, value: Any, accounts: Collection[str]) -> str:
        if value is None:
            if len(accounts) == 1:
                return next(iter(accounts))
            what = "names no `account`, and not exactly one is configured"
            cure = nearest_to("", accounts) if accounts else "add [accounts.NAME] to gateway.toml"
            self.file.fault((), what, f"write account = …: {cure}")
            return ""
        name = self.file.text(("account",), value)
        if isinstance(value, str) and name not in accounts:
            self.file.fault(("account",), f"account `{clip(name)}` is not configured", nearest_to(name, accounts))
        return name

    def _expires_after(self, value: Any) -> timedelta:
        cure = 'write a duration like "5m", "24h" or "3d", from 1s to 365d'
        try:
            span = read_duration(value) if isinstance(value, str) else timedelta()
        except ValueError:
            span = timedelta()
        if not _SHORTEST_LIFE <= span <= _LONGEST_LIFE:
            self.file.fault(("expires_after",), "`expires_after` is no duration that a message can have", cure)
        return span

    def _not_before(self, value: Any) -> Rule | None:
        if value is None:
            return None
        expression = self.file.expression(("not_before",), self.file.text(("not_before",), value), self.labels)
        if expression is None:
            return None
        if expression.is_constant:
            try:
                instant(expression.run({}))
            except Refusal as refusal:
                cure = "write a time, like '{{ time | plus(days=1) }}'"
                self.file.fault(("not_before",), f"`not_before` {refusal.detail}", cure)
        return Rule("not_before", expression, self.file.line(("not_before",)))

    def _labels(self, tables: Any) -> Labels:
        if not isinstance(tables, dict):
            self.file.fault(("labels",), "`labels` is not a table", "write [labels.NAME] and code = text below it")
            return {}
        return {name: self._table(name, codes) for name, codes in tables.items()}

    def _table(self, name: str, codes: Any) -> Table:
        table = Table()
        if not isinstance(codes, dict) or not codes:
            what = f"[labels.{clip(name)}] is not a table of texts"
            self.file.fault(("labels", name), what, "write code = text below it")
            return table
        for code, text in codes.items():
            if code in _KEYS:
                what = f"`{code}` is a key of the mapping, and stands in [labels.{clip(name)}]"
                self.file.fault(("labels", name, code), what, "write it above the first [table] of the file")
            elif isinstance(text, str):
                table[nfc(code)] = text
            else:
                what = f"the label of `{clip(code)}` is not text"
                self.file.fault(("labels", name, code), what, "put it in quotes")
        return table

    def _choices(self, tables: Any) -> tuple[Choice, ...]:
        if not isinstance(tables, list) or not tables or not all(isinstance(each, dict) for each in tables):
            lost = next((key for key in self.file.document if key in TEMPLATE_KEYS), "template")
            cure = (
                "write [[template]] with id, phone and data" if lost == "template" else "write it above this line"
            )
            self.file.fault((lost,), "there is no [[template]]", cure)
            return ()
        choices = []
        for place, table in enumerate(tables):
            misplaced = dict.fromkeys(_KEYS, _ABOVE)
            self.file.refuse_unknown_keys(("template", place), table, tuple(TEMPLATE_KEYS), misplaced)
            reader = TemplateTable(self.file, ("template", place), table, self.labels, self.snapshots)
            choices.append(reader.choice())
            self._refuse_shadowed(place, tables)
        return tuple(choices)

    def _refuse_shadowed(self, place: int, tables: list[dict[str, Any]]) -> None:
        path, earlier = ("template", place), tables[:place]
        if any("when" not in table for table in earlier):
            cure = "put it before the one without `when`, or give that one a `when`"
            self.file.fault(path, "this [[template]] is never reached", cure)
        elif any(table["when"] == tables[place].get("when") for table in earlier):
            cure = "delete it or give it another `when`"
            self.file.fault(path, "an earlier [[template]] has the same `when`", cure)
