"""Which processes on this machine are alive: each holds a lock on a file of its own beside the store.

The kernel frees the lock at the very moment a process dies, however it dies, so an attempt's owner is known to be
dead at once; process ids, which are used again, do not come into it.
"""

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

_SUFFIX: Final = ".lock"


class Owners:
    """This process's name among those that use the store, and whether another one still lives."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.name = f"{os.getpid()}-{secrets.token_hex(6)}"
        # Locked before it gets its name: nobody can find it and take it for a dead one's.
        draft = directory / f".{self.name}"
        self._file = draft.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.rename(self._path(self.name))
        for left in directory.glob(f"[!.]*{_SUFFIX}"):
            self.is_dead(left.name.removesuffix(_SUFFIX))

    def is_dead(self, name: str) -> bool:
        """True if the process of that name has ended; what it left behind is removed."""
        if name == self.name:
            return False
        try:
            with self._path(name).open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._path(name).unlink(missing_ok=True)
        except FileNotFoundError:
            return True
        except OSError:  # its lock is held; or we may not look, and then its leases end by themselves
            return False
        return True

    def close(self) -> None:
        """This process no longer counts as alive."""
        with suppress(OSError):
            self._path(self.name).unlink()
        self._file.close()

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}{_SUFFIX}"
