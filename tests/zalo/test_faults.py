"""Every fault on the way to Zalo gets the right verdict, and no request is made twice.

The rows are those of docs/zalo.md §8: what proves that a request was not processed, and what does not.
"""

import asyncio
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.core.delivery import Accepted, Category, Deferred, Outcome, Reason, Refused, Uncertain
from gateway.zalo.client import ZaloClient
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
from tests.transport.faults import AFTER_THE_FIRST_BYTE

from .answers import OK, token

SHORT = timedelta(milliseconds=300)
PATIENT = timedelta(seconds=5)


async def send_to(
    url: str,
    data: Mapping[str, str] | None = None,
    *,
    connect: timedelta = PATIENT,
    read: timedelta = PATIENT,
) -> Outcome:
    client = ZaloClient(url, url, connect, read)
    try:
        return await client.send(
            token("access-token"),
            phone="84987654321",
            template_id="1",
            template_data=data or {"a": "b"},
            tracking_id="t",
        )
    finally:
        await client.aclose()


def assert_deferred(outcome: Outcome, code: str) -> None:
    assert isinstance(outcome, Deferred)
    assert outcome.error.code == code
    assert outcome.wait.reason is Reason.RETRY


def assert_uncertain(outcome: Outcome, code: str) -> None:
    assert isinstance(outcome, Uncertain)
    assert (outcome.error.code, outcome.error.category) == (code, Category.TRANSIENT)


# Provably not sent


def test_a_name_that_does_not_exist_is_retried(run: Run) -> None:
    async def scenario() -> None:
        assert_deferred(await send_to("http://no-such-host.invalid"), "name-not-resolved")

    run(scenario())


def test_a_closed_port_is_retried(run: Run) -> None:
    async def scenario() -> None:
        assert_deferred(await send_to(f"http://127.0.0.1:{closed_port()}"), "connection-refused")

    run(scenario())


def test_an_unreachable_network_is_retried(run: Run) -> None:
    async def scenario() -> None:
        assert_deferred(await send_to("http://255.255.255.255:80"), "connection-refused")

    run(scenario())


def test_dropped_syn_packets_are_retried(run: Run) -> None:
    async def scenario() -> None:
        with FullListener() as nowhere:
            outcome = await send_to(f"http://127.0.0.1:{nowhere.port}", connect=SHORT)
        assert_deferred(outcome, "connect-timed-out")

    run(scenario())


