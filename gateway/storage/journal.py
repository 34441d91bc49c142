"""The answers to refreshes, each in a file of its own beside the store, sealed and synced before anything is made of it.

An answer may be the only copy of a new pair, so its room is reserved before the refresh token leaves. A file belongs to
one intent: who prepares to ask, and then may not, spoils nothing for the one who does, and an answer is never taken
for that to another presentation.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from gateway.core.errors import CannotOpen, Unavailable
from gateway.core.grant import Grant, Intent
from gateway.ports import Heard, Write

from .private import create, make_folder, sync_folder
from .records import micros
from .sealing import KeyRing

_ROOM: Final = 128 << 10  # twice the longest answer
_LENGTH_BYTES: Final = 4
_DRAFT: Final = "new"

_encode = msgspec.msgpack.Encoder().encode
_read_heard = msgspec.msgpack.Decoder(Heard).decode


class _Name(msgspec.Struct, frozen=True):
    """What an answer belongs to. Account and owner may hold any character and have any length: digests stand for them."""

    account: str
    generation: int
    turn: str
    owner: str
    begun_at: int

    @property
    def text(self) -> str:
        """The file's name."""
        return f"{self.account}.{self.generation}.{self.turn}.{self.owner}.{self.begun_at}"

    @property
    def label(self) -> str:
        """What the answer is sealed under."""
        return f"answer:{self.text}"


def _name(grant: Grant, intent: Intent) -> _Name:
    turn = "last" if intent.is_last else "first"
    return _Name(_word(grant.account), grant.generation, turn, _word(intent.owner), micros(intent.begun_at))


def _word(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class FileJournal:
    """Keeps the answers in a folder, which is made when the first one is expected."""

    def __init__(self, folder: Path, ring: KeyRing) -> None:
        self._folder = folder
        self._ring = ring

    def open(self, grant: Grant) -> Write:
        """What writes down the answer to the presentation that the grant intends; raises Unavailable."""
        if grant.intent is None:
            raise ValueError("an answer belongs to an intent")
        name = _name(grant, grant.intent)
        try:
            make_folder(self._folder)
            sync_folder(self._folder.parent)
            # What this process prepared before and never asked for would pile up while the store is down.
            self._remove(lambda it: it.account == name.account and it.owner == name.owner)
            file = create(self._folder / name.text)
            try:
                _reserve(file)
                sync_folder(self._folder)
            except OSError:
                os.close(file)
                (self._folder / name.text).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise Unavailable("no room can be had for the answer to a refresh") from error
        return _Page(file, lambda heard: self._ring.seal(name.label, heard))

    def read(self, grant: Grant) -> Heard | None:
        """The answer to the presentation that the grant intends, if it was written down whole."""
        if grant.intent is None:
            return None
        name = _name(grant, grant.intent)
        try:
            return _read_heard(self._ring.open(name.label, _sealed_in(self._folder / name.text)))
        except (OSError, CannotOpen, msgspec.DecodeError):
            return None

    def drop(self, grant: Grant) -> None:
        """The answer is not needed any more: its file is gone, and so are those of the account's older generations."""
        account = _word(grant.account)
        own = None if grant.intent is None else _name(grant, grant.intent)
        with suppress(OSError):
            self._remove(lambda it: it == own or (it.account == account and it.generation < grant.generation))

    def reseal(self) -> tuple[int, int]:
        """Every answer is sealed under the first key: how many were not, and how many no key opens.

        A torn one is no answer, under no key.
        """
        resealed = unopened = 0
        for path, name in list(self._files()):
            sealed = b""
            with suppress(OSError):
                sealed = _sealed_in(path)
            if path.suffix == f".{_DRAFT}" or not sealed or self._ring.is_current(sealed):
                continue
            try:
                newly = self._ring.seal(name.label, self._ring.open(name.label, sealed))
            except CannotOpen:
                unopened += not self._ring.has_key_of(sealed)
                continue
            self._replace(path, newly)
            resealed += 1
        return resealed, unopened

    def _replace(self, path: Path, sealed: bytes) -> None:
        draft = path.with_name(f"{path.name}.{_DRAFT}")
        file = create(draft, os.O_TRUNC)
        try:
            os.pwrite(file, _record(sealed), 0)
            os.fsync(file)
        finally:
            os.close(file)
        # If its answer has been dropped meanwhile, what comes back belongs to an intent that nobody asks after.
        draft.rename(path)
        sync_folder(self._folder)

    def _remove(self, is_meant: Callable[[_Name], bool]) -> None:
        for path, name in list(self._files()):
            if is_meant(name):
                path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[Path, _Name]]:
        """Our files, drafts among them; others are none of our business."""
        with suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                parts = path.name.removesuffix(f".{_DRAFT}").split(".")
                with suppress(ValueError):
                    account, generation, turn, owner, begun_at = parts
                    yield path, _Name(account, int(generation), turn, owner, int(begun_at))


