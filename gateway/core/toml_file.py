"""A TOML file while it is read: its document, where its keys stand, and its faults so far."""

import re
import tomllib
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from .arguments import Labels
from .errors import clip
from .expressions import Expression, constant
from .grammar import BrokenExpression, compile_condition, compile_text
from .mapping_faults import ConfigFault, meant_by, nearest_to
from .toml_lines import Path, Place, line_of, locate

_MAX_FILE: Final = 256 * 1024
_TOML_PLACE: Final = re.compile(r" \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)")
_LONG_QUOTES: Final = re.compile(r"\"{3}|'{3}")
_QUOTE: Final = re.compile("'")
_OPEN_LIST: Final = re.compile(r"=[ \t]*[\[{]")
_UNCLOSED: Final = ("a text is not closed", "end it with the quote that it begins with")
# What tomllib says, what that means to somebody who has slipped, and the cure.
_TOML_SLIPS: Final = (
    ("Illegal character '\\n'", *_UNCLOSED),
    ("Found invalid character '\\n'", *_UNCLOSED),
    ("Expected \"'", *_UNCLOSED),
    ("Expected '\"", *_UNCLOSED),
    ("Cannot overwrite a value", "a key is there twice", "delete one of the two"),
    ("Cannot declare", "a table is there twice", "put what they hold into one"),
    ("Invalid initial character", "what stands here is neither a key nor a value", "put text in quotes"),
    ("Invalid value", "a value is neither text nor a number", "put text in quotes"),
    ("Expected newline", "there is more behind a value", "inside of quotes use the other kind, ' or \""),
    ("Expected ']", "a bracket is missing", "write [table] or [[template]]"),
    ("Expected '='", "a key has no value", "write key = value"),
    ("Unclosed", "a list or a table is not closed", "close it with ] or }"),
    ("Unescaped '\\'", "a backslash means nothing here", "write it in '…', or double it"),
)
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
        return line_of(self.places, path)

    def refuse_unknown_keys(
        self, path: Path, table: dict[str, Any], known: Collection[str], elsewhere: Mapping[str, str] = {}
    ) -> None:
        """Notes each key of the table that is not known, with the nearest one that is, and reads on as if it were that.

        `elsewhere` has the cure for keys that belong into another table.
        """
        for key in [key for key in table if key not in known]:
            cure = elsewhere.get(key) or nearest_to(key, known)
            self.fault((*path, key), f"`{clip(key)}` is not a key of a mapping here", cure)
            meant = None if key in elsewhere else meant_by(key, known)
            if meant is not None and meant not in table:
                self.take_as(path, table, key, meant)

    def take_as(self, path: Path, table: dict[str, Any], key: str, meant: str) -> None:
        """The key stands where the one that was meant is missing, so that one slip is one fault."""
        table[meant] = table.pop(key)
        wrong, right = (*path, key), (*path, meant)
        found = [(each, place) for each, place in self.places.items() if each[: len(wrong)] == wrong]
        self.places.update({(*right, *each[len(wrong) :]): place for each, place in found})

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


def no_toml(file: str, text: str, error: Exception) -> ConfigFault:
    """Where and why a text is no TOML, in words for somebody who has slipped."""
    said = str(error)
    found = _TOML_PLACE.search(said)
    line, column = (int(found[1]), f", column {found[2]}") if found and found[1] else (0, "")
    said = _TOML_PLACE.sub("", said)
    slip, meaning, cure = next(
        (each for each in _TOML_SLIPS if said.startswith(each[0])),
        ("", said, "mend the line, or the one before it"),
    )
    if slip == "Unclosed" or not line:  # what is not closed is noticed further down
        line, column = _opening(text, line), ""
    return ConfigFault(file, line, f"is not TOML: {clip(meaning, _FAULT_LENGTH)}{column}", cure)


def _opening(text: str, noticed: int) -> int:
    """The last line above the one where it was `noticed` (0: at the end) that opens a text, a list or a table."""
    lines = text.splitlines()
    until = lines[: noticed - 1] if noticed else lines
    for opens in (_LONG_QUOTES, _QUOTE, _OPEN_LIST) if not noticed else (_OPEN_LIST,):
        places = [number for number, line in enumerate(until, 1) if len(opens.findall(line)) % 2]
        if places and (opens is not _LONG_QUOTES or len(_LONG_QUOTES.findall(text)) % 2):
            return places[-1]
    return noticed or max(len(lines), 1)


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
        return no_toml(file, text, error)
    except (ValueError, RecursionError, ArithmeticError):
        what = "holds a number or a nesting beyond all bounds"
        return ConfigFault(file, 1, what, "make it smaller")
    return TomlFile(file, document, locate(text))