def test_an_untrusted_certificate_is_retried_and_nothing_is_said_to_it(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with FaultServer(Peer.silence, tls=self_signed(tmp_path)[0]) as server:
            assert_deferred(await send_to(server.url), "tls-failed")
            assert server.bodies == []

    run(scenario())


def test_a_port_without_tls_is_retried(run: Run) -> None:
    async def speak_plainly(peer: Peer) -> None:
        await peer.send(b"220 mail.example ESMTP\r\n")
        await peer.silence()

    async def scenario() -> None:
        async with FaultServer(speak_plainly) as server:
            assert_deferred(await send_to(server.url.replace("http:", "https:")), "tls-failed")

    run(scenario())


def test_a_handshake_that_hangs_is_retried_and_leaves_no_socket_behind(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(Peer.silence) as server:
            outcome = await send_to(server.url.replace("http:", "https:"), connect=SHORT)
            assert_deferred(outcome, "connect-timed-out")
            await server.until(lambda: server.gone == 1)

    run(scenario())


def test_a_handshake_that_is_cut_is_retried(run: Run) -> None:
    async def hang_up(peer: Peer) -> None:
        peer.reset()

    async def scenario() -> None:
        async with FaultServer(hang_up) as server:
            assert_deferred(await send_to(server.url.replace("http:", "https:")), "tls-failed")

    run(scenario())


def test_a_trusted_certificate_carries_the_message(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)

    async def scenario() -> None:
        tls, certificate = self_signed(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", os.fspath(certificate))
        async with FaultServer(take, tls=tls) as server:
            assert isinstance(await send_to(server.url), Accepted)
            assert len(server.bodies) == 1

    run(scenario())


# Closed at once: the bytes may have left us or not, and either verdict is right


async def close_at_once(peer: Peer) -> None:
    peer.close()


async def reset_at_once(peer: Peer) -> None:
    peer.reset()


@pytest.mark.parametrize("script", [close_at_once, reset_at_once])
def test_a_connection_closed_on_accept_is_never_taken_for_an_answer(run: Run, script: Script) -> None:
    async def scenario() -> None:
        async with FaultServer(script) as server:
            outcome = await send_to(server.url)
            assert isinstance(outcome, Deferred | Uncertain)
            assert outcome.error.code in ("connection-refused", "connection-lost")
            assert (server.connections, server.bodies) == (1, [])

    run(scenario())


# Something was written: never retried by itself


@pytest.mark.parametrize(("script", "code"), AFTER_THE_FIRST_BYTE.items())
def test_what_ends_after_the_first_byte_is_uncertain_and_never_repeated(
    run: Run, script: Script, code: str
) -> None:
    async def scenario() -> None:
        async with FaultServer(script) as server:
            outcome = await send_to(server.url, read=SHORT if code == "timed-out" else PATIENT)
            assert_uncertain(outcome, code)
            assert server.connections == 1
            assert len(server.bodies) <= 1

    run(scenario())


def test_a_peer_that_stops_reading_ends_by_the_deadline(run: Run) -> None:
    async def read_the_head_only(peer: Peer) -> None:
        await peer.head()
        await asyncio.Event().wait()

    async def scenario() -> None:
        async with FaultServer(read_the_head_only) as server:
            outcome = await send_to(server.url, {"a": "x" * 8_000_000}, read=SHORT)
            assert_uncertain(outcome, "timed-out")
            assert (server.connections, server.bodies) == (1, [])

    run(scenario())


def test_a_kept_connection_that_closes_as_the_next_request_arrives_is_uncertain(run: Run) -> None:
    async def answer_once(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        peer.close()

    async def scenario() -> None:
        async with FaultServer(answer_once) as server:
            client = ZaloClient(server.url, server.url, PATIENT, PATIENT)
            outcomes = [
                await client.send(token(), phone="8498", template_id="1", template_data={}, tracking_id=str(n))
                for n in range(2)
            ]
            await client.aclose()
            assert isinstance(outcomes[0], Accepted)
            assert_uncertain(outcomes[1], "connection-lost")
            assert (server.connections, len(server.bodies)) == (1, 2)

    run(scenario())


# Whole answers


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (answer(b"", b"Location: http://127.0.0.1:9/", status=b"307 Temporary Redirect"), "redirected"),
        (
            answer(b"<html>Bad Gateway</html>", b"Content-Type: text/html", status=b"502 Bad Gateway"),
            "server-error",
        ),
        (answer(b'{"error":-118}', status=b"503 Service Unavailable"), "server-error"),
        (answer(b"<html>Welcome</html>"), "unreadable-answer"),
        (answer(b""), "unreadable-answer"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "unreadable-answer"),
        (answer(b'{"error":0,"message":"Success"}'), "answer-without-msg-id"),
    ],
)
def test_a_whole_answer_that_is_not_zalos_is_uncertain(run: Run, raw: bytes, code: str) -> None:
    async def say_it(peer: Peer) -> None:
        await peer.request()
        await peer.send(raw)

    async def scenario() -> None:
        async with FaultServer(say_it) as server:
            assert_uncertain(await send_to(server.url), code)
            assert (server.connections, len(server.bodies)) == (1, 1)

    run(scenario())


def test_an_error_number_in_a_200_decides(run: Run) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b'{"error":-118,"message":"Zalo account not existed"}'))

    async def scenario() -> None:
        async with FaultServer(refuse) as server:
            outcome = await send_to(server.url)
            assert isinstance(outcome, Refused)
            assert outcome.error.code == "recipient-not-on-zalo"
            assert len(server.bodies) == 1

    run(scenario())


def test_http_429_waits_for_as_long_as_it_says(run: Run) -> None:
    async def slow_down(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"", b"Retry-After: 7", status=b"429 Too Many Requests"))

    async def scenario() -> None:
        async with FaultServer(slow_down) as server:
            outcome = await send_to(server.url)
            assert isinstance(outcome, Deferred)
            assert (outcome.wait.reason, outcome.retry_after_s) == (Reason.RATE, 7)

    run(scenario())
