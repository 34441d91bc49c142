"""A keep-alive pool that knows whether the first byte of a request was handed to a socket.

That one fact decides whether a message may be sent again, and the usual pools blur it (`docs/adr/0003`). The
cost of an exchange does not depend on how many are in flight: each origin has a stack of idle connections, the
one used last on top, and nothing is ever searched.
"""

import asyncio
import functools
import ssl
from collections import deque
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from .addresses import Addresses, race
from .connection import Broken, Connection, Loss, RawAnswer

__all__ = ["Broken", "Connections", "Loss", "NotSent", "Origin", "RawAnswer", "Unsent"]

KEEPALIVE_EXPIRY: Final = timedelta(seconds=4)  # well below what servers allow, so that they never close first
MAX_ANSWER_BYTES: Final = 64 * 1024  # head and body, and whatever 1xx answers come before


class Unsent(StrEnum):
    """Why not one byte of a request was handed to a socket."""

    NAME_UNKNOWN = "name-not-resolved"
    UNREACHABLE = "connection-refused"
    TLS_FAILED = "tls-failed"
    TIMED_OUT = "connect-timed-out"
    CLOSED = "client-closed"


class NotSent(Exception):
    """Provably nothing was written: the request may be made again."""

    def __init__(self, cause: Unsent) -> None:
        super().__init__(cause.value)
        self.cause = cause


class Origin(NamedTuple):
    """Where a connection leads to."""

    scheme: str
    host: str
    port: int


class Connections:
    """Carries requests over kept connections; proxies, redirects and content codings do not exist for it.

    TLS is verified against the system's authorities (OpenSSL's SSL_CERT_FILE names others). There is no cap on
    connections: whoever sends decides how many requests are in flight.
    """

    def __init__(
        self,
        connect_timeout: timedelta,
        read_timeout: timedelta,
        *,
        keepalive_expiry: timedelta = KEEPALIVE_EXPIRY,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        addresses: Addresses | None = None,
    ) -> None:
        self._connect_timeout_s = connect_timeout.total_seconds()
        self._read_timeout_s = read_timeout.total_seconds()
        self._keepalive_expiry_s = keepalive_expiry.total_seconds()
        self._max_answer_bytes = max_answer_bytes
        self._tls: ssl.SSLContext | None = None
        self._addresses = addresses or Addresses()
        self._idle: dict[Origin, deque[tuple[Connection, float]]] = {}
        self._open: set[Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = asyncio.Event()

    @property
    def open_count(self) -> int:
        """How many sockets are open, in use or idle."""
        return len(self._open)

    async def exchange(self, origin: Origin, request: bytes) -> RawAnswer:
        """The answer to `request`, head and body as they go onto the wire; it is written at most once.

        Raises NotSent before the first byte, Broken after it. Connecting has `connect_timeout`; from the first
        byte written to the last one read it is `read_timeout`.
        """
        connection = self._take(origin) or await self._connect(origin)
        if not connection.is_open:
            connection.abort()
            raise NotSent(Unsent.UNREACHABLE)  # it was closed before anything was written
        answer = await connection.ask(request, self._read_timeout_s)
        self._keep(origin, connection)
        return answer

    async def prepare(self, origin: Origin) -> None:
        """A new connection to `origin` is open, and the next exchange uses it. Raises NotSent."""
        self._keep(origin, await self._connect(origin))

    async def aclose(self) -> None:
        """Every connection is closed; exchanges under way are broken, later ones not sent."""
        self._closed.set()
        if self._sweep is not None:
            self._sweep.cancel()
        self._idle.clear()
        closing = [connection.gone for connection in self._open]
        for connection in list(self._open):
            connection.abort()
        if closing:
            await asyncio.wait(closing)

    def _take(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        oldest = asyncio.get_running_loop().time() - self._keepalive_expiry_s
        while idle:
            connection, since = idle.pop()
            if since > oldest and connection.is_quiet:
                return connection
            connection.abort()
        return None

    def _keep(self, origin: Origin, connection: Connection) -> None:
        if self._closed.is_set() or not connection.is_open:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        self._idle.setdefault(origin, deque()).append((connection, loop.time()))
        if self._sweep is None:
            self._sweep = loop.call_later(self._keepalive_expiry_s, self._close_expired)

    def _close_expired(self) -> None:
        """The bottoms of the stacks are swept: what has been idle for too long lies there."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._keepalive_expiry_s
        for idle in self._idle.values():
            while idle and (idle[0][1] <= oldest or not idle[0][0].is_open):
                idle.popleft()[0].abort()
        remaining = [idle[0][1] for idle in self._idle.values() if idle]
        self._sweep = (
            loop.call_at(min(remaining) + self._keepalive_expiry_s, self._close_expired) if remaining else None
        )

    async def _connect(self, origin: Origin) -> Connection:
        if self._closed.is_set():
            raise NotSent(Unsent.CLOSED)
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await self._connect_unhurried(origin)
        except TimeoutError:
            raise NotSent(Unsent.TIMED_OUT) from None
        if self._closed.is_set():
            connection.abort()
            raise NotSent(Unsent.CLOSED)
        self._open.add(connection)
        connection.gone.add_done_callback(lambda _: self._open.discard(connection))
        return connection

    async def _connect_unhurried(self, origin: Origin) -> Connection:
        addresses = await self._addresses.find(origin.host)
        if not addresses:
            raise NotSent(Unsent.NAME_UNKNOWN)
        try:
            return await race(addresses, functools.partial(self._open_socket, origin), Connection.abort)
        except TimeoutError:  # the kernel's own patience, not ours
            raise NotSent(Unsent.TIMED_OUT) from None
        except OSError as error:
            broke_in_tls = isinstance(error, ssl.SSLError | ConnectionResetError | ConnectionAbortedError)
            is_tls = origin.scheme == "https" and broke_in_tls
            raise NotSent(Unsent.TLS_FAILED if is_tls else Unsent.UNREACHABLE) from error

    async def _open_socket(self, origin: Origin, address: str) -> Connection:
        is_tls = origin.scheme == "https"
        # Not with a socket of our own: when that fails early, uvloop closes its number and leaves the object
        # open, which later closes the same number again, and then it is another connection's.
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self._max_answer_bytes),
            address,
            origin.port,
            ssl=self._verified_tls() if is_tls else None,
            server_hostname=origin.host if is_tls else None,
        )
        return connection

    def _verified_tls(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls
