"""A callback is one signed POST to its caller's own URL, and whatever comes back is a value."""

import asyncio
import os
import re
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.callback import Callback
from gateway.core.signing import read_secret, sign
from gateway.endpoints.client import MAX_ANSWER_BYTES, Destination, EndpointClient, read_retry_after
from gateway.ports import Called
from tests.loops import Run
from tests.transport.fault_server import (
    FaultServer,
    FullListener,
    Peer,
    Script,
    answer,
    closed_port,
    self_signed,
)
from tests.transport.faults import AFTER_THE_FIRST_BYTE, stay_silent

PATIENT = timedelta(seconds=5)
SHORT = timedelta(milliseconds=300)
LONG = timedelta(minutes=1)
NOW = datetime(2026, 11, 23, 8, 0, 0, 750_000, tzinfo=UTC)
SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2VzYW1lIHNlc2FtZSBzZXNhbWUgMTIz")
BODY = '{"type":"message.delivered","data":{"tên":"Lan"}}'.encode()


def callback(caller: str = "checkout") -> Callback:
    return Callback("0c9m3k8q2v7x1n5t4r6w8y0z2b-3", caller, "message.delivered", NOW, BODY)


@asynccontextmanager
async def calling(
    *urls: str, connect: timedelta = PATIENT, read: timedelta = PATIENT
) -> AsyncIterator[EndpointClient]:
    """A client of the callers `checkout`, `platform` and so on, each with one URL."""
    names = ("checkout", "platform")[: len(urls)]
    destinations = {name: Destination(url, SECRETS) for name, url in zip(names, urls, strict=True)}
    client = EndpointClient(destinations, connect, read)
    try:
        yield client
    finally:
        await client.aclose()


async def call(url: str, *, connect: timedelta = PATIENT, read: timedelta = PATIENT) -> Called:
    async with calling(url, connect=connect, read=read) as client:
        return await client.call(callback(), NOW)


def saying(*raws: bytes) -> Script:
    async def script(peer: Peer) -> None:
        for raw in raws:
            await peer.request()
            await peer.send(raw)
        await peer.silence()

    return script


TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


# What goes out


