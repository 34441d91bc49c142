"""Slow and greedy clients: each has its time and its bytes, and is told where it can be."""

import asyncio
import json
import resource
import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from gateway.cli import protocol
from gateway.cli.listener import Listener, bound
from gateway.cli.protocol import LEAVING_S, MAX_HEAD, REQUEST_S, TAKING_S
from tests.system.clients import CHUNKED, JSON, LIVE, POST, answers, connected, linux_only, rest, whole
from tests.system.stage import KEYS, Process, Stage, eventually, order, problem

pytestmark = pytest.mark.system


# -- whose time is not over --


def test_a_request_that_waits_for_its_answer_is_never_cut(stage: Stage) -> None:
    stage.fault(at="send", do="delay", value=REQUEST_S + 1, count=1)
    event = order("long", stage.phones["never"])  # else the receipt would answer it
    with stage.serving() as gateway, connected(gateway) as connection:
        begun = time.monotonic()
        connection.sendall(whole(event, POST + JSON + b"Prefer: wait=30\r\n"))
        (answer,) = answers(connection)
        assert time.monotonic() - begun > REQUEST_S + 1
        assert (answer.status, answer.body["status"]) == (200, "sent")


def test_many_requests_at_once_are_answered_in_their_order(gateway: Process) -> None:
    """Also large ones among them, and more than are looked at together."""
    ids = [f"pipe-{number}" for number in range(60)]
    padding = {"note": "x" * 100_000}
    events = [order(it, **(padding if number % 20 == 7 else {})) for number, it in enumerate(ids)]
    with connected(gateway) as connection, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(connection.sendall, b"".join(whole(it) + LIVE + b"\r\n" for it in events))
        told = answers(connection, 2 * len(ids))
        sending.result()
    assert {answer.status for answer in told} == {200}
    assert [answer.body["event"]["id"] for answer in told[::2]] == ids


async def test_an_answer_that_is_taken_drop_by_drop_has_its_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "ANSWER_S", 1.0)
    size, taken = 8 << 20, 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(size)})

    async def sip(client: socket.socket) -> None:
        nonlocal taken
        while part := await loop.sock_recv(client, 4096):
            taken += len(part)
            await asyncio.sleep(0.02)  # how slowly it is taken, not a wait for something

    loop = asyncio.get_running_loop()
    listener = Listener(app, bound("127.0.0.1", 0))
    async with listener.serving():
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", int(listener.url.rpartition(":")[2])))
            begun = loop.time()
            await loop.sock_sendall(client, LIVE + b"\r\n")
            with pytest.raises(ConnectionResetError):
                await sip(client)
    assert 0 < taken < size
    assert loop.time() - begun < 1.0 + TAKING_S, "long before it would be cut for taking nothing"


# -- heads without an end --


