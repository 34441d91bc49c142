"""A code is presented once, in one form, and the answer is judged with the care of a refresh; nothing private is told."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import grant
from gateway.core.login import ExchangeResult
from gateway.zalo import oauth
from gateway.zalo.client import ZaloClient
from tests.loops import Run
from tests.transport.fault_server import FaultServer, Peer, answer, closed_port

PATIENT = timedelta(seconds=5)
PAIR = {"access_token": "new-access", "refresh_token": "new-refresh", "expires_in": "90000"}
NEW = grant.Rotated(grant.AccessToken("new-access"), grant.RefreshToken("new-refresh"), timedelta(seconds=90000))
CODE, VERIFIER, SECRET = "the code+/=&", "v" * 43, "app-secret"


async def exchange(client: ZaloClient, app_secret: str = SECRET) -> ExchangeResult:
    return await client.exchange(app_id="1", app_secret=app_secret, code=CODE, verifier=VERIFIER)


async def asked(server: FaultServer, app_secret: str = SECRET) -> ExchangeResult:
    client = ZaloClient(server.url, server.url, PATIENT, PATIENT)
    try:
        return await exchange(client, app_secret)
    finally:
        await client.aclose()


def saying(raw: bytes) -> Any:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(raw)

    return script


def test_an_exchange_is_one_form_with_the_secret_in_a_header(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(saying(answer(json.dumps(PAIR).encode()))) as server:
            assert await asked(server) == NEW
            (head,), (body,) = server.heads, server.bodies
            assert head.startswith(b"POST /v4/oa/access_token HTTP/1.1\r\n")
            lines = head.lower().split(b"\r\n")
            assert b"secret_key: app-secret" in lines
            assert b"content-type: application/x-www-form-urlencoded" in lines
            assert parse_qs(body.decode()) == {
                "code": [CODE],
                "app_id": ["1"],
                "grant_type": ["authorization_code"],
                "code_verifier": [VERIFIER],
            }

    run(scenario())


@pytest.mark.parametrize(
    ("raw", "result"),
    [
        (answer(b'{"error":-14010,"error_name":"bad code"}'), grant.Refused("bad code", -14010)),
        (answer(b'{"error":"-14002"}', status=b"400 Bad Request"), grant.Refused("-14002", -14002)),
        (answer(b'{"error_name":"nope"}'), grant.Refused("nope", None)),
        (answer(b""), grant.Lost("unreadable-answer")),
        (answer(b"<html>", status=b"502 Bad Gateway"), grant.Lost("server-error")),
        (answer(b'{"access_token":"a"}'), grant.Lost("incomplete-grant")),
    ],
)
def test_the_answer_to_an_exchange_is_judged_and_never_asked_for_again(
    run: Run, raw: bytes, result: ExchangeResult
) -> None:
    async def scenario() -> None:
        async with FaultServer(saying(raw)) as server:
            assert await asked(server) == result
            assert len(server.bodies) == 1

    run(scenario())


def test_an_exchange_that_is_cut_is_lost_and_presented_once(run: Run) -> None:
    async def consume_and_leave(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    async def scenario() -> None:
        async with FaultServer(consume_and_leave) as server:
            assert await asked(server) == grant.Lost("connection-lost")
            assert (len(server.bodies), server.connections) == (1, 1)

    run(scenario())


def test_what_did_not_leave_us_was_not_presented_and_a_secret_that_cannot_leave_is_refused(run: Run) -> None:
    async def scenario() -> None:
        nowhere = f"http://127.0.0.1:{closed_port()}"
        client = ZaloClient(nowhere, nowhere, PATIENT, PATIENT)
        assert await exchange(client) == grant.NotPresented("connection-refused")
        refused = await exchange(client, "bad\nsecret")
        assert isinstance(refused, grant.Refused)
        assert "bad" not in refused.detail
        await client.aclose()

    run(scenario())


def test_a_dead_refresh_token_has_no_place_here_and_is_a_refusal() -> None:
    assert isinstance(oauth.read_exchange(200, b'{"error":-14014}', CODE), grant.Refused)


@pytest.mark.parametrize("member", ["error_name", "error_reason", "error_description", "message", "error"])
def test_what_zalo_echoes_of_code_verifier_and_secret_is_told_to_nobody(member: str) -> None:
    body = {"error": -14010, member: f"no: {CODE} {VERIFIER} {SECRET}"}
    read = oauth.read_exchange(200, json.dumps(body).encode(), CODE, private=(VERIFIER, SECRET))
    assert isinstance(read, grant.Refused)
    assert [it for it in (CODE, VERIFIER, SECRET) if it in read.detail] == []


@given(
    st.integers(200, 599),
    st.dictionaries(
        st.sampled_from([*PAIR, "error", "error_name"]),
        st.none() | st.booleans() | st.integers() | st.sampled_from(["", "a", "90000", "0", "-14010", "x y"]),
    ),
)
def test_only_a_complete_pair_is_a_grant(status: int, body: dict[str, Any]) -> None:
    read = oauth.read_exchange(status, json.dumps(body).encode(), CODE)
    assert isinstance(read, grant.Rotated | grant.Refused | grant.Lost)
    if isinstance(read, grant.Rotated):
        assert status < 500
        assert read.access.value == body["access_token"] != ""
        assert read.refresh.value == body["refresh_token"] != ""
        assert 1 <= int(body["expires_in"]) <= 10_000_000
