"""One socket, carrying one exchange at a time: a request's bytes go out, one whole answer comes back.

The parser is llhttp (through httptools, as in uvicorn). What it will not read is unreadable here too; nothing is
lenient. Only the answer's size, its codings and its end are decided in this file.
"""

import asyncio
import select
from enum import StrEnum
from typing import Final, cast

import httptools
import msgspec


class Loss(StrEnum):
    """Why there is no answer to a request of which something may have arrived."""

    TIMED_OUT = "timed-out"
    CONNECTION_LOST = "connection-lost"
    UNREADABLE = "unreadable-answer"
    TOO_LARGE = "answer-too-large"


class Broken(Exception):
    """Something was written and no answer can be had: the server may have acted on it."""

    def __init__(self, cause: Loss) -> None:
        super().__init__(cause.value)
        self.cause = cause


class RawAnswer(msgspec.Struct, frozen=True):
    """One complete HTTP answer; header names are in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


_TURNS_OF_GRACE: Final = 2


class Connection(asyncio.Protocol):
    """One socket, carrying one exchange at a time. After anything odd it is never used again."""

    def __init__(self, max_answer_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._max_answer_bytes = max_answer_bytes
        self._parser = httptools.HttpResponseParser(self)
        self._bytes_waiting = select.poll()
        self._answer: asyncio.Future[RawAnswer | Loss] | None = None
        self._is_spoilt = False
        self._ends_with_connection = False
        self._received_bytes = 0
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []

    # What the pool asks

    @property
    def is_open(self) -> bool:
        """True while the socket may be written to, as far as the event loop has heard."""
        return not (self._is_spoilt or self._transport.is_closing())

    @property
    def is_quiet(self) -> bool:
        """True when it is open and nothing waits in the kernel: neither the peer's farewell nor late bytes.

        The event loop may be a few milliseconds behind the kernel, and that is when a request would be written
        to a connection that the server has just closed.
        """
        return self.is_open and not self._bytes_waiting.poll(0)

    async def ask(self, request: bytes, timeout_s: float) -> RawAnswer:
        """The answer to `request`, all within `timeout_s`. Raises Broken.

        Cancelled or broken, the connection is aborted, so that a late answer can reach nobody else.
        """
        answer: asyncio.Future[RawAnswer | Loss] = self._loop.create_future()
        self._answer = answer
        self._received_bytes = 0
        deadline = self._loop.call_later(timeout_s, self._be_late, answer, _TURNS_OF_GRACE)
        is_whole = False
        try:
            self._transport.write(request)
            heard = await answer
            is_whole = not isinstance(heard, Loss)
        finally:
            deadline.cancel()
            self._answer = None
            if not is_whole:
                self.abort()
        if isinstance(heard, Loss):
            raise Broken(heard)
        return heard

    def abort(self) -> None:
        """Closed without a word, whatever was under way."""
        self._is_spoilt = True
        self._transport.abort()

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected, and secured where it must be."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._bytes_waiting.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """These bytes are in the answer, or the exchange has ended because of them."""
        if self._answer is None or self._answer.done():
            self.abort()  # nobody asked for this
            return
        self._received_bytes += len(data)
        if self._received_bytes > self._max_answer_bytes:
            self._break(Loss.TOO_LARGE)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._break(Loss.UNREADABLE)

    def eof_received(self) -> None:
        """Nothing more will come: an answer without a length is whole, any other is broken."""
        if self._ends_with_connection:
            self._conclude()
        self._is_spoilt = True

    def connection_lost(self, _: Exception | None) -> None:
        """Whoever waits for an answer knows that there will be none."""
        self._break(Loss.CONNECTION_LOST)
        self.gone.set_result(None)

    # What the parser tells

    def on_message_begin(self) -> None:
        """A new answer begins, an interim one or the one."""
        if self._answer is None or self._answer.done():
            self._is_spoilt = True  # a second answer to one request
        self._headers = []
        self._body = []
        self._ends_with_connection = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """The header is noted, its name in lower case."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The body can be read as it comes, or the exchange ends here."""
        self._status = self._parser.get_status_code()
        has_length = False
        for name, value in self._headers:
            if name == b"content-length":
                has_length = True
            elif name == b"transfer-encoding":
                has_length = True
                if value.strip().lower() != b"chunked":
                    raise ValueError("a transfer coding that we did not ask for")
            elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise ValueError("a content coding that we did not ask for")  # a small bomb unpacks to gigabytes
        self._ends_with_connection = not has_length and self._status >= 200

    def on_body(self, part: bytes) -> None:
        """This part of the body is kept."""
        self._body.append(part)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self._status == 101:
            raise ValueError("a switch of protocols that we did not ask for")
        if self._status >= 200:  # an interim answer is none; the parser goes on to the next
            self._is_spoilt = self._is_spoilt or not self._parser.should_keep_alive()
            self._conclude()

    def _conclude(self) -> None:
        self._ends_with_connection = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(RawAnswer(self._status, self._headers, b"".join(self._body)))

    def _be_late(self, answer: "asyncio.Future[RawAnswer | Loss]", turns: int) -> None:
        """The deadline of `answer` has passed; what has arrived by now is read before it is given up.

        A process that was stopped for a while finds the timer and the answer at the same time, and loops look at
        their timers first.
        """
        if turns:
            self._loop.call_soon(self._be_late, answer, turns - 1)
        elif self._answer is answer:
            self._break(Loss.TIMED_OUT)

    def _break(self, cause: Loss) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(cause)
        self.abort()
