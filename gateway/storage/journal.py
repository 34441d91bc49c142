"""The answers to refreshes, each in a file of its own beside the store, sealed and synced before anything is made of it.

An answer may be the only copy of a new pair, so its room is reserved before the refresh token leaves. A file belongs to
one intent: who prepares to ask, and then may not, spoils nothing for the one who does, and an answer is never taken
for that to another presentation. It says of itself that nothing has been asked, until right before that is so. Whoever
finds it like that takes its name away, and who has lost the name does not ask: that nothing left us stays true.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from gateway.core.errors import CannotOpen, Unavailable
from gateway.core.grant import Grant, Intent
from gateway.ports import Entry, Heard

from .private import create, make_folder, sync_folder
from .records import micros
from .sealing import KeyRing

_ROOM: Final = 128 << 10  # twice the longest answer
_LENGTH_BYTES: Final = 4
_UNASKED: Final = b"nothing has been asked"  # read as an answer's length, it is longer than any file
_DRAFT: Final = "new"
_VOID: Final = "void"

_encode = msgspec.msgpack.Encoder().encode


class _Written(Heard, frozen=True):
    """An answer, and the digest of the refresh token that it came to."""

    presented: bytes = b""


_read_written = msgspec.msgpack.Decoder(_Written).decode


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


def _digest(grant: Grant) -> bytes:
    return hashlib.sha256(grant.refresh.value.encode()).digest()


def _word(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class FileJournal:
    """Keeps the answers in a folder, which is made when the first one is expected."""

    def __init__(self, folder: Path, ring: KeyRing) -> None:
        self._folder = folder
        self._ring = ring

    def open(self, grant: Grant, *, besides: Intent | None = None) -> Entry:
        """The room for the answer to the presentation that the grant intends; raises Unavailable.

        `besides` is another intent of this process's that may be on record: its room stays.
        """
        if grant.intent is None:
            raise ValueError("an answer belongs to an intent")
        name = _name(grant, grant.intent)
        kept = None if besides is None else _name(grant, besides)
        path = self._folder / name.text
        try:
            make_folder(self._folder)
            sync_folder(self._folder.parent)
            # What this process prepared before and never asked for would pile up while the store is down.
            self._remove(lambda _, it: (it.account, it.owner) == (name.account, name.owner) and it != kept)
            file = create(path)
            try:
                _reserve(file)
                sync_folder(self._folder)
            except OSError:
                os.close(file)
                path.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise Unavailable("no room can be had for the answer to a refresh") from error
        presented = _digest(grant)
        return _Page(path, file, presented, lambda heard: self._ring.seal(name.label, heard))

    def read(self, grant: Grant) -> Heard | None:
        """The answer to the presentation that the grant intends, if it was written down whole."""
        if grant.intent is None:
            return None
        name = _name(grant, grant.intent)
        written = self._written(self._folder / name.text, name)
        return None if written is None else Heard(written.status, written.body)

    def late(self, grant: Grant) -> Iterator[Heard]:
        """Every answer to a presentation of this refresh token that was written down whole, whoever asked.

        Raises Unavailable where nobody can tell: what would be presented instead may be spent.
        """
        whose = _word(grant.account), grant.generation
        try:
            files = list(self._files())
        except OSError as error:
            raise Unavailable("the answers to refreshes cannot be looked through") from error
        for path, name in files:
            written = self._written(path, name) if (name.account, name.generation) == whose else None
            if written is not None and written.presented == _digest(grant):
                yield Heard(written.status, written.body)

    def _written(self, path: Path, name: _Name) -> _Written | None:
        try:
            return _read_written(self._ring.open(name.label, _sealed_in(path)))
        except (OSError, CannotOpen, msgspec.DecodeError):
            return None

    def void(self, grant: Grant) -> bool:
        """True if nothing was asked under the grant's intent, and nothing will be; False where nobody can tell."""
        if grant.intent is None:
            return False
        path = self._folder / _name(grant, grant.intent).text
        voided = path.with_name(f"{path.name}.{_VOID}")
        with suppress(OSError):
            if _is_unasked(path):
                path.rename(voided)
        return _is_unasked(voided)  # looked at once it had lost its name: who marks it after that does not ask

    def drop(self, grant: Grant) -> None:
        """The answer is not needed any more: its file is gone, and so are those of the account's older generations.

        So is what others of this generation prepared and did not use.
        """
        account = _word(grant.account)
        own = None if grant.intent is None else _name(grant, grant.intent)

        def is_over(path: Path, it: _Name) -> bool:
            if it.account != account or it.generation > grant.generation:
                return False
            return it == own or it.generation < grant.generation or _is_unasked(path)

        with suppress(OSError):
            self._remove(is_over)

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

    def _remove(self, is_meant: Callable[[Path, _Name], bool]) -> None:
        for path, name in list(self._files()):
            if is_meant(path, name):
                path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[Path, _Name]]:
        """Our files, drafts and void ones among them; others are none of our business."""
        with suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                parts = path.name.removesuffix(f".{_DRAFT}").removesuffix(f".{_VOID}").split(".")
                with suppress(ValueError):
                    account, generation, turn, owner, begun_at = parts
                    yield path, _Name(account, int(generation), turn, owner, int(begun_at))


class _Page:
    """One file: the mark that its question may have left, and then the answer."""

    def __init__(self, path: Path, file: int, presented: bytes, seal: Callable[[bytes], bytes]) -> None:
        self._path = path
        self._file = file
        self._presented = presented
        self._seal = seal

    def begin(self) -> bool:
        try:
            os.pwrite(self._file, bytes(len(_UNASKED)), 0)
            os.fdatasync(self._file)
            return self._path.exists()
        except OSError:
            return False

    def __call__(self, status: int, body: bytes) -> None:
        # Whatever goes wrong here, the answer is in memory and is about to be saved.
        with suppress(Exception):
            os.pwrite(self._file, _record(self._seal(_encode(_Written(status, body, self._presented)))), 0)
            os.fdatasync(self._file)

    def __del__(self) -> None:
        with suppress(OSError):
            os.close(self._file)


def _reserve(file: int) -> None:
    # Written, too: then an answer overwrites blocks that are there, and syncing it has nothing else to do.
    os.posix_fallocate(file, 0, _ROOM)
    os.pwrite(file, _UNASKED.ljust(_ROOM, b"\0"), 0)
    os.fsync(file)


def _record(sealed: bytes) -> bytes:
    return len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed


def _is_unasked(path: Path) -> bool:
    """True if the file is there, and says that nothing has been asked."""
    try:
        with _reading(path) as file:
            return file.read(len(_UNASKED)) == _UNASKED
    except OSError:
        return False


def _reading(path: Path) -> BinaryIO:
    """The file, open to be read; raises OSError."""
    # Whatever lies there under this name must not keep us waiting, nor lead us elsewhere.
    return open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")  # noqa: PTH123 - a descriptor


def _sealed_in(path: Path) -> bytes:
    """The sealed answer in a file, empty if there is no whole one; raises OSError."""
    with _reading(path) as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "big")
        if length > os.fstat(file.fileno()).st_size:
            return b""
        sealed = file.read(length)
    return sealed if len(sealed) == length else b""
