import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.simulator import Simulator
from gateway.simulator.webhooks import mac_of

from .stage import Live, Receiver, served, until


async def test_a_message_goes_out_and_its_receipt_comes(live: Live, receiver: Receiver) -> None:
    answer = (await live.send(tracking_id="t-1")).json()
    await until(lambda: bool(receiver.got))
    [(headers, body)] = receiver.got
    event = receiver.events()[0]
    assert event["message"]["msg_id"] == answer["data"]["msg_id"]
    secret = live.credentials["oa_secret"]
    mac = mac_of(live.credentials["app_id"], body, event["timestamp"], secret)
    assert headers["x-zevent-signature"] == mac
    assert headers["x-zevent-server"] == "ZNS"
    assert headers["user-agent"] == "ZaloWebhook"
    assert headers["content-type"] == "application/json"
    assert "num_retry" not in headers
    await until(lambda: bool(live.simulator.zalo.ledger.posts.count))
    [message] = (await live.ledger())["messages"]
    assert message["delivered_at"]
    assert [each["status"] for each in message["receipts"]] == [200]


async def test_answers_are_plain_json_with_http_200(live: Live) -> None:
    for answer in (await live.send(), await live.send("84900000118"), await live.client.get("/nope")):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/json")
        assert "content-encoding" not in answer.headers
    assert answer.json() == {"error": 404, "message": "empty api"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_a_path_that_is_not_there_is_an_empty_api(live: Live, method: str) -> None:
    for path in ("/", "/message", "/message/templates", "/v3.0/oa/message/cs", "/MESSAGE/TEMPLATE"):
        answer = await live.client.request(method, path, headers={"access_token": live.token})
        assert (answer.status_code, answer.json()) == (200, {"error": 404, "message": "empty api"})


@pytest.mark.parametrize("accepted", [None, "identity", "gzip, deflate"])
async def test_nothing_is_compressed(live: Live, accepted: str | None) -> None:
    asked = "" if accepted is None else f"Accept-Encoding: {accepted}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", int(live.url.rsplit(":", 1)[1]))
    head = (
        f"GET /template/all HTTP/1.1\r\nHost: x\r\naccess_token: {live.token}\r\n{asked}Connection: close\r\n\r\n"
    )
    writer.write(head.encode())
    headers, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert b"content-encoding" not in headers.lower()
    assert json.loads(body)["metadata"]["total"] == 13


@pytest.mark.parametrize("spelt", [str.lower, str.upper, str.title])
async def test_headers_with_underscores_arrive_in_any_case(live: Live, spelt: Callable[[str], str]) -> None:
    body = {"phone": "84912345678", "template_id": "310001", "template_data": {"otp": "1"}}
    token = {spelt("access_token"): live.token}
    assert (await live.client.post("/message/template", json=body, headers=token)).json()["error"] == 0
    proof = {**token, spelt("appsecret_proof"): "0" * 64}
    assert (await live.client.post("/message/template", json=body, headers=proof)).json()["error"] == -1241
    grant = (await live.refresh(**{spelt("secret_key"): live.credentials["app_secret"]})).json()
    assert type(grant["expires_in"]) is str
    assert (await live.refresh(**{spelt("secret_key"): "wrong"})).json()["error"] == -14004


async def test_numbers_are_ints_and_prices_are_text(live: Live) -> None:
    async def told(path: str) -> Any:
        return (await live.client.get(path, headers={"access_token": live.token})).json()

    listed = await told("/template/all")
    assert type(listed["metadata"]["total"]) is int
    assert {type(each["createdTime"]) for each in listed["data"]} == {int}
    ids = [each["templateId"] for each in listed["data"]]
    assert [type(each) for each in ids] == [str] + [int] * 12, "the one id that is no decimal cannot be an int"
    for each in ids:
        template = (await told(f"/template/info/v2?template_id={each}"))["data"]
        assert template["templateId"] == str(each)
        assert type(template["timeout"]) is int
        assert {type(template[name]) for name in ("price", "price_sdt", "price_uid")} == {str}
        limits = [param[name] for param in template["listParams"] for name in ("maxLength", "minLength")]
        assert {type(limit) for limit in limits} == {int}


