"""Which processes on this machine are alive: each holds a lock on a file of its own beside the store.

The kernel frees the lock at the very moment a process dies, however it dies, so an attempt's owner is known to be
dead at once; process ids, which are used again, do not come into it.
"""

import fcntl
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from .private import create, make_folder

_SUFFIX: Final = ".lock"
_SERVES: Final = "\nserves"


class Owners:
    """This process's name among those that use the store, its keys (it seals under the first), and what the others do."""

    def __init__(self, directory: Path, key_ids: Sequence[str] = (), *, serves: bool = False) -> None:
        make_folder(directory)
        self._directory = directory
        self.name = f"{os.getpid()}-{secrets.token_hex(6)}"
        # Locked before it gets its name: nobody can find it and take it for a dead one's.
        draft = directory / f".{self.name}"
        self._file = os.fdopen(create(draft), "w")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file.write(" ".join(key_ids) + (_SERVES if serves else ""))
        self._file.flush()
        draft.rename(self._path(self.name))
        self._others()

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

    @property
    def is_served(self) -> bool:
        """True if another living process is a gateway, as far as is known."""
        return any(it.endswith(_SERVES) for it in self._told().values())

    def sealing_otherwise(self, key_id: str) -> list[str]:
        """The names of the living processes that do not seal under this key, as far as is known."""
        return [name for name, it in self._told().items() if it.split()[:1] != [key_id]]

    def close(self) -> None:
        """This process no longer counts as alive."""
        with suppress(OSError):
            self._path(self.name).unlink()
        self._file.close()

    def _told(self) -> dict[str, str]:
        """What the other processes that live have written of themselves, by their names."""
        told = {}
        for name in self._others():
            with suppress(OSError):
                told[name] = self._path(name).read_text()
        return told

    def _others(self) -> list[str]:
        """The names of the other processes that live; what dead ones left behind is removed."""
        names = [left.name.removesuffix(_SUFFIX) for left in self._directory.glob(f"[!.]*{_SUFFIX}")]
        return [name for name in names if name != self.name and not self.is_dead(name)]

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}{_SUFFIX}"
