"""Each call goes out as Zalo wants it, and comes back as a value, whatever happens."""

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from gateway.core import grant
from gateway.core.delivery import Accepted, Deferred, Quota, Refused, Uncertain, Until
from gateway.core.grant import Token
from gateway.core.silence import Delivered, Pending, Unclear
from gateway.zalo.client import ZaloClient
from tests.loops import Run
from tests.transport.fault_server import FaultServer, Peer, Script, answer, closed_port

from .answers import OK, token

PATIENT = timedelta(seconds=5)
PAIR = {"access_token": "new-access", "refresh_token": "new-refresh", "expires_in": "90000"}


def client_of(server: FaultServer) -> ZaloClient:
    return ZaloClient(server.url, server.url + "/", PATIENT, PATIENT)


def saying(*raws: bytes) -> Script:
    async def script(peer: Peer) -> None:
        for raw in raws:
            await peer.request()
            await peer.send(raw)
        await peer.silence()

    return script


def saying_json(document: Any) -> Script:
    return saying(answer(json.dumps(document).encode()))


def headers_of(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")[1:-2]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


ACCESS = token()


async def send(client: ZaloClient, with_: Token = ACCESS, **changes: Any) -> object:
    message: dict[str, Any] = {"phone": "84987654321", "template_id": "1", "template_data": {"tên": "Lan"}}
    return await client.send(with_, **(message | {"tracking_id": "t-1"} | changes))


def test_a_send_is_one_plain_post(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(saying(OK)) as server:
            client = client_of(server)
            assert isinstance(await send(client), Accepted)
            assert server.heads[0].startswith(b"POST /message/template HTTP/1.1\r\n")
            headers = headers_of(server.heads[0])
            assert re.fullmatch(r"zns-gateway/\d+\.\d+\.\d+", headers.pop("user-agent"))
            assert headers == {
                "host": f"127.0.0.1:{server.port}",
                "accept-encoding": "identity",
                "content-type": "application/json",
                "content-length": str(len(server.bodies[0])),
                "access_token": "access",
            }
            assert json.loads(server.bodies[0])["template_data"] == {"tên": "Lan"}
            await client.aclose()

    run(scenario())


def test_the_proof_goes_along_where_there_is_a_secret(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(saying(OK)) as server:
            client = client_of(server)
            await send(client, token("test-access-token", app_secret="test-app-secret"))
            proof = "c7a7a56a58d03b05def128144d755b6c5bd4ba6b88fbfd8a59a909c862e52d7b"
            assert headers_of(server.heads[0])["appsecret_proof"] == proof
            await client.aclose()

    run(scenario())


@pytest.mark.parametrize("text", ["", "a\r\nX-More: b", "a b", "é", "t" * 9000])
def test_a_token_that_no_header_can_hold_asks_for_another_and_sends_nothing(run: Run, text: str) -> None:
    async def scenario() -> None:
        async with FaultServer(saying(OK)) as server:
            client = client_of(server)
            outcome = await send(client, token(text))
            assert isinstance(outcome, Deferred)
            assert outcome.wait.until is Until.NEW_GRANT
            asked = await client.quota(token(text))
            assert isinstance(asked, Unclear)
            assert asked.wants_new_grant
            assert server.connections == 0
            await client.aclose()

    run(scenario())


def test_half_a_character_is_refused_and_sends_nothing(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(saying(OK)) as server:
            client = client_of(server)
            outcome = await send(client, template_data={"a": "\ud83d"})
            assert isinstance(outcome, Refused)
            assert outcome.error.code == "text-unusable"
            assert server.connections == 0
            await client.aclose()

    run(scenario())


def test_what_zalo_echoes_of_a_message_is_told_to_nobody(run: Run) -> None:
    async def scenario() -> None:
        echo = "bad: otp=482913 for 84987654321 by Lan with secret-access-token"
        async with FaultServer(saying_json({"error": -112, "message": echo})) as server:
            client = client_of(server)
            outcome = await send(
                client, token("secret-access-token"), template_data={"otp": "482913", "name": "Lan"}
            )
            for private in ("482913", "987654321", "Lan", "secret-access-token"):
                assert private not in repr(outcome)
            await client.aclose()

    run(scenario())


@pytest.mark.parametrize("base", ["", "zalo", "ftp://zalo", "http://", "//zalo", "http://zalo:port"])
def test_a_url_that_leads_nowhere_is_refused_at_once(base: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        ZaloClient(base, "http://zalo", PATIENT, PATIENT)


def test_closing_makes_what_is_under_way_uncertain_and_sends_nothing_more(run: Run) -> None:
    async def ignore(peer: Peer) -> None:
        await peer.request()
        await peer.silence()

    async def scenario() -> None:
        async with FaultServer(ignore) as server:
            client = client_of(server)
            under_way = asyncio.ensure_future(send(client))
            await server.until(lambda: len(server.bodies) == 1)
            await client.aclose()
            outcome = await under_way
            assert isinstance(outcome, Uncertain)
            assert outcome.error.code == "connection-lost"
            later = await send(client)
            assert isinstance(later, Deferred)
            assert later.error.code == "client-closed"
            assert len(server.bodies) == 1

    run(scenario())


# Questions


@pytest.mark.parametrize(
    ("data", "expected"), [({"status": 1}, Delivered(None)), ({"status": 0}, Pending()), ({"status": -1}, Unclear)]
)
def test_the_status_of_a_message_is_asked_by_its_id(run: Run, data: Any, expected: Any) -> None:
    async def scenario() -> None:
        async with FaultServer(saying_json({"error": 0, "data": data})) as server:
            client = client_of(server)
            heard = await client.status(ACCESS, "a b&c=d")
            assert heard == expected or isinstance(heard, Unclear) is (expected is Unclear)
            assert server.heads[0].startswith(b"GET /message/status?message_id=a+b%26c%3Dd HTTP/1.1\r\n")
            assert headers_of(server.heads[0])["access_token"] == "access"
            await client.aclose()

    run(scenario())


def test_quota_and_template_are_read(run: Run) -> None:
    quota = answer(b'{"error":0,"data":{"dailyQuota":500,"remainingQuota":499}}')
    template = answer(b'{"error":0,"data":{"templateId":7,"listParams":[]}}')

    async def scenario() -> None:
        async with FaultServer(saying(quota, template)) as server:
            client = client_of(server)
            assert await client.quota(ACCESS) == Quota(500, 499)
            assert await client.template(ACCESS, "7") == {"templateId": 7, "listParams": []}
            assert [head.split(b" ")[1] for head in server.heads] == [
                b"/message/quota",
                b"/template/info/v2?template_id=7",
            ]
            await client.aclose()

    run(scenario())


def test_a_question_that_nobody_hears_is_unclear(run: Run) -> None:
    async def scenario() -> None:
        nowhere = f"http://127.0.0.1:{closed_port()}"
        client = ZaloClient(nowhere, nowhere, PATIENT, PATIENT)
        for heard in (
            await client.quota(ACCESS),
            await client.status(ACCESS, "1"),
            await client.template(ACCESS, "1"),
        ):
            assert isinstance(heard, Unclear)
            assert (heard.error.code, heard.wants_new_grant) == ("connection-refused", False)
        await client.aclose()

    run(scenario())


# Refreshing


async def refresh(client: ZaloClient, journal: list[tuple[int, bytes]] | None = None) -> grant.RefreshResult:
    noted = journal if journal is not None else []
    return await client.refresh(
        app_id="1", app_secret="app-secret", refresh_token="old", journal=lambda *heard: noted.append(heard)
    )


def test_a_refresh_is_one_form_over_the_prepared_connection(run: Run) -> None:
    async def scenario() -> None:
        async with FaultServer(saying_json(PAIR)) as server:
            client, journal = client_of(server), list[tuple[int, bytes]]()
            assert await client.prepare() is None
            rotated = await refresh(client, journal)
            expected = grant.Rotated(
                grant.AccessToken("new-access"), grant.RefreshToken("new-refresh"), timedelta(seconds=90000)
            )
            assert rotated == expected
            assert journal == [(200, json.dumps(PAIR).encode())]
            assert server.heads[0].startswith(b"POST /v4/oa/access_token HTTP/1.1\r\n")
            headers = headers_of(server.heads[0])
            assert headers["secret_key"] == "app-secret"
            assert headers["content-type"] == "application/x-www-form-urlencoded"
            form = {"refresh_token": ["old"], "app_id": ["1"], "grant_type": ["refresh_token"]}
            assert parse_qs(server.bodies[0].decode()) == form
            assert server.connections == 1
            await client.aclose()

    run(scenario())


@pytest.mark.parametrize(
    ("script", "result"),
    [
        (saying_json({"error": -14014}), grant.Dead),
        (saying_json({"error": -14002}), grant.Refused),
        (saying(answer(b"")), grant.Lost),
        (saying(answer(b"<html>", status=b"502 Bad Gateway")), grant.Lost),
        (saying(OK[:-5] + b"\r\n\r\nHTTP"), grant.Lost),
    ],
)
def test_the_answer_to_a_refresh_is_judged(run: Run, script: Script, result: type[Any]) -> None:
    async def scenario() -> None:
        async with FaultServer(script) as server:
            client = client_of(server)
            assert isinstance(await refresh(client), result)
            assert len(server.bodies) == 1
            await client.aclose()

    run(scenario())


def test_a_refresh_that_is_cut_is_lost_and_presented_once(run: Run) -> None:
    async def consume_and_leave(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    async def scenario() -> None:
        async with FaultServer(consume_and_leave) as server:
            client, journal = client_of(server), list[tuple[int, bytes]]()
            assert await refresh(client, journal) == grant.Lost("connection-lost")
            assert (journal, len(server.bodies), server.connections) == ([], 1, 1)
            await client.aclose()

    run(scenario())


def test_a_refresh_that_did_not_leave_us_was_not_presented(run: Run) -> None:
    async def scenario() -> None:
        nowhere = f"http://127.0.0.1:{closed_port()}"
        client = ZaloClient(nowhere, nowhere, PATIENT, PATIENT)
        assert await client.prepare() == grant.NotPresented("connection-refused")
        assert await refresh(client) == grant.NotPresented("connection-refused")
        for app_secret, spent in (("bad\nsecret", "old"), ("secret", "bad token")):
            heard = await client.refresh(app_id="1", app_secret=app_secret, refresh_token=spent)
            assert isinstance(heard, grant.NotPresented)
        await client.aclose()

    run(scenario())


# The docs


def test_every_section_that_the_code_cites_is_there() -> None:
    root = Path(__file__).parents[2]
    headings = re.findall(
        r"^#+ ([\d.]+)\.? ", (root / "docs" / "zalo.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    sections = {heading.rstrip(".") for heading in headings}
    for file in (root / "gateway").rglob("*.py"):
        for cited in re.findall(r"docs/zalo\.md §([\d.]*\d)", file.read_text(encoding="utf-8")):
            assert cited in sections, f"{file.name} cites §{cited}"