class _Page:
    """Writes one answer into the room that was reserved for it."""

    def __init__(self, file: int, seal: Callable[[bytes], bytes]) -> None:
        self._file = file
        self._seal = seal

    def __call__(self, status: int, body: bytes) -> None:
        # Whatever goes wrong here, the answer is in memory and is about to be saved.
        with suppress(Exception):
            os.pwrite(self._file, _record(self._seal(_encode(Heard(status, body)))), 0)
            os.fdatasync(self._file)

    def __del__(self) -> None:
        with suppress(OSError):
            os.close(self._file)


def _reserve(file: int) -> None:
    # Written, too: then an answer overwrites blocks that are there, and syncing it has nothing else to do.
    os.posix_fallocate(file, 0, _ROOM)
    os.pwrite(file, bytes(_ROOM), 0)
    os.fsync(file)


def _record(sealed: bytes) -> bytes:
    return len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed


def _sealed_in(path: Path) -> bytes:
    """The sealed answer in a file, empty if there is no whole one; raises OSError."""
    # Whatever lies there under this name must not keep us waiting, nor lead us elsewhere.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123 - a descriptor
        length = int.from_bytes(file.read(_LENGTH_BYTES), "big")
        if length > os.fstat(file.fileno()).st_size:
            return b""
        sealed = file.read(length)
    return sealed if len(sealed) == length else b""


class MemoryJournal:
    """Keeps the answers for as long as the process lives; while `is_down` there is no room for any."""

    def __init__(self) -> None:
        self.is_down = False
        self._answers: dict[
            tuple[str, int, Intent], list[Heard]
        ] = {}  # a page has one answer, the newest, or none

    def open(self, grant: Grant) -> Write:
        """What writes down the answer to the presentation that the grant intends; raises Unavailable."""
        if grant.intent is None:
            raise ValueError("an answer belongs to an intent")
        if self.is_down:
            raise Unavailable("no room can be had for the answer to a refresh")
        key = (grant.account, grant.generation, grant.intent)
        self._remove(lambda account, _, intent: (account, intent.owner) == (key[0], key[2].owner))
        page = self._answers[key] = []

        def write(status: int, body: bytes) -> None:
            page[:] = [Heard(status, body)]

        return write

    def read(self, grant: Grant) -> Heard | None:
        """The answer to the presentation that the grant intends, if it was written down whole."""
        if grant.intent is None:
            return None
        page = self._answers.get((grant.account, grant.generation, grant.intent))
        return page[0] if page else None

    def drop(self, grant: Grant) -> None:
        """The answer is not needed any more, nor are those of the account's older generations."""
        self._remove(
            lambda account, generation, intent: (
                account == grant.account
                and (generation < grant.generation or (generation, intent) == (grant.generation, grant.intent))
            )
        )

    def _remove(self, is_meant: Callable[[str, int, Intent], bool]) -> None:
        self._answers = {key: page for key, page in self._answers.items() if not is_meant(*key)}
