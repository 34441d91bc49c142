"""On which line of a TOML file each key stands: `tomllib` does not say, and a fault needs its line."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

Path = tuple[str | int, ...]

_BLANK: Final = re.compile(r"[ \t]*")
_FILLER: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_BASIC: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL: Final = re.compile(r"'[^'\n]*'")
_LONG: Final = re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{1,2}(?!"))?|' + r"'''.*?'''(?:'{1,2}(?!'))?", re.DOTALL)
_SCALAR: Final = re.compile(r"[^,\]}\n#]*")
_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")


class Place(msgspec.Struct, frozen=True):
    """The line of a key, and the line on which its value's text begins; both count from 1."""

    line: int
    value_line: int


def locate(text: str) -> dict[Path, Place]:
    """The Place of every key, table and array item of a document that `tomllib` has read without fault."""
    return _Locator(text).document()


def line_of(places: Mapping[Path, Place], path: Path) -> int:
    """The line of the key; else of the first table that it has (as `a` has [a.b]), else of the nearest one around it."""
    while path:
        if path in places:
            return places[path].line
        within = [place.line for each, place in places.items() if each[: len(path)] == path]
        if within:
            return min(within)
        path = path[:-1]
    return 1


class _Locator:
    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.places: dict[Path, Place] = {}
        self.tables: dict[Path, int] = {}  # arrays of tables → how many tables they have so far

    def document(self) -> dict[Path, Place]:
        table: Path = ()
        while self._skip(_FILLER) and self.at < len(self.text):
            start = self.at
            if self.text.startswith("[[", start):
                self.at += 2
                table = self._resolved(self._key())
                self.tables[table] = self.tables.get(table, -1) + 1
                table = (*table, self.tables[table])
                self._note(table, start, start)
                self._line_end()
            elif self.text.startswith("[", start):
                self.at += 1
                table = self._resolved(self._key())
                self._note(table, start, start)
                self._line_end()
            else:
                self._pair(table)
            if self.at == start:
                break
        return self.places

    def _resolved(self, key: Path) -> Path:
        """The key with, for each array of tables on its way, the number of that array's last table."""
        path: Path = ()
        for place, step in enumerate(key):
            path = (*path, step)
            if path in self.tables and place < len(key) - 1:
                path = (*path, self.tables[path])
        return path

    def _pair(self, table: Path) -> None:
        start = self.at
        path = (*table, *self._key())
        self._skip(_BLANK)
        self.at += 1  # the =
        self._skip(_BLANK)
        self._note(path, start, self._text_start())
        self._value(path)

    def _text_start(self) -> int:
        long = self.text[self.at : self.at + 3] in ('"""', "'''") and self.text[self.at + 3 : self.at + 4] == "\n"
        return self.at + 4 if long else self.at

    def _value(self, path: Path) -> None:
        opener = self.text[self.at : self.at + 1]
        if opener == "[":
            self._array(path)
        elif opener == "{":
            self._inline_table(path)
        else:
            for pattern in (_LONG, _BASIC, _LITERAL, _SCALAR):
                if self._skip(pattern):
                    return

    def _array(self, path: Path) -> None:
        self.at += 1
        item = 0
        while self._skip(_FILLER) and self.at < len(self.text) and self.text[self.at] != "]":
            start = self.at
            self._note((*path, item), start, self._text_start())
            self._value((*path, item))
            item += 1
            self._comma()
            if self.at == start:
                return
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while self._skip(_FILLER) and self.at < len(self.text) and self.text[self.at] != "}":
            start = self.at
            self._pair(path)
            self._comma()
            if self.at == start:
                return
        self.at += 1

    def _comma(self) -> None:
        self._skip(_FILLER)
        if self.text.startswith(",", self.at):
            self.at += 1

    def _key(self) -> Path:
        steps: list[str] = []
        while True:
            self._skip(_BLANK)
            start = self.at
            for pattern in (_BARE, _BASIC, _LITERAL):
                if self._skip(pattern) and self.at > start:
                    break
            steps.append(_unquoted(self.text[start : self.at]))
            self._skip(_BLANK)
            if not self.text.startswith(".", self.at):
                return tuple(steps)
            self.at += 1

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found is not None

    def _line_end(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end

    def _note(self, path: Path, start: int, value_start: int) -> None:
        line = self.text.count("\n", 0, start) + 1
        self.places.setdefault(path, Place(line, line + self.text.count("\n", start, value_start)))


def _unquoted(written: str) -> str:
    if written.startswith("'"):
        return written[1:-1]
    if not written.startswith('"'):
        return written
    return _ESCAPE.sub(
        lambda found: chr(int(found[1] or found[2], 16)) if found[3] is None else _ESCAPES.get(found[3], found[3]),
        written[1:-1],
    )
