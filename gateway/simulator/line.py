"""Posts over kept-alive connections, by hand.

An HTTP client from the shelf costs several times what the whole rest of a send does, and the simulator must
not be what a benchmark measures. What is needed is little: a status, and whether the connection can go on.
"""

import asyncio
import functools
import ssl
import time
from typing import Final
from urllib.parse import urlsplit

import msgspec

KEEPALIVE_S: Final = 3.0
"""Shorter than what common servers keep an idle connection, so that no post meets one just closed."""
MOST_SKIPPED_BYTES: Final = 1 << 16
"""A longer body of an answer is not read; its connection is given up."""


class Address(msgspec.Struct, frozen=True):
    """Where to connect, and how the request begins."""

    host: str
    port: int
    is_tls: bool
    head: bytes


class _Line(msgspec.Struct):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used_at: float = 0.0

    def is_fit(self, now: float) -> bool:
        is_open = not self.reader.at_eof() and not self.writer.transport.is_closing()
        return is_open and now - self.used_at < KEEPALIVE_S


@functools.lru_cache(maxsize=16)
def address_of(url: str) -> Address:
    """The parts of an absolute http or https address."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    named = parts.netloc.rpartition("@")[2]
    head = f"POST {target} HTTP/1.1\r\nHost: {named}\r\n".encode("ascii")
    return Address(parts.hostname or "", parts.port or (443 if is_tls else 80), is_tls, head)


class Lines:
    """Connections to the addresses that were posted to; one carries one post at a time."""

    def __init__(self) -> None:
        """Start with none."""
        self._idle: dict[Address, list[_Line]] = {}
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """The status of the answer; `OSError`, `EOFError` or `ValueError` if there is none."""
        address = address_of(url)
        line = self._take(address) or await self._open(address)
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        lines.append(f"Content-Length: {len(body)}\r\n\r\n")
        try:
            line.writer.write(b"".join((address.head, "".join(lines).encode("ascii"), body)))
            status, can_go_on = await _answer(line.reader)
        except BaseException:
            line.writer.transport.abort()
            raise
        if can_go_on:
            line.used_at = time.monotonic()
            self._idle.setdefault(address, []).append(line)
        else:
            line.writer.close()
        return status

    def close(self) -> None:
        """No connection is open but those that carry a post."""
        for lines in self._idle.values():
            for line in lines:
                line.writer.transport.abort()
        self._idle.clear()

    def _take(self, address: Address) -> _Line | None:
        idle, now = self._idle.get(address, []), time.monotonic()
        while idle:
            line = idle.pop()
            if line.is_fit(now):
                return line
            line.writer.transport.abort()
        return None

    async def _open(self, address: Address) -> _Line:
        if address.is_tls and self._tls is None:
            self._tls = ssl.create_default_context()
        tls = self._tls if address.is_tls else None
        return _Line(*await asyncio.open_connection(address.host, address.port, ssl=tls))


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status, and whether the connection can carry another post."""
    head = await _head(reader)
    while (status := int(head[0].split(b" ", 2)[1])) < 200:
        head = await _head(reader)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in head[1:])
    }
    length = b"0" if status in (204, 304) else headers.get(b"content-length", b"")
    is_short = length.isdigit() and len(length) < 8 and int(length) <= MOST_SKIPPED_BYTES
    if not is_short or b"close" in headers.get(b"connection", b"").lower() or not head[0].startswith(b"HTTP/1.1"):
        return status, False
    await reader.readexactly(int(length))
    return status, True


async def _head(reader: asyncio.StreamReader) -> list[bytes]:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
    except asyncio.LimitOverrunError as error:
        raise ValueError from error