def test_a_callback_is_one_plain_signed_post(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(saying(TAKEN)) as server:
            assert await call(server.url + "/zns?team=checkout") == Called(204)
            line, *lines = server.heads[0].decode().split("\r\n")[:-2]
            headers = {name.lower(): value for name, value in (it.split(": ", 1) for it in lines)}
            assert line == "POST /zns?team=checkout HTTP/1.1"
            assert re.fullmatch(r"zns-gateway/\d+\.\d+\.\d+", headers.pop("user-agent"))
            at = 1795420800
            assert headers == {
                "host": f"127.0.0.1:{server.port}",
                "accept-encoding": "identity",
                "content-type": "application/json",
                "content-length": str(len(BODY)),
                "webhook-id": callback().id,
                "webhook-timestamp": str(at),
                "webhook-signature": " ".join(
                    sign([read_secret(it)], callback().id, at=at, body=BODY) for it in SECRETS
                ),
            }
            assert len(lines) == 1 + len(headers)  # none is there twice
            assert server.bodies == [BODY]

    run(scenario())


def test_a_repeated_call_keeps_its_id_and_says_its_own_time(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(saying(answer(b"", status=b"500 Oops"), TAKEN)) as server:
            async with calling(server.url) as client:
                assert await client.call(callback(), NOW) == Called(500)
                assert await client.call(callback(), NOW + timedelta(seconds=5)) == Called(204)
            ids, times, signatures = (
                [re.search(rb"%b: ([^\r]+)" % name, head)[1] for head in server.heads]  # type: ignore[index]
                for name in (b"webhook-id", b"webhook-timestamp", b"webhook-signature")
            )
            assert ids == [callback().id.encode()] * 2
            assert times == [b"1795420800", b"1795420805"]
            assert signatures[0] != signatures[1]
            assert server.connections == 1

    run(scenario())


def test_each_caller_is_told_at_its_own_url_and_nobody_else(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(saying(TAKEN)) as one, FaultServer(saying(TAKEN)) as other:
            async with calling(one.url, other.url) as client:
                assert await client.call(callback("platform"), NOW) == Called(204)
                assert await client.call(callback("stranger"), NOW) == Called(None, "no-endpoint")
            assert (one.connections, other.connections) == (0, 1)

    run(scenario())


def test_no_proxy_of_the_environment_is_asked_and_no_cookie_is_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with FaultServer(saying(TAKEN)) as proxy:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            cookie = answer(b"", b"Set-Cookie: a=b; Path=/")
            async with FaultServer(saying(cookie, cookie)) as server, calling(server.url) as client:
                for _ in range(2):
                    assert await client.call(callback(), NOW) == Called(200)
                assert b"cookie" not in b"".join(server.heads).lower()
            assert proxy.connections == 0

    run(scenario())


# What comes back


@pytest.mark.parametrize(
    ("raw", "called"),
    [
        (answer(b"thank you"), Called(200)),
        (TAKEN, Called(204)),
        (answer(b"", status=b"299 Fine"), Called(299)),
        (answer(b"", status=b"400 Bad Request"), Called(400)),
        (answer(b"", status=b"410 Gone"), Called(410)),
        (answer(b"", b"Retry-After: 7", status=b"429 Too Many Requests"), Called(429, retry_after_s=7)),
        (
            answer(b"", b"Retry-After: Mon, 23 Nov 2026 08:02:00 GMT", status=b"429 Too Many Requests"),
            Called(429, retry_after_s=120),
        ),
        (answer(b"", b"Retry-After: soon", status=b"503 Service Unavailable"), Called(503)),
        (answer(b"<html>" * 20_000, status=b"500 Internal Server Error"), Called(500)),
        (answer(b"\xff\xfe", b"Content-Type: application/json"), Called(200)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n\r\n", Called(200)),
    ],
)
def test_a_whole_answer_is_its_status_whatever_its_body(run: Run, raw: bytes, called: Called) -> None:
    async def scenario() -> None:
        async with FaultServer(saying(raw)) as server:
            assert await call(server.url) == called
            assert (server.connections, len(server.bodies)) == (1, 1)

    run(scenario())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(run: Run, status: int) -> None:
    async def scenario() -> None:
        async with FaultServer(saying(TAKEN)) as elsewhere:
            raw = answer(b"", b"Location: " + elsewhere.url.encode(), status=b"%d Over There" % status)
            async with FaultServer(saying(raw)) as server:
                assert await call(server.url) == Called(status)
                assert len(server.bodies) == 1
            assert elsewhere.connections == 0

    run(scenario())


# No answer


@pytest.mark.parametrize(("script", "cause"), AFTER_THE_FIRST_BYTE.items())
def test_what_is_not_a_whole_answer_is_none_and_nothing_is_posted_again(
    run: Run, script: Script, cause: str
) -> None:
    async def scenario() -> None:
        async with FaultServer(script) as server:
            async with asyncio.timeout(30):
                heard = await call(server.url, connect=LONG, read=SHORT if cause == "timed-out" else LONG)
            assert heard == Called(None, cause)
            assert server.connections == 1
            assert server.bodies in ([BODY], [])  # or its head was all that was read
            await server.until(lambda: server.gone == 1)

    run(scenario())


def test_a_body_counts_as_read_up_to_its_limit(run: Run) -> None:
    raw = answer(b"x" * MAX_ANSWER_BYTES)
    over = len(raw) - MAX_ANSWER_BYTES
    raw = answer(b"x" * (MAX_ANSWER_BYTES - over))

    async def scenario() -> None:
        async with FaultServer(saying(raw)) as server:
            assert len(raw) == MAX_ANSWER_BYTES
            assert await call(server.url) == Called(200)
        async with FaultServer(saying(answer(b"x" * (MAX_ANSWER_BYTES - over + 1)))) as server:
            assert await call(server.url) == Called(None, "answer-too-large")

    run(scenario())


def test_nobody_there_is_said_as_it_is(run: Run) -> None:
    async def scenario() -> None:
        assert await call(f"http://127.0.0.1:{closed_port()}") == Called(None, "connection-refused")
        assert await call("http://no-such-host.invalid/") == Called(None, "name-not-resolved")
        with FullListener() as nowhere:
            async with asyncio.timeout(30):
                heard = await call(f"http://127.0.0.1:{nowhere.port}", connect=SHORT, read=LONG)
        assert heard == Called(None, "connect-timed-out")

    run(scenario())


def test_a_certificate_that_is_not_trusted_gets_nothing(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with FaultServer(saying(TAKEN), tls=self_signed(tmp_path)[0]) as server:
            assert await call(server.url) == Called(None, "tls-failed")
            assert server.bodies == []

    run(scenario())


def test_a_certificate_for_another_name_gets_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        tls, certificate = self_signed(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", os.fspath(certificate))
        async with FaultServer(saying(TAKEN, TAKEN), tls=tls) as server:
            assert await call(server.url.replace("127.0.0.1", "localhost")) == Called(None, "tls-failed")
            assert server.bodies == []
            assert await call(server.url) == Called(204)

    run(scenario())


def test_closing_ends_what_is_under_way_and_posts_nothing_more(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(stay_silent) as server, calling(server.url) as client:
            under_way = asyncio.ensure_future(client.call(callback(), NOW))
            await server.until(lambda: len(server.bodies) == 1)
            await client.aclose()
            assert await under_way == Called(None, "connection-lost")
            assert await client.call(callback(), NOW) == Called(None, "client-closed")
            assert len(server.bodies) == 1

    run(scenario())


def test_an_idle_connection_that_the_endpoint_closed_is_not_written_to(run: Run) -> None:
    """The event loop has not heard of the farewell yet: the next callback goes over a new connection all the same."""
    closed, may_close = threading.Event(), threading.Event()

    def serve(listener: socket.socket) -> None:
        for _ in range(2):
            peer, _ = listener.accept()
            with peer:
                received = b""
                while BODY not in received:
                    received += peer.recv(65536)
                peer.sendall(TAKEN)
                may_close.wait(5)
                may_close.clear()
            closed.set()

    async def scenario(port: int) -> None:
        async with calling(f"http://127.0.0.1:{port}") as client:
            for _ in range(2):
                assert await client.call(callback(), NOW) == Called(204)
                may_close.set()
                assert closed.wait(5)  # the event loop stands still meanwhile, on purpose
                closed.clear()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        run(scenario(listener.getsockname()[1]))
        thread.join(5)


# What it says of itself


def test_no_secret_is_in_a_repr_or_an_error() -> None:
    destination = Destination("http://127.0.0.1:9/hook?key=sesame", SECRETS)
    told = repr(destination) + str(destination) + repr(EndpointClient({"checkout": destination}))
    for wrong in (Destination("sesame", SECRETS), Destination("http://x", ("whsec_sesame",))):
        with pytest.raises(ValueError, match="not") as refused:
            EndpointClient({"checkout": wrong})
        told += repr(refused.value) + repr(refused.value.__cause__)
    assert [word for word in ("sesame", *(it[6:14] for it in SECRETS)) if word in told] == []


# Retry-After


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 120 ", 120),
        ("9999999999", 9_999_999_999),
        ("1" * 5000, None),
        ("-5", None),
        ("7.5", None),
        ("5, 7", None),
        ("٣", None),
        ("Mon, 23 Nov 2026 08:00:30 GMT", 30),  # 29.25 s away: never sooner
        ("Monday, 23-Nov-26 08:00:30 GMT", 30),
        ("Mon Nov 23 08:00:30 2026", 30),
        ("Mon, 23 Nov 2026 15:00:30 +0700", 30),
        ("Mon, 23 Nov 2026 07:00:00 GMT", 0),
        ("Mon, 23 Nov 2026 99:00:00 GMT", None),
        ("Mon, 23 Nov 99999999999999999999 07:00:00 GMT", None),
        ("Mon, 23 Nov 2026 07:00:00 +99999999999999999999", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(text: str | None, seconds: int | None) -> None:
    assert read_retry_after(text, NOW) == seconds


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from(["Mon,", "23", "Nov", "2026", ":", "-", "99999999999", "+0700", "GMT"])).map(
        " ".join
    )
)
def test_no_retry_after_breaks_anything(text: str) -> None:
    seconds = read_retry_after(text, NOW)
    assert seconds is None or seconds >= 0


@given(st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive
def test_a_date_is_never_come_back_to_too_soon(moment: datetime) -> None:
    seconds = read_retry_after(format_datetime(moment, usegmt=True), NOW)
    assert seconds is not None
    assert NOW + timedelta(seconds=seconds) >= moment.replace(microsecond=0)
