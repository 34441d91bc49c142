"""The configuration as it lies on disk: `gateway.toml`, and the folders beside it."""

import codecs
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gateway.core.errors import CannotStart
from gateway.core.toml_file import no_toml

from .faults import BrokenConfig, SettingFault
from .reading import Reading
from .settings import Settings

Rewrite = Callable[[dict[str, Any]], None]


class Beside(msgspec.Struct, frozen=True):
    """The files that lie beside `gateway.toml`, by path, as they are at the moment of asking."""

    folder: Path

    @property
    def mappings(self) -> dict[str, bytes]:
        """Every mapping file."""
        return _files(self.folder / "mappings", "*.toml")

    @property
    def templates(self) -> dict[str, bytes]:
        """Every template snapshot."""
        return _files(self.folder / "templates", "*.json")

    @property
    def samples(self) -> dict[str, bytes]:
        """Every sample."""
        return _files(self.folder / "samples", "*/*.json")


class Loaded(Beside, frozen=True):
    """The Settings, and the variables that were not set (only when that was allowed)."""

    settings: Settings
    unset: tuple[SettingFault, ...]


def load(
    path: Path,
    *,
    environment: Mapping[str, str] = os.environ,
    may_be_unset: bool = False,
    rewrite: Rewrite | None = None,
) -> Loaded:
    """The Settings in the file at `path`; raises BrokenConfig with every fault, or CannotStart if there is no file.

    With `may_be_unset` a variable that is not set is only listed, which is enough for commands that need no
    secret. `rewrite` may change the raw tables before variables are filled in.
    """
    try:
        text = path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        raise CannotStart(f"{path} cannot be read: {error.strerror}; {_cure(path, error)}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BrokenConfig([SettingFault(str(path), line, "is not UTF-8", "save the file as UTF-8")]) from error
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        fault = no_toml(str(path), text, error)
        raise BrokenConfig([SettingFault(fault.file, fault.line, fault.what, fault.cure)]) from error
    if rewrite is not None:
        rewrite(raw)
    reading = Reading(str(path), text, environment)
    settings = reading.settings(raw)
    faults = reading.faults if may_be_unset else [*reading.faults, *reading.unset]
    if faults or settings is None:
        accounts = raw.get("accounts")
        named = tuple(accounts) if isinstance(accounts, dict) else ()
        raise BrokenConfig(sorted(faults, key=lambda fault: (fault.line, fault.what)), named)
    return Loaded(path.parent, settings, tuple(reading.unset))


def _cure(path: Path, error: OSError) -> str:
    beside = path / "gateway.toml"
    if isinstance(error, IsADirectoryError) and beside.is_file():
        return f"write --config {beside}"
    if isinstance(error, PermissionError):
        return "make it readable for this user, or name another file with --config"
    return "name the file with --config"


def _files(folder: Path, pattern: str) -> dict[str, bytes]:
    """The files that are not hidden, without the byte order mark that some editors put before a text.

    Hidden ones are an editor's (`.#order.paid.toml`) or a volume's own (`..data/`).
    """
    try:
        return {
            str(path): path.read_bytes().removeprefix(codecs.BOM_UTF8)
            for path in sorted(folder.glob(pattern))
            if not any(part.startswith(".") for part in path.relative_to(folder).parts)
            and (path.is_file() or path.is_symlink())  # one that leads nowhere is not passed over in silence
        }
    except OSError as error:
        cure = "make it readable for this user, or take it away"
        raise CannotStart(f"{error.filename} cannot be read: {error.strerror}; {cure}") from error
