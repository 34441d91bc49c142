"""Where the files of a store lie: the store itself, and the log without which it is not whole."""

import os
from pathlib import Path

from gateway.core.errors import CannotStart


def log_of(path: Path) -> Path:
    """The store's log, which SQLite puts beside the file itself, wherever links lead to that."""
    file = Path(os.path.realpath(path))
    return file.with_name(f"{file.name}-wal")


def is_there(path: Path) -> bool:
    """True if something lies where the store is to be, be it a store or not; raises CannotStart if only its log does."""
    # Its log first: whoever makes a store writes into it before there is anything in the log.
    log = log_of(path)
    has_log = _holds_something(log)
    is_something = _holds_something(path) or path.is_dir()
    if has_log and not is_something:
        raise CannotStart(
            f"the store {path} is not there, and its log {log} is: put the store back, or take the log away, too"
        )
    return is_something


def _holds_something(path: Path) -> bool:
    """Whoever only reads a store leaves an empty log, and whoever makes one begins with an empty file."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True  # opening it says what is wrong


class Names:
    """The names of the store and of its log, and which files had them when the store was opened. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._names = path, log_of(path)
        self._files = [_file_at(name) for name in self._names]
        self._are_lost = False

    def are_lost(self) -> bool:
        """True, and for good, once other files have had them, or none; raises OSError where that cannot be told now.

        For good: what was written meanwhile may be in no file that has a name.
        """
        self._are_lost = self._are_lost or [_file_at(name) for name in self._names] != self._files
        return self._are_lost


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
