"""One thread owns the writing connection, and one commit serves every change that is waiting.

A commit costs an fsync whether it carries one change or fifty, so while one is being written the next changes
gather; that makes two durable records a send affordable (docs/adr/0002-sqlite-group-commit.md).
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from time import monotonic, sleep
from typing import Any, Final, TypeVar

from gateway.core.errors import CannotStart, Unavailable

from .places import Names

T = TypeVar("T")
Change = Callable[[sqlite3.Connection], T]

BUSY_TIMEOUT_S: Final = 2.0
MAX_CHANGES: Final = 256
_MAX_WAL_BYTES: Final = 64 << 20  # what the log is cut back to after a burst
_FULL: Final = 2
_LOOK_AGAIN_S: Final = 0.01
# What is written to a file without a name is gone with this process, and SQLite does not mind.
_GONE: Final = (
    "the store's file was removed or replaced while it was in use: put it back, and restart what uses it"
)


def connect(path: Path, *, is_writer: bool) -> sqlite3.Connection:
    """A connection with the settings that the promises rest on: WAL, and an fsync before a commit returns.

    Raises CannotStart where these cannot be had, and sqlite3.Error where the file cannot be used at all.
    """
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        journal = _to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        if (journal, synchronous) != ("wal", _FULL):
            raise CannotStart(
                f"the store {path} cannot be made durable (its journal is {journal}): put it in a file on a local disk"
            )
        connection.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_BYTES}")
        if not is_writer:
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _to_wal(connection: sqlite3.Connection) -> str:
    """The journal's mode, WAL where that can be had.

    Of several that open a new file at once SQLite refuses this to some without waiting: each has what another needs.
    """
    end = monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.Error as error:
            if not _is_locked(error) or monotonic() >= end:
                raise
        sleep(_LOOK_AGAIN_S)


class _Waiting:
    """One change, and who waits for it."""

    __slots__ = ("change", "error", "future", "value")

    def __init__(self, change: Change[Any], future: "asyncio.Future[Any]") -> None:
        self.change = change
        self.future = future
        self.value: Any = None
        self.error: Exception | None = None


class Commits:
    """Runs changes in one thread, many to a transaction; a change is durable when its future has a result.

    A change may be run more than once; only its last run counts.
    """

    def __init__(self, connection: sqlite3.Connection, names: Names, name: str) -> None:
        self._connection = connection
        self._names = names
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self._ended = asyncio.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, change: Change[T]) -> "asyncio.Future[T]":
        """A future of what `change` returns, resolved after its commit; Unavailable if that could not be confirmed."""
        future: asyncio.Future[T] = self._loop.create_future()
        if self._is_closed:
            future.set_exception(Unavailable("the store is closed"))
        else:
            self._queue.put(_Waiting(change, future))
        return future

    async def aclose(self) -> None:
        """Every change that was submitted is done, and the connection is closed."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.put(None)
        await self._ended.wait()

    def _run(self) -> None:
        is_last = False
        try:
            while not is_last and (first := self._queue.get()) is not None:
                batch, is_last = self._gather(first)
                self._commit(batch)
                self._tell(_resolve, batch)
            self._connection.close()
        finally:
            self._tell(self._ended.set)

    def _tell(self, callback: Callable[..., object], *about: object) -> None:
        # The loop is gone when the process is being torn down; nobody is left to be told.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *about)

    def _gather(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        batch = [first]
        while len(batch) < MAX_CHANGES and not self._queue.empty():
            waiting = self._queue.get()
            if waiting is None:
                return batch, True
            batch.append(waiting)
        return batch, False

    def _commit(self, batch: list[_Waiting]) -> None:
        """Every change of the batch is committed or has an error; a bad one does not spoil the others.

        Where another process has the lock, waiting for it once is enough for all of them.
        """
        error = self._transact(batch)
        if error is None:
            return
        for waiting in batch:
            if len(batch) > 1 and not _is_locked(error):
                error = self._transact([waiting])
            waiting.error = None if error is None else _as_ours(error)

    def _transact(self, batch: list[_Waiting]) -> Exception | None:
        """What kept the batch from being committed as a whole; then nothing of it is."""
        execute = self._connection.execute
        try:
            if self._names.are_lost():
                raise sqlite3.OperationalError(_GONE)
            execute("BEGIN IMMEDIATE")
            for waiting in batch:
                waiting.value = waiting.change(self._connection)
            execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whoever waits for the change is told, whatever it is
            # SQLite ends some failed transactions by itself, and leaves others open: also at COMMIT.
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    execute("ROLLBACK")
            return error
        return None


def _is_locked(error: Exception | None) -> bool:
    code = getattr(error, "sqlite_errorcode", None)  # an extended code has the plain one in its low byte
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY


def _as_ours(error: Exception) -> Exception:
    if not isinstance(error, sqlite3.Error | OSError):
        return error
    ours = Unavailable("the store could not confirm the change")
    ours.__cause__ = error
    return ours


def _resolve(batch: list[_Waiting]) -> None:
    for waiting in batch:
        if waiting.future.done():  # its waiter was cancelled; the change stands all the same
            continue
        if waiting.error is None:
            waiting.future.set_result(waiting.value)
        else:
            waiting.future.set_exception(waiting.error)
