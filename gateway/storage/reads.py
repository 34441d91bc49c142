"""One thread reads on one connection, each time the store as it stood at one moment."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gateway.core.errors import Unavailable

T = TypeVar("T")


class Reads:
    """Runs queries, one after the other; what one of them reads in several steps belongs together."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._is_closed = False

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """What `query` returns; raises Unavailable if the store cannot be read."""
        if self._is_closed:
            raise Unavailable("the store is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, query)
        except sqlite3.Error as error:
            raise Unavailable("the store cannot be read") from error

    async def aclose(self) -> None:
        """The queries that were under way are done, and the connection is closed."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        self._connection.execute("BEGIN")
        try:
            return query(self._connection)
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
