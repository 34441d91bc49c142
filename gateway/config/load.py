"""The configuration as it lies on disk: `gateway.toml`, and the folders beside it."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gateway.core.errors import CannotStart

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
        raise CannotStart(f"{path} cannot be read: {error.strerror}; name the file with --config") from error
    except UnicodeDecodeError as error:
        raise BrokenConfig([SettingFault(str(path), 1, "is not UTF-8", "save the file as UTF-8")]) from error
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise BrokenConfig([SettingFault(str(path), line, f"is not TOML: {error}", "mend the line")]) from error
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


def _files(folder: Path, pattern: str) -> dict[str, bytes]:
    try:
        return {str(path): path.read_bytes() for path in sorted(folder.glob(pattern)) if path.is_file()}
    except OSError as error:
        raise CannotStart(f"{error.filename} cannot be read: {error.strerror}") from error
