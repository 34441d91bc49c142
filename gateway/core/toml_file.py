"""A TOML file while it is read: its document, where its keys stand, and its faults so far."""

import re
import tomllib
from collections.abc import Collection
from decimal import Decimal
from typing import Any, Final

import msgspec

from .arguments import Labels
from .errors import clip
from .expressions import Expression, constant
from .grammar import BrokenExpression, compile_condition, compile_text
from .mapping_faults import ConfigFault, nearest_to
from .toml_lines import Path, Place, locate

_MAX_FILE: Final = 256 * 1024
_TOML_LINE: Final = re.compile(r"at line ([0-9]+)")
_FAULT_LENGTH: Final = 120


class TomlFile(msgspec.Struct):
    """The file; each reading method notes a fault and goes on with something harmless."""

    name: str
    document: dict[str, Any]
    places: dict[Path, Place]
    faults: list[ConfigFault] = []

    def fault(self, path: Path, what: str, cure: str, *, line: int | None = None) -> None:
        """Notes a fault at `line`, else where the key or the nearest table around it stands."""
        self.faults.append(ConfigFault(self.name, self.line(path) if line is None else line, what, cure))

    def line(self, path: Path) -> int:
        """The line of the key, or of the nearest table around it."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places[path].line if path else 1

    def refuse_unknown_keys(self, path: Path, table: dict[str, Any], known: Collection[str]) -> None:
        """Notes each key of the table that is not known, with the nearest one that is."""
        for key in table:
            if key not in known:
                self.fault((*path, key), f"`{clip(key)}` is not a key of a mapping here", nearest_to(key, known))

    def text(self, path: Path, value: Any) -> str:
        """The value if it is text, else ""."""
        if isinstance(value, str):
            return value
        self.fault(path, f"`{clip(path[-1])}` is not text", "put it in quotes")
        return ""

    def expression(self, path: Path, source: str, labels: Labels) -> Expression | None:
        """The Expression of a text with `{{ … }}` in it; None if it is broken."""
        return self._compiled(path, source, labels, is_condition=False)

    def condition(self, path: Path, source: str, labels: Labels) -> Expression | None:
        """The Expression of a bare expression; None if it is broken."""
        return self._compiled(path, source, labels, is_condition=True)

    def _compiled(self, path: Path, source: str, labels: Labels, *, is_condition: bool) -> Expression | None:
        place = self.places.get(path)
        first = self.line(path) if place is None else place.value_line
        if "\n" in source:  # a text over several lines: its margins are not meant
            bare = source.lstrip()
            first += source.count("\n", 0, len(source) - len(bare))
            source = bare.rstrip()
        try:
            return (compile_condition if is_condition else compile_text)(source, labels)
        except BrokenExpression as broken:
            for fault in broken.faults:
                what = f"`{clip(path[-1])}` {fault.what}"
                self.fault(path, what, fault.cure, line=first + fault.line - 1)
            return None


NOTHING: Final = constant("")


def open_toml(file: str, raw: bytes) -> TomlFile | ConfigFault:
    """The file ready to be read, or the fault that keeps it from being TOML."""
    if len(raw) > _MAX_FILE:
        return ConfigFault(file, 1, f"is larger than {_MAX_FILE} bytes", "a mapping is a page long")
    try:
        text = raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return ConfigFault(file, line, "is not UTF-8", "save the file as UTF-8")
    if not text.strip():
        return ConfigFault(file, 1, "is empty", "write a mapping or delete the file")
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        found = _TOML_LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + (not text.endswith("\n"))
        what = f"is not TOML: {clip(error, _FAULT_LENGTH)}"
        return ConfigFault(file, line, what, "mend the line, or the one before it")
    except (ValueError, RecursionError, ArithmeticError):
        what = "holds a number or a nesting beyond all bounds"
        return ConfigFault(file, 1, what, "make it smaller")
    return TomlFile(file, document, locate(text))