async def test_the_token_endpoint_works_over_http(live: Live) -> None:
    token = live.credentials["grant"]["refresh_token"]
    grant = (await live.refresh(token)).json()
    assert grant["expires_in"] == "90000"
    spent = await live.refresh(token)
    assert (spent.status_code, spent.content) == (200, b"")
    dashed = {"secret-key": live.credentials["app_secret"]}
    assert (await live.refresh(grant["refresh_token"], **dashed)).json()["access_token"]


@pytest.mark.parametrize("do", ["cut", "silence"])
async def test_a_send_without_an_answer_was_accepted_all_the_same(live: Live, do: str) -> None:
    await live.fault(at="send", do=do, count=1)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError, httpx.ReadTimeout)) as caught:
        await live.send(tracking_id=do, timeout=0.5)
    assert isinstance(caught.value, httpx.ReadTimeout) == (do == "silence")
    [message] = (await live.ledger())["messages"]
    assert message["tracking_id"] == do
    assert (await live.send()).json()["error"] == 0


async def test_a_cut_sends_not_a_byte_and_closes_the_connection(live: Live) -> None:
    await live.fault(at="send", do="cut", count=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(live.url.rsplit(":", 1)[1]))
    writer.write(b"POST /message/template HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await writer.wait_closed()


async def test_a_cut_refresh_has_spent_the_token(live: Live) -> None:
    await live.fault(at="refresh", do="cut", count=1)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await live.refresh()
    assert (await live.refresh()).content == b""
    refreshes = (await live.ledger())["refreshes"]
    assert [(each["outcome"], each["fault"]) for each in refreshes] == [("rotated", "cut"), ("spent", None)]


async def test_other_faults_of_a_refresh_are_seen(live: Live) -> None:
    await live.fault(at="refresh", do="html", value=503, count=1)
    page = await live.refresh()
    assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
    await live.fault(at="refresh", do="error", value=-14014, count=1)
    assert (await live.refresh()).json()["error_name"] == "Invalid refresh token."
    await live.fault(at="refresh", do="garbage", count=1)
    assert (await live.refresh()).status_code == 200
    assert (await live.refresh()).content == b""


async def test_status_can_fail_too(live: Live) -> None:
    msg_id = (await live.send()).json()["data"]["msg_id"]
    path, headers = f"/message/status?message_id={msg_id}", {"access_token": live.token}
    await live.fault(at="status", do="error", value=-100, count=1)
    assert (await live.client.get(path, headers=headers)).json()["error"] == -100
    await live.fault(at="status", do="delay", value=0.05, count=1)
    assert (await live.client.get(path, headers=headers)).json()["data"]["status"] in (0, 1)


async def test_a_slow_answer_comes_too_late_yet_the_message_is_delivered(live: Live, receiver: Receiver) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await live.send(live.phone("slow"), tracking_id="slow", timeout=0.5)
    await until(lambda: receiver.tracking_ids() == ["slow"])


async def test_broken_answers_are_broken(live: Live) -> None:
    page = await live.send(live.phone("html"))
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert not (await live.ledger())["messages"]
    garbage = await live.send(live.phone("garbage"))
    assert garbage.status_code == 200
    with pytest.raises(ValueError, match=r".*"):
        garbage.json()
    assert len((await live.ledger())["messages"]) == 1


@pytest.mark.parametrize("by", ["phone", "fault"])
async def test_an_early_receipt_is_there_before_the_answer(live: Live, receiver: Receiver, by: str) -> None:
    if by == "fault":
        await live.fault(at="webhook", do="early", count=1)
    await live.send(live.phone("early") if by == "phone" else "84912345678", tracking_id="early")
    assert receiver.tracking_ids() == ["early"]


async def test_what_the_receiver_refuses_is_posted_again_with_its_count(live: Live, receiver: Receiver) -> None:
    receiver.statuses = [500, 401]
    await live.client.post("/__sim/clock", json={"scale": 10_000})
    await live.send()
    await until(lambda: len(receiver.got) == 3)
    assert [headers.get("num_retry") for headers, _ in receiver.got] == [None, "1", "2"]
    assert len({body for _, body in receiver.got}) == 1
    await until(lambda: live.simulator.zalo.ledger.posts.count == 3)
    assert [each["status"] for each in (await live.ledger())["receipts"]] == [500, 401, 200]


async def test_the_address_can_be_set_and_cleared_over_http(live: Live) -> None:
    url = "http://127.0.0.1:9/x"
    assert (await live.client.post("/__sim/webhook", json={"url": url})).json() == {"url": url}
    assert (await live.client.post("/__sim/webhook", json={"url": None})).json() == {"url": None}
    with pytest.raises(ValueError, match="http"):
        live.simulator.webhook_to("nowhere")


async def test_a_receiver_that_is_not_there_is_noted(live: Live) -> None:
    live.simulator.webhook_to("http://127.0.0.1:9/x")
    await live.client.post("/__sim/clock", json={"scale": 1000})
    await live.send()
    await until(lambda: live.simulator.zalo.ledger.posts.count > 0)
    assert (await live.ledger())["receipts"][0]["status"] is None


async def test_consent_over_http_gives_a_grant(live: Live) -> None:
    query = {"app_id": live.credentials["app_id"], "redirect_uri": "http://127.0.0.1/cb", "state": "s"}
    page = await live.client.get("/v4/oa/permission", params=query)
    assert "<button" in page.text
    landing = await live.client.post("/v4/oa/permission", data=query)
    assert landing.status_code == 302
    there = httpx.URL(landing.headers["location"])
    assert (there.path, there.params["state"]) == ("/cb", "s")
    form = {
        "code": there.params["code"],
        "app_id": live.credentials["app_id"],
        "grant_type": "authorization_code",
    }
    secret = {"Secret_Key": live.credentials["app_secret"]}
    grant = (await live.client.post("/v4/oa/access_token", data=form, headers=secret)).json()
    assert grant["refresh_token"]
    assert (await live.send()).json()["error"] == -124


async def test_whatever_comes_in_is_answered_below_500(live: Live) -> None:
    rng = random.Random(5)
    paths = [
        "/message/template",
        "/message/status",
        "/v4/oa/access_token",
        "/v4/oa/permission",
        "/__sim/faults",
    ]
    paths += ["/__sim/rules", "/__sim/events", "/rating/get", "/template/all", "/%ff%00", "//", "/__sim/%2e"]
    whole = b'{"phone":"84912345678","template_id":"310001","template_data":{"otp":"1"},"at":"send"}'
    for _ in range(400):
        body = bytearray(whole)
        for _ in range(rng.randrange(6)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        answer = await live.client.request(
            rng.choice(["GET", "POST", "PUT", "DELETE", "OPTIONS"]),
            rng.choice(paths) + rng.choice(["", "?a=%zz&&==", "?offset=1e9&limit=\u00e9&message_id=%00"]),
            content=bytes(body[: rng.randrange(len(body))]),
            headers={"access_token": live.token, "content-type": rng.choice(["application/json", "a/b", ""])},
        )
        assert answer.status_code < 500, (answer.request.url, bytes(body))


async def test_a_body_of_megabytes_is_refused_and_not_kept(live: Live) -> None:
    headers = {"access_token": live.token}
    answer = await live.client.post("/message/template", content=b"x" * 3_000_000, headers=headers)
    assert answer.json()["error"] == -130


async def test_the_server_stops_although_an_answer_is_kept_silent() -> None:
    async with asyncio.timeout(5):
        async with served(Simulator()) as live:
            await live.fault(at="send", do="silence")
            silent = asyncio.create_task(live.send())
            await until(lambda: bool(live.simulator.zalo.ledger.messages))
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await silent


async def test_the_same_seed_gives_the_same_zalo() -> None:
    first, second = Simulator(seed=4), Simulator(seed=4)
    assert first.credentials() == second.credentials()
    assert Simulator(seed=5).credentials() != Simulator(seed=4).credentials()
