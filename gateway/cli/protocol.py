"""What one connection may take of us: how long, how much, and what it is told when that is over.

uvicorn speaks HTTP; this counts bytes and looks at a clock.
"""

import asyncio
from asyncio import TimerHandle
from typing import Any, ClassVar, Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.core.errors import GatewayError, InvalidRequest, TooLarge
from gateway.http.doors import answer_of_error

from .descriptors import room
from .sockets import is_untaken, reset
from .upgrading import without_upgrade

# A request is here, whole, so long after its first byte or after the answer to the one before it, and the next one
# begins so long after an answer, or the connection is closed. Longer than the 5 s after which common clients drop an
# idle connection: they close first, so that no request meets a connection that is being closed.
REQUEST_S: Final = 8.0
# A client that takes nothing of its answer for so long is cut off: as long as one that holds up our end.
TAKING_S: Final = 5.0
# And one that takes it drop by drop. The largest list, a thousand messages, is about 1 MB: 20 kB/s are enough.
ANSWER_S: Final = 60.0
# After an answer that came before its request was whole, what still arrives is read and thrown away for so long:
# closing at once would reset the connection, and the client would lose the answer that says what was wrong.
LEAVING_S: Final = 2.0
# Request line and headers, as large as common proxies let them be; also what a chunked body may have beside its
# content at a stretch.
MAX_HEAD: Final = 32 << 10
# What is given to the parser at once: whatever is asked for in it is held at the same time, so it is small.
PIECE: Final = 4 << 10
_SAMPLE_S: Final = 1.0  # between two looks at an answer that is not taken


