"""The pool: connections are kept while they are clean, and an answer only ever reaches who asked."""

import asyncio
import socket
import threading
import time
from collections.abc import Sequence
from datetime import timedelta

import httpx
import pytest

from gateway.transport.addresses import Addresses
from gateway.transport.connection import _TURNS_OF_GRACE
from gateway.transport.connections import Broken, Connections, Loss, NotSent, Origin, Unsent
from gateway.transport.exchange import PoolTransport
from tests.loops import Run

from .fault_server import FaultServer, FullListener, Peer, answer, closed_port, echo

PATIENT = timedelta(seconds=5)
SHORT = timedelta(milliseconds=300)
OK = answer(b"{}")


def origin_of(server: FaultServer) -> Origin:
    return Origin("http", "127.0.0.1", server.port)


def ask(text: str) -> bytes:
    """A request, as it goes onto the wire, that carries `text`."""
    return b"POST / HTTP/1.1\r\nHost: there\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text.encode())


def test_a_clean_connection_is_used_again(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(echo) as server:
            pool = Connections(PATIENT, PATIENT)
            for number in range(5):
                heard = await pool.exchange(origin_of(server), ask(str(number)))
                assert heard.body == str(number).encode()
            assert (server.connections, pool.open_count) == (1, 1)
            await pool.aclose()
            assert pool.open_count == 0

    run(scenario())


def test_five_hundred_in_flight_each_get_their_own_answer(run: Run) -> None:
    everyone_is_here = asyncio.Event()

    async def wait_for_the_crowd(peer: Peer) -> None:
        body = await peer.request()
        await everyone_is_here.wait()
        await peer.send(answer(body))
        await echo(peer)

    async def scenario() -> None:
        async with FaultServer(wait_for_the_crowd) as server:
            pool = Connections(PATIENT, PATIENT)

            async def send(number: int) -> None:
                assert (await pool.exchange(origin_of(server), ask(str(number)))).body == str(number).encode()

            crowd = asyncio.gather(*(send(number) for number in range(500)))
            await server.until(lambda: len(server.bodies) == 500)
            everyone_is_here.set()
            await crowd
            await asyncio.gather(*(send(number) for number in range(500, 1000)))
            assert server.connections == 500  # the second crowd came over the connections of the first
            await pool.aclose()

    run(scenario())


def test_after_a_cancelled_request_the_next_one_gets_its_own_answer(run: Run) -> None:
    go_on = asyncio.Event()

    async def late(peer: Peer) -> None:
        first = await peer.request()
        if first == b"cancelled":
            await go_on.wait()
        await peer.send(answer(first))
        await echo(peer)

    async def scenario() -> None:
        async with FaultServer(late) as server:
            pool = Connections(PATIENT, PATIENT)
            doomed = asyncio.ensure_future(pool.exchange(origin_of(server), ask("cancelled")))
            await server.until(lambda: len(server.bodies) == 1)
            doomed.cancel()
            with pytest.raises(asyncio.CancelledError):
                await doomed
            go_on.set()
            heard = await pool.exchange(origin_of(server), ask("mine"))
            assert heard.body == b"mine"
            assert server.connections == 2
            await pool.aclose()

    run(scenario())


def test_a_cancelled_request_closes_its_connection(run: Run) -> None:
    async def ignore(peer: Peer) -> None:
        await peer.request()
        await peer.silence()

    async def scenario() -> None:
        async with FaultServer(ignore) as server:
            pool = Connections(PATIENT, timedelta(minutes=1))
            doomed = asyncio.ensure_future(pool.exchange(origin_of(server), ask("cancelled")))
            await server.until(lambda: len(server.bodies) == 1)
            doomed.cancel()
            await server.until(lambda: server.gone == 1)
            assert pool.open_count == 0
            await pool.aclose()

    run(scenario())


def test_a_request_cancelled_at_any_step_never_soils_the_next(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(echo) as server:
            pool = Connections(PATIENT, PATIENT)
            for steps in range(12):
                doomed = asyncio.ensure_future(pool.exchange(origin_of(server), ask(f"doomed-{steps}")))
                for _ in range(steps):
                    await asyncio.sleep(0)  # one turn of the event loop, not a wait
                doomed.cancel()
                heard = await pool.exchange(origin_of(server), ask(f"mine-{steps}"))
                assert heard.body == f"mine-{steps}".encode()
                await asyncio.wait([doomed])
            await pool.aclose()

    run(scenario())


@pytest.mark.parametrize("late", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", answer(b"someone-else")])
def test_bytes_after_the_answer_spoil_the_connection_and_not_the_answer(run: Run, late: bytes) -> None:
    async def say_too_much(peer: Peer) -> None:
        await peer.send(answer(await peer.request()), late)
        await peer.silence()

    async def scenario() -> None:
        async with FaultServer(say_too_much) as server:
            pool = Connections(PATIENT, PATIENT)
            for number in range(3):
                heard = await pool.exchange(origin_of(server), ask(str(number)))
                assert heard.body == str(number).encode()
            assert server.connections == 3
            await pool.aclose()

    run(scenario())


def test_bytes_to_an_idle_connection_close_it(run: Run) -> None:
    speak = asyncio.Event()

    async def speak_unasked(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await speak.wait()
        await peer.send(answer(b"someone-else"))
        await peer.silence()

    async def scenario() -> None:
        async with FaultServer(speak_unasked) as server:
            pool = Connections(PATIENT, PATIENT, keepalive_expiry=timedelta(minutes=1))
            await pool.exchange(origin_of(server), ask("first"))
            speak.set()
            await server.until(lambda: server.gone == 1)
            heard = await pool.exchange(origin_of(server), ask("second"))
            assert heard.body == b"{}"
            assert server.connections == 2
            await pool.aclose()

    run(scenario())


def test_an_idle_connection_that_the_server_closed_is_not_written_to(run: Run) -> None:
    """The event loop has not heard of the farewell yet: the kernel has, and it is asked."""
    may_close, closed = threading.Event(), threading.Event()

    def serve(listener: socket.socket) -> None:
        for _ in range(3):
            peer, _ = listener.accept()
            peer.recv(65536)
            peer.sendall(OK)
            may_close.wait(5)
            may_close.clear()
            peer.close()
            closed.set()

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, args=(listener,))
            thread.start()
            pool = Connections(PATIENT, PATIENT)
            for number in range(3):
                origin = Origin("http", "127.0.0.1", listener.getsockname()[1])
                assert (await pool.exchange(origin, ask(str(number)))).status == 200
                assert pool.open_count == 1
                may_close.set()
                assert closed.wait(5)  # the event loop stands still meanwhile, on purpose
                closed.clear()
            await pool.aclose()
            thread.join(5)

    run(scenario())


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_a_connection_that_the_server_will_close_is_not_kept(run: Run, raw: bytes) -> None:
    async def answer_and_stay(peer: Peer) -> None:
        await peer.request()
        await peer.send(raw)
        await peer.silence()

    async def scenario() -> None:
        async with FaultServer(answer_and_stay) as server:
            pool = Connections(PATIENT, PATIENT)
            assert (await pool.exchange(origin_of(server), ask("1"))).body == b"{}"
            await server.until(lambda: server.gone == 1)
            await pool.aclose()

    run(scenario())


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;a=b\r\n}\r\n0\r\n\r\n",
            200,
            b"{}",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Late: 1\r\n\r\n",
            200,
            b"{}",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK, 200, b"{}"),
    ],
)
def test_every_way_of_ending_a_body_is_read(run: Run, raw: bytes, status: int, body: bytes) -> None:
    async def say_it_by_and_by(peer: Peer) -> None:
        await peer.request()
        for position in range(len(raw)):
            await peer.send(raw[position : position + 1])
        peer.close()

    async def scenario() -> None:
        async with FaultServer(say_it_by_and_by) as server:
            pool = Connections(PATIENT, PATIENT)
            heard = await pool.exchange(origin_of(server), ask("1"))
            assert (heard.status, heard.body) == (status, body)
            await pool.aclose()

    run(scenario())


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Encoding: gzip",
        b"content-encoding: deflate, identity",
        b"Content-Encoding: identity\r\nContent-Encoding: br",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: chunked, gzip",
    ],
)
def test_a_coding_that_was_not_asked_for_is_not_undone(run: Run, header: bytes) -> None:
    async def say_it(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n{}")
        peer.close()

    async def scenario() -> None:
        async with FaultServer(say_it) as server:
            pool = Connections(PATIENT, PATIENT)
            with pytest.raises(Broken) as broken:
                await pool.exchange(origin_of(server), ask("1"))
            assert broken.value.cause is Loss.UNREADABLE
            await pool.aclose()

    run(scenario())


def test_an_answer_may_be_as_large_as_the_cap_and_not_a_byte_more(run: Run) -> None:
    raw = answer(b"x" * 2000)

    async def say_it(peer: Peer) -> None:
        await peer.request()
        await peer.send(raw)
        await peer.silence()

    async def scenario() -> None:
        async with FaultServer(say_it) as server:
            pool = Connections(PATIENT, PATIENT, max_answer_bytes=len(raw))
            assert len((await pool.exchange(origin_of(server), ask("1"))).body) == 2000
            await pool.aclose()
            pool = Connections(PATIENT, PATIENT, max_answer_bytes=len(raw) - 1)
            with pytest.raises(Broken) as broken:
                await pool.exchange(origin_of(server), ask("1"))
            assert broken.value.cause is Loss.TOO_LARGE
            await pool.aclose()

    run(scenario())


def test_idle_connections_are_closed_when_their_time_is_over(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(echo) as server:
            pool = Connections(PATIENT, PATIENT, keepalive_expiry=timedelta(milliseconds=30))
            await asyncio.gather(*(pool.exchange(origin_of(server), ask(str(number))) for number in range(20)))
            await server.until(lambda: server.gone == server.connections)
            assert pool.open_count == 0
            assert (await pool.exchange(origin_of(server), ask("again"))).status == 200
            await server.until(lambda: server.gone == server.connections)
            await pool.aclose()

    run(scenario())


def test_a_connection_past_its_time_is_not_used_even_before_it_is_swept(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(echo) as server:
            pool = Connections(PATIENT, PATIENT, keepalive_expiry=timedelta(milliseconds=20))
            await pool.exchange(origin_of(server), ask("1"))
            time.sleep(0.03)  # noqa: ASYNC251  the event loop stands still on purpose, and with it the sweep
            await pool.exchange(origin_of(server), ask("2"))
            assert server.connections == 2
            await pool.aclose()

    run(scenario())


def test_a_prepared_connection_is_the_one_that_is_used(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(echo) as server:
            pool = Connections(PATIENT, PATIENT)
            await pool.prepare(origin_of(server))
            assert (pool.open_count, server.bodies) == (1, [])
            await pool.exchange(origin_of(server), ask("1"))
            assert server.connections == 1
            await pool.aclose()

    run(scenario())


def test_closing_breaks_what_is_under_way_and_sends_nothing_more(run: Run) -> None:
    async def ignore(peer: Peer) -> None:
        await peer.request()
        await peer.silence()

    async def scenario() -> None:
        async with FaultServer(ignore) as server:
            pool = Connections(PATIENT, PATIENT)
            under_way = asyncio.ensure_future(pool.exchange(origin_of(server), ask("1")))
            await server.until(lambda: len(server.bodies) == 1)
            await pool.aclose()
            with pytest.raises(Broken) as broken:
                await under_way
            assert broken.value.cause is Loss.CONNECTION_LOST
            with pytest.raises(NotSent) as refused:
                await pool.exchange(origin_of(server), ask("2"))
            assert refused.value.cause is Unsent.CLOSED
            assert len(server.bodies) == 1

    run(scenario())


# Names and addresses


def test_a_silent_resolver_is_asked_once_and_holds_up_nobody_else(run: Run) -> None:
    asked: list[str] = []
    give_up = threading.Event()

    def silent(host: str) -> Sequence[str]:
        asked.append(host)
        give_up.wait(5)
        return ()

    async def scenario() -> None:
        pool = Connections(SHORT, PATIENT, addresses=Addresses(silent))
        senders = [asyncio.ensure_future(pool.exchange(Origin("http", "there", 80), b"")) for _ in range(20)]
        assert await asyncio.to_thread(int, "7") == 7  # asyncio's own threads are all free
        causes = [error.cause for error in await asyncio.gather(*senders, return_exceptions=True)]  # type: ignore[union-attr]
        assert causes == [Unsent.TIMED_OUT] * 20
        assert asked == ["there"]
        give_up.set()
        await pool.aclose()

    run(scenario())


def test_a_known_name_is_not_asked_for_again(run: Run) -> None:
    asked: list[str] = []

    def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async def scenario() -> None:
        addresses = Addresses(resolve)
        for _ in range(3):
            assert await addresses.find("there") == ["127.0.0.1"]
        assert asked == ["there"]

    run(scenario())


@pytest.mark.parametrize("dead_end", ["silent", "closed"])
def test_an_address_that_does_not_answer_gives_way_to_the_next(run: Run, dead_end: str) -> None:
    """127.0.0.2 stands for the IPv6 address that leads nowhere."""

    async def scenario() -> None:
        async with FaultServer(echo) as server:
            with FullListener("127.0.0.2", server.port if dead_end == "silent" else closed_port()):
                pool = Connections(PATIENT, PATIENT, addresses=Addresses(lambda _: ["127.0.0.2", "127.0.0.1"]))
                heard = await pool.exchange(Origin("http", "there", server.port), ask("1"))
                assert (heard.body, pool.open_count) == (b"1", 1)
                await pool.aclose()

    run(scenario())


# The adapter to httpx


def test_httpx_on_this_transport_tells_the_truth_about_what_was_sent(run: Run) -> None:
    async def leave(peer: Peer) -> None:
        await peer.request()
        peer.close()

    async def scenario() -> None:
        async with FaultServer(leave) as server:
            async with httpx.AsyncClient(transport=PoolTransport(Connections(PATIENT, PATIENT))) as client:
                with pytest.raises(httpx.ReadError):
                    await client.post(server.url, content=b"x")
                with pytest.raises(httpx.ConnectError):
                    await client.post(f"http://127.0.0.1:{closed_port()}", content=b"x")
            assert server.connections == 1

    run(scenario())


def test_httpx_on_this_transport_reads_answers_as_ever(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(echo) as server:
            async with httpx.AsyncClient(transport=PoolTransport(Connections(PATIENT, PATIENT))) as client:
                heard = await client.post(server.url + "/path?a=b", json={"text": "mine"})
                assert heard.json() == {"text": "mine"}
            assert server.heads[0].startswith(b"POST /path?a=b HTTP/1.1\r\n")

    run(scenario())


def test_a_header_cannot_break_its_line(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(echo) as server:
            async with httpx.AsyncClient(transport=PoolTransport(Connections(PATIENT, PATIENT))) as client:
                with pytest.raises(httpx.LocalProtocolError):
                    await client.get(server.url, headers={"X-Bad": "a\r\nX-More: b"})
            assert server.connections == 0

    run(scenario())


def test_a_closed_pool_refuses_before_anything_is_written(run: Run) -> None:
    async def scenario() -> None:
        pool = Connections(PATIENT, PATIENT)
        await pool.aclose()
        with pytest.raises(NotSent) as refused:
            await pool.exchange(Origin("http", "127.0.0.1", 9), b"")
        assert refused.value.cause is Unsent.CLOSED

    run(scenario())


def test_an_answer_that_arrived_while_we_stood_still_is_read_although_its_deadline_has_passed(run: Run) -> None:
    was_read, may_answer, has_answered = threading.Event(), threading.Event(), threading.Event()

    def serve(listening: socket.socket) -> None:
        peer, _ = listening.accept()
        with peer:
            peer.recv(65536)
            was_read.set()
            may_answer.wait(10)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            has_answered.set()
            peer.recv(1)

    async def scenario(port: int) -> None:
        pool = Connections(PATIENT, PATIENT)
        asking = asyncio.create_task(pool.exchange(Origin("http", "127.0.0.1", port), ask("1")))
        while not was_read.is_set():  # noqa: ASYNC110 - set by a thread, which cannot set an event of the loop
            await asyncio.sleep(0.001)
        may_answer.set()
        assert has_answered.wait(10)
        # A process that goes on after SIGSTOP finds its timer first: the deadline calls before the socket is read.
        (connection,) = pool._open
        assert connection._answer is not None
        connection._be_late(connection._answer, _TURNS_OF_GRACE)
        assert (await asking).body == b"{}"
        await pool.aclose()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        run(scenario(listening.getsockname()[1]))
        thread.join()
