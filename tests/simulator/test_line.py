import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.simulator import line
from gateway.simulator.line import Lines, address_of


class Peer:
    """A server that answers each request with the next of the bytes it was given."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.heads: list[bytes] = []
        self.url = ""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Peer"]:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a/b?c=d"
        async with server:
            yield self

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while self.answers:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(2)
                writer.write(self.answers.pop(0))
                await writer.drain()
        writer.close()


async def posted(peer: Peer, times: int) -> list[int]:
    lines = Lines()
    try:
        return [await lines.post(peer.url, {"X-A": "b"}, b"{}") for _ in range(times)]
    finally:
        lines.close()


async def test_a_connection_carries_many_posts() -> None:
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"
    async with Peer(ok, b"HTTP/1.1 204 No Content\r\n\r\n", ok).open() as peer:
        assert await posted(peer, 3) == [200, 204, 200]
        assert peer.connections == 1
    host = peer.url.split("/")[2]
    assert peer.heads[0].decode() == (
        f"POST /a/b?c=d HTTP/1.1\r\nHost: {host}\r\nX-A: b\r\nContent-Length: 2\r\n\r\n"
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_a_connection_that_cannot_go_on_is_given_up(answer: bytes) -> None:
    async with Peer(answer, answer).open() as peer:
        assert await posted(peer, 2) == [200, 200]
        assert peer.connections == 2


async def test_interim_answers_are_passed_over() -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
    async with Peer(answer).open() as peer:
        assert await posted(peer, 1) == [401]


async def test_an_idle_connection_is_not_used_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "KEEPALIVE_S", 0.0)
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with Peer(ok, ok).open() as peer:
        assert await posted(peer, 2) == [200, 200]
        assert peer.connections == 2


@pytest.mark.parametrize(
    "answer", [b"", b"\r\n\r\n", b"HTTP/1.1 soon\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"x" * 70_000]
)
async def test_what_is_no_answer_is_an_error_of_a_known_kind(answer: bytes) -> None:
    async with Peer(answer).open() as peer:
        with pytest.raises((OSError, EOFError, ValueError, IndexError)):
            await posted(peer, 1)


def test_an_address_has_its_default_port_and_never_names_the_user() -> None:
    assert address_of("https://user:word@example.com").port == 443
    assert address_of("https://user:word@example.com").head == b"POST / HTTP/1.1\r\nHost: example.com\r\n"
    assert address_of("http://[::1]/x").host == "::1"
    assert address_of("http://[::1]/x").port == 80