class Connection(HttpToolsProtocol):
    """One client's connection, which ends by itself whatever the client does.

    One timer looks after it; it is set anew when it fires and not when something happens, so a request costs none.
    """

    open_connections: ClassVar[int] = 0  # of the process: descriptors are the process's, too

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._since = 0.0  # the client has had the word since then
        self._is_whole = True  # whatever has begun to arrive has also ended
        self._may_stay = True  # the connection, after the answer to the request that arrives
        self._unfinished = 0  # bytes since the last of them that got us further
        self._held = bytearray()  # read, and not yet looked at
        self._refusal: GatewayError | None = None  # our last word, once it is decided
        self.is_leaving = False  # it is said
        self._paused_at = self._moved_at = 0.0
        self._left = 0
        self._timer: TimerHandle | None = None

    # -- what the transport tells --

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it, too
        """The connection is watched from now on."""
        super().connection_made(transport)
        Connection.open_connections += 1
        self._exit = cast("asyncio.Transport", _Exit(transport, self))
        self._since = self.loop.time()
        self._timer = self.loop.call_later(REQUEST_S, self._look)
        if Connection.open_connections > room():
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing of it is left."""
        Connection.open_connections -= 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._held.clear()
        super().connection_lost(exc)
        # The way out leads back here, and nothing of a connection should have to wait for the garbage collector.
        self._exit = self.transport
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None:
            cycle.transport = self.transport

    def data_received(self, data: bytes) -> None:
        """Read, or thrown away once the last word is decided."""
        if self._refusal is not None or self.is_leaving:
            return
        if len(data) <= PIECE and not self._unfinished and not self._held:
            self._read(data)
            return
        self._held += data
        self._read_on()

    def pause_writing(self) -> None:
        """The client takes its answers more slowly than they are made."""
        super().pause_writing()
        self._paused_at = self._moved_at = self.loop.time()
        self._left = self.transport.get_write_buffer_size()
        self._look_in(_SAMPLE_S)

    def resume_writing(self) -> None:
        """It has taken nearly all; for the rest it has the time of a request."""
        super().resume_writing()
        self._since = self.loop.time()

    def shutdown(self) -> None:
        """No request is taken after the one that is under way."""
        self._may_stay = False
        super().shutdown()

    # -- what the parser tells --

    def on_message_begin(self) -> None:
        """The first byte of a request is here."""
        super().on_message_begin()
        if self._is_whole:  # else it is read once more, and has its time since it was read first
            self._since = self.loop.time()
            self._is_whole = False

    def on_headers_complete(self) -> None:
        """The request is under way."""
        self._unfinished = 0
        if self.parser.should_upgrade():
            return  # it is read once more, as one that does not ask for it
        super().on_headers_complete()
        self.cycle.transport = self._exit
        # An answer that starts before its request is whole says that it is the last: nobody waits for the rest.
        self._may_stay, self.cycle.keep_alive = self.cycle.keep_alive, False
        self.headers = []  # the request has its own: a trailer is not a header, and nobody asks for it

    def on_body(self, body: bytes) -> None:
        """A part of the body is here."""
        self._unfinished = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here, whole."""
        self._unfinished = 0
        if self.parser.should_upgrade():
            return
        self._is_whole = True
        super().on_message_complete()
        if not self.cycle.response_started:
            self.cycle.keep_alive = self._may_stay

    # -- requests and answers --

    def on_response_complete(self) -> None:
        """The client has the word, or the next of its requests is under way.

        In place of uvicorn's, which sets a timer at every answer and takes it back at every request.
        """
        self.server_state.total_requests += 1
        self._since = self.loop.time()
        if self.is_leaving or self.transport.is_closing():
            return
        if self.pipeline and not (self._refusal is not None and self.pipeline[-1][0].more_body):
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal is not None:
            self._refuse_now(self._refusal)
            return
        if self._refusal is None:
            self.flow.resume_reading()
            self._read_on()

    def leave(self) -> None:
        """All is said: the client sees the end, and nothing that it still sends is looked at."""
        if self.is_leaving or self.transport.is_closing():
            return
        if self._is_whole and self._refusal is None:
            self.transport.close()
            return
        self.is_leaving = True
        self._held.clear()
        self._since = self.loop.time()
        self.transport.write_eof()
        self.flow.resume_reading()
        self._look_in(LEAVING_S)

    def _read_on(self) -> None:
        """What is held is read, but for what comes after a request that must wait for its turn."""
        held = self._held
        while held and not self.pipeline and self._refusal is None:
            size = min(PIECE, MAX_HEAD - self._unfinished)
            piece = bytes(held[:size])
            del held[:size]
            self._read(piece)
        if held:
            self.flow.pause_reading()

    def _read(self, data: bytes) -> None:
        while data:
            self._unfinished += len(data)
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    self._refuse(InvalidRequest("this is no proxy"))
                    return
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                continue
            except HttpParserError:
                self._refuse(InvalidRequest("this is not an HTTP/1.1 request that can be read"))
                return
            break
        if self._unfinished >= MAX_HEAD:
            self._refuse(TooLarge(f"the request line and the headers may have {MAX_HEAD} bytes at most"))

    def _head_without_upgrade(self) -> bytes:
        """The head that was just read, as one that does not ask for another protocol, for a new parser.

        The old one takes no body of a request that asks, and some clients ask in every first request, with a body.
        """
        line = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._unfinished = 0
        return without_upgrade(line, self.headers)

    def _refuse(self, error: GatewayError) -> None:
        """This is our last word, once every whole request that came before has its answer."""
        self._refusal = error
        self._held.clear()
        if self._is_answering():
            self.flow.pause_reading()
        else:
            self._refuse_now(error)

    def _refuse_now(self, error: GatewayError) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # the request will never be whole: whoever reads it is told
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()
                return
        answer = answer_of_error(error, connection="close")
        head = {"content-type": answer.media_type, "content-length": str(len(answer.body)), **answer.headers}
        lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in head.items())
        self.transport.write(STATUS_LINE[answer.status] + lines + b"\r\n" + answer.body)
        self.leave()

    def _is_answering(self) -> bool:
        """A request that is here, whole, waits for its answer."""
        cycle: RequestResponseCycle | None = self.cycle
        return bool(self.pipeline) or (cycle is not None and not cycle.response_complete and not cycle.more_body)

    # -- the clock --

    def _look(self) -> None:
        now = self.loop.time()
        due = self._due(now)
        if due > now:
            self._timer = self.loop.call_later(due - now, self._look)
        elif self.transport.get_write_buffer_size() or is_untaken(self.transport):
            reset(self.transport)
        else:
            self.transport.abort()

    def _due(self, now: float) -> float:
        """When the connection will have to be looked at, which is when its time is over if nothing happens."""
        if self.is_leaving:
            return self._since + LEAVING_S
        if self.flow.write_paused:
            left = self.transport.get_write_buffer_size()
            if left != self._left:
                self._left, self._moved_at = left, now
            end = min(self._moved_at + TAKING_S, self._paused_at + ANSWER_S)
            return end if end <= now else min(end, now + _SAMPLE_S)
        if self._is_answering():
            return now + REQUEST_S
        return self._since + REQUEST_S

    def _look_in(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self.loop.call_later(delay_s, self._look)


class _Exit:
    """The transport as a request's answer sees it: to close it is to leave."""

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self.write = transport.write
        self.close = connection.leave
        self._transport = transport
        self._connection = connection

    def is_closing(self) -> bool:
        """True also while the connection is leaving: nothing is written any more, not even `100 Continue`."""
        return self._connection.is_leaving or self._transport.is_closing()