def test_a_head_may_be_as_long_as_is_said_and_not_one_byte_longer(gateway: Process) -> None:
    def head(size: int) -> bytes:
        start = LIVE + b"X-Long: "
        return start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"

    with connected(gateway) as connection:
        for _ in range(2):
            connection.sendall(head(MAX_HEAD))
            assert answers(connection)[0].status == 200
        connection.sendall(head(MAX_HEAD + 1))
        (answer,) = answers(connection)
        problem(answer, 413, "too-large")
        assert answer.headers["connection"] == "close"
        assert rest(connection) == b""


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (LIVE + b"X-Long: ", b"a" * 700),
        (LIVE, b"X-Many: 1\r\n" * 70),
        (LIVE, b"a" * 700),
        (b"GET /livez?", b"a" * 700),
        (b"", b"\r\n" * 350),
        (CHUNKED + b"0\r\n", b"X-Trailer: 1\r\n" * 50),
        (CHUNKED + b"1;", b"a" * 700),
        (CHUNKED, b"0" * 700),
        (LIVE + b"\r\n" + LIVE, b"X-Many: 1\r\n" * 70),
    ],
    ids=["header", "headers", "name", "url", "empty lines", "trailers", "extension", "zeros", "second head"],
)
@pytest.mark.parametrize("pieces", [1, 100], ids=["at once", "in pieces"])
def test_a_head_without_an_end_is_refused(gateway: Process, start: bytes, more: bytes, pieces: int) -> None:
    with connected(gateway) as connection:
        connection.sendall(start)
        with suppress(ConnectionError):
            for _ in range(pieces):
                connection.sendall(more * (100 // pieces))
        begun = time.monotonic()
        *others, last = answers(connection, 2 if start.count(LIVE) == 2 else 1)
        assert [it.status for it in others] == [200] * len(others)
        # Zeros without an end overflow a chunk's length, which the parser sees first.
        assert last.status == 413 or more.startswith(b"0"), last
        problem(last, last.status, {413: "too-large", 400: "invalid-request"}[last.status])
        assert rest(connection) == b""
        assert time.monotonic() - begun < LEAVING_S + 1


def test_a_trailer_is_not_a_header(gateway: Process) -> None:
    head = CHUNKED.replace(b"Authorization", b"X-Not")
    body = json.dumps(order("trailer")).encode()
    trailer = f"Authorization: Bearer {KEYS['checkout']}\r\n".encode()
    with connected(gateway) as connection:
        connection.sendall(head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n" + trailer + b"\r\n")
        problem(answers(connection)[0], 401, "unauthenticated")


# -- what is not HTTP, or another kind of it --


GARBAGE = {
    "request line": b"what is this\r\n\r\n",
    "header": LIVE + b"no colon\r\n\r\n",
    "header name": LIVE + b"X Y: 1\r\n\r\n",
    "length": POST + b"Content-Length: many\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "length and chunks": POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk": CHUNKED + b"not a length\r\n",
    "path": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + bytes(range(200)),
    "zeros": bytes(1000),
    "binary": bytes(range(255, 0, -1)) * 20,
}


def log_size(stage: Stage) -> int:
    return (stage.folder / "gateway.log").stat().st_size


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_what_is_not_http_is_told_so_and_fills_no_log(scene: Stage, gateway: Process, garbage: bytes) -> None:
    size = log_size(scene)
    with connected(gateway) as connection:
        connection.sendall(garbage)
        (answer,) = answers(connection)
        problem(answer, 400, "invalid-request")
        assert answer.headers["connection"] == "close"
        assert rest(connection) == b""
    assert gateway.ask("GET", "/livez").status == 200
    assert log_size(scene) == size


def test_what_follows_a_request_does_not_take_the_place_of_its_answer(stage: Stage) -> None:
    stage.fault(at="send", do="delay", value=0.5, count=1)
    with stage.serving() as gateway, connected(gateway) as connection:
        connection.sendall(whole(order("first")) + LIVE + b"\r\n" + GARBAGE["chunk"])
        first, second, last = answers(connection, 3)
        assert (first.status, first.body["event"]["id"]) == (200, "first")
        assert second.status == 200
        problem(last, 400, "invalid-request")
        assert rest(connection) == b""


@pytest.mark.parametrize(
    "wish",
    [
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n",
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    ],
    ids=["websocket", "h2c"],
)
def test_who_asks_for_another_protocol_is_answered_in_this_one(
    scene: Stage, gateway: Process, wish: bytes
) -> None:
    size = log_size(scene)
    with connected(gateway) as connection:
        connection.sendall(LIVE + wish + b"\r\n" + LIVE + wish + b"\r\n" + LIVE + b"\r\n")
        assert [it.status for it in answers(connection, 3)] == [200, 200, 200]
        assert log_size(scene) == size
        connection.sendall(whole(order(f"upgrade-{wish[9:12]!r}"), POST + JSON + wish))
        assert answers(connection)[0].body["status"] == "sent"


@pytest.mark.parametrize("connection_header", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
@pytest.mark.parametrize(
    ("head", "status", "code"),
    [(POST, 413, "too-large"), (POST.replace(b"Bearer ", b"Bearer x"), 401, "unauthenticated")],
)
def test_an_answer_that_comes_before_the_body_is_not_lost_with_it(
    gateway: Process, connection_header: bytes, head: bytes, status: int, code: str
) -> None:
    """A client that sends all before it reads is not reset."""
    with connected(gateway) as connection:
        connection.sendall(head + JSON + connection_header + b"Content-Length: 8000000\r\n\r\n" + b" " * 100_000)
        for _ in range(79):
            connection.sendall(b" " * 100_000)
        (answer,) = answers(connection)
        problem(answer, status, code)
        assert answer.headers["connection"] == "close"
        if connection_header:
            assert rest(connection) == b""


STRANGER = POST.replace(b"Bearer ", b"Bearer x")
EARLY = {
    "no key": (STRANGER, 100, 401),
    "method": (POST.replace(b"POST", b"PUT"), 100, 405),
    "method of a read": (POST.replace(b"events", b"messages"), 100, 405),
    "no path": (POST.replace(b"/v1/events", b"/webhooks/zalo/nobody"), 100, 404),
    "size": (POST + JSON, 8_000_000, 413),
}


@pytest.mark.parametrize(("head", "size", "status"), EARLY.values(), ids=EARLY)
def test_an_answer_before_the_body_says_that_the_connection_ends(
    gateway: Process, head: bytes, size: int, status: int
) -> None:
    """Else the client would send its next request on it, and lose that one."""
    with connected(gateway) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % size)
        (answer,) = answers(connection)
        assert (answer.status, answer.headers.get("connection")) == (status, "close")
        assert rest(connection) == b""


@pytest.mark.parametrize(("head", "status"), [(STRANGER, 401), (POST.replace(b"POST", b"PUT"), 405)])
def test_a_refused_request_that_is_whole_keeps_its_connection(gateway: Process, head: bytes, status: int) -> None:
    with connected(gateway) as connection:
        for _ in range(2):
            connection.sendall(whole(order("refused"), head))
            (answer,) = answers(connection)
            assert (answer.status, answer.headers.get("connection")) == (status, None)


async def test_a_request_that_arrives_while_we_end_is_answered_as_the_last() -> None:
    has_begun = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        has_begun.set()
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    listening = bound("127.0.0.1", 0)
    listener = Listener(app, listening)
    serving = listener.serving()
    await serving.__aenter__()
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(POST + b"Content-Length: 4\r\n\r\n")
    await has_begun.wait()
    ending = asyncio.create_task(serving.__aexit__(None, None, None))
    await asyncio.to_thread(eventually, lambda: listening.fileno() == -1)
    writer.write(b"body")
    assert b"connection: close" in await asyncio.wait_for(reader.read(), REQUEST_S / 2)
    writer.close()
    await ending


# -- descriptors --


@linux_only
def test_when_descriptors_run_out_what_is_under_way_goes_on_and_the_door_opens_again(stage: Stage) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        serving = stage.serving()
        gateway = serving.__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        pid = gateway.process.pid
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (hard, hard), "it takes what it can have"
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (120, hard))
        with connected(gateway) as friend, connected(gateway):
            others = [connected(gateway) for _ in range(200)]
            eventually(lambda: any(it for it in select.select(others, [], [], 0)[0]))  # some are turned away
            friend.sendall(whole(order("crowded")))
            assert answers(friend)[0].body["status"] == "sent", "Zalo and the store are still to be had"
            for other in others:
                other.close()
            eventually(lambda: gateway.ask("GET", "/livez").status == 200, patience_s=2)
    finally:
        serving.__exit__(None, None, None)
