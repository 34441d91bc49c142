"""Requests as bytes, and answers read from bytes, strictly: what a proxy would refuse is refused here."""

import enum
import re
import socket
from collections.abc import Callable

import h11
import httptools
import msgspec

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [\x20-\x7e]*")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
_LARGEST = 64 << 20
_NO_BODY = (204, 304)


class Ask(msgspec.Struct, frozen=True):
    """One request before it is bytes."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_chunked: bool = False

    def head(self, length: int | None = None) -> bytes:
        """The request line and the headers, with the empty line after them."""
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: gateway"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.is_chunked:
            lines.append("Transfer-Encoding: chunked")
        elif self.body or self.method == "POST":
            lines.append(f"Content-Length: {len(self.body) if length is None else length}")
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass")

    def bytes(self) -> bytes:
        """The whole request."""
        return self.head() + (chunked(self.body) if self.is_chunked else self.body)


class Reply(msgspec.Struct, frozen=True):
    """One answer."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The value of the first header of that name."""
        return next((value for each, value in self.headers if each.lower() == name), None)

    @property
    def is_last(self) -> bool:
        """Whether the server closes the connection after it."""
        return (self.header(b"connection") or b"").lower() == b"close"


class IllFormed(Exception):
    """What came is no HTTP answer."""


class Shape(enum.Enum):
    """What a second reader of HTTP, strict and independent of the gateway's, makes of the bytes."""

    WHOLE = "whole"  # exactly one request
    MORE = "more"  # one request and something after it
    PARTIAL = "partial"  # the beginning of a request
    BROKEN = "broken"  # not HTTP, and no more is wanted of it


def chunked(body: bytes, size: int = 4000) -> bytes:
    """The body in chunks."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def shape_of(raw: bytes) -> Shape:
    """Whether the bytes are one request, as h11 reads them."""
    if not raw:
        return Shape.PARTIAL  # which h11 would take for the end of the connection
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST)
    try:
        reader.receive_data(raw)
        while True:
            event = reader.next_event()
            if event is h11.NEED_DATA:
                return Shape.PARTIAL
            if isinstance(event, h11.EndOfMessage):
                return Shape.MORE if reader.trailing_data[0] else Shape.WHOLE
            if event is h11.PAUSED:
                return Shape.MORE
    except (h11.RemoteProtocolError, ValueError, AssertionError):  # h11 lets a few of its own escape
        return Shape.PARTIAL if _wants_more(raw) else Shape.BROKEN


def _wants_more(raw: bytes) -> bool:
    """Whether the gateway's own parser, more lenient, waits for the rest of these bytes: then it may be silent."""
    ends = _Ends()
    parser = httptools.HttpRequestParser(ends)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        return True  # what becomes of the rest is not known here
    except httptools.HttpParserError:
        return False
    return ends.count == 0


class _Ends:
    """Counts the ends of requests."""

    def __init__(self) -> None:
        self.count = 0

    def on_message_complete(self) -> None:
        self.count += 1


def is_head(raw: bytes) -> bool:
    """Whether the answer comes without its body."""
    return raw.lstrip(b"\r\n")[:5] == b"HEAD "


def read_reply(buffer: bytes, *, has_no_body: bool = False, is_closed: bool = False) -> tuple[Reply, bytes] | None:
    """The first answer in the buffer and what follows it; None while more is needed; raises IllFormed."""
    head, separator, rest = buffer.partition(b"\r\n\r\n")
    if not separator:
        if buffer and (is_closed or not b"HTTP/1.1 ".startswith(buffer[:9])):
            raise IllFormed(f"no answer: {buffer[:200]!r}")
        return None
    first, *lines = head.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(first)
    headers = [_HEADER.fullmatch(line) for line in lines]
    if status is None or None in headers:
        raise IllFormed(f"a head that is none: {head[:400]!r}")
    found = tuple((it[1], it[2]) for it in headers if it is not None)
    answer = Reply(int(status[1]), found, b"")
    if answer.status < 200:
        return read_reply(rest, has_no_body=has_no_body, is_closed=is_closed)  # 100 Continue
    if has_no_body or answer.status in _NO_BODY:
        return answer, rest
    if (answer.header(b"transfer-encoding") or b"").lower() == b"chunked":
        body = _dechunked(rest)
        if body is None and is_closed:
            raise IllFormed("cut inside a chunk")
        return None if body is None else (Reply(answer.status, found, body[0]), body[1])
    length = answer.header(b"content-length")
    if length is None or not length.isdigit():
        raise IllFormed(f"no length: {head[:400]!r}")
    if len(rest) < int(length):
        if is_closed:
            raise IllFormed(f"cut: {len(rest)} of {int(length)} bytes")
        return None
    return Reply(answer.status, found, rest[: int(length)]), rest[int(length) :]


def _dechunked(rest: bytes) -> tuple[bytes, bytes] | None:
    parts: list[bytes] = []
    while True:
        line, separator, rest = rest.partition(b"\r\n")
        if not separator:
            return None
        size = int(line.partition(b";")[0], 16)
        if len(rest) < size + 2:
            return None
        if size == 0:
            return b"".join(parts), rest[2:]
        parts.append(rest[:size])
        rest = rest[size + 2 :]


class Line:
    """One kept-alive connection that waits for each answer."""

    def __init__(self, address: tuple[str, int], patience_s: float = 15.0) -> None:
        self._address = address
        self._patience_s = patience_s
        self._socket: socket.socket | None = None

    def ask(self, raw: bytes, on_silence: Callable[[], None] | None = None) -> Reply | None:
        """The answer; None when the connection was closed without one, or nothing came in time."""
        is_kept = self._socket is not None
        reply, is_closed = self._ask_once(raw, on_silence)
        if reply is None and is_closed and is_kept:  # the server may close an idle connection at any moment
            reply, _ = self._ask_once(raw, on_silence)
        return reply

    def _ask_once(self, raw: bytes, on_silence: Callable[[], None] | None) -> tuple[Reply | None, bool]:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=self._patience_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer, without_body, is_closed = b"", is_head(raw), False
        try:
            try:
                self._socket.sendall(raw)
            except (BrokenPipeError, ConnectionResetError):
                is_closed = True  # what it said before is still to be read
            while (found := read_reply(buffer, has_no_body=without_body)) is None:
                part = self._socket.recv(1 << 20)
                if not part:
                    read_reply(buffer, has_no_body=without_body, is_closed=True)
                    self.close()
                    return None, True
                buffer += part
        except TimeoutError:
            self.close()
            if on_silence is not None:
                on_silence()
            return None, False
        except OSError:
            self.close()
            return None, True
        if is_closed or found[0].is_last or found[1]:
            self.close()
        return found[0], is_closed

    def close(self) -> None:
        """The next request opens a new connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
