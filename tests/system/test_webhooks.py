"""`POST /webhooks/zalo/{account}` from outside: only what Zalo signed changes anything, in whatever order it comes."""

import hashlib
import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.system.stage import Answer, Process, Stage, eventually, lowered, order, read

pytestmark = pytest.mark.system

PATH = "/webhooks/zalo/main"
OLD_SECRET = "the secret before the rotation"


@pytest.fixture(scope="module")
def gateway(scene: Stage) -> Iterator[Process]:
    """A gateway that knows two webhook secrets, and a second account that has none."""
    secret = scene.credentials["oa_secret"]
    text = scene.config.read_text().replace(f'["{secret}"]', f'["{secret}", "{OLD_SECRET}"]')
    scene.config.write_text(text + '\n[accounts.second]\napp_id = "2"\napp_secret = "s"\n')
    with scene.serving() as process:
        # Nothing comes by itself: these tests are Zalo.
        scene.simulator.ask("POST", "/__sim/webhook", {"url": None})
        yield process


def signed(scene: Stage, body: bytes, timestamp: str, secret: str | None = None) -> str:
    """The header that Zalo would send."""
    it = scene.credentials
    parts = it["app_id"].encode(), body, timestamp.encode(), (secret or it["oa_secret"]).encode()
    return f"mac={hashlib.sha256(b''.join(parts)).hexdigest()}"


def receipt(tracking_id: str, **changes: Any) -> bytes:
    """What Zalo says of a message that a phone has."""
    message = {"msg_id": "no-such-id", "delivery_time": "1795422305000", "tracking_id": tracking_id}
    body = {"event_name": "user_received_message", "timestamp": "1795422305077", "message": message}
    return json.dumps(body | changes).encode()


def tell(gateway: Process, scene: Stage, body: bytes, timestamp: str = "1795422305077", **headers: str) -> Answer:
    """The answer to a rightly signed call."""
    given = {"X_ZEvent_Signature": signed(scene, body, timestamp), "X_ZEvent_Server": "ZNS"} | headers
    return gateway.ask("POST", PATH, body, **given)


def sent(gateway: Process, event_id: str, scene: Stage) -> str:
    """The tracking_id of a message that Zalo took and says no more of."""
    message = gateway.post(order(event_id, scene.phones["never"])).body
    assert message["status"] == "sent"
    return str(message["tracking_id"])


def is_delivered(gateway: Process, tracking_id: str) -> bool:
    return bool(gateway.message(tracking_id)["status"] == "delivered")


def verdicts(gateway: Process) -> dict[str, float]:
    """How many webhook calls there were, by verdict."""
    lines = str(gateway.ask("GET", "/metrics").body).splitlines()
    counted = [line for line in lines if line.startswith('zns_gateway_webhooks_total{account="main"')]
    return {line.split('verdict="')[1].split('"')[0]: float(line.split()[-1]) for line in counted}


def test_a_signed_receipt_makes_the_message_delivered_at_zalos_time(gateway: Process, scene: Stage) -> None:
    tracking_id = sent(gateway, "w-1", scene)
    assert tell(gateway, scene, receipt(tracking_id)).status == 200
    eventually(lambda: is_delivered(gateway, tracking_id))
    assert gateway.message(tracking_id)["delivered_at"] == "2026-11-23T08:25:05Z"


def test_a_receipt_is_matched_by_msg_id_where_it_has_no_tracking_id(gateway: Process, scene: Stage) -> None:
    tracking_id = sent(gateway, "w-2", scene)
    message = {"msg_id": gateway.message(tracking_id)["msg_id"], "delivery_time": "1795422305000"}
    assert tell(gateway, scene, receipt("", message=message)).status == 200
    eventually(lambda: is_delivered(gateway, tracking_id))


def test_either_secret_signs_while_one_is_being_rotated(gateway: Process, scene: Stage) -> None:
    tracking_id = sent(gateway, "w-3", scene)
    body = receipt(tracking_id)
    answer = tell(gateway, scene, body, X_ZEvent_Signature=signed(scene, body, "1795422305077", OLD_SECRET))
    assert answer.status == 200
    eventually(lambda: is_delivered(gateway, tracking_id))


def forgeries(scene: Stage, body: bytes) -> list[bytes | None]:
    """Signature headers that are wrong, odd or not there."""
    right = signed(scene, body, "1795422305077").encode()
    return [
        None,
        b"",
        b"mac=",
        b"mac=" + b"0" * 64,
        right[:-1] + (b"0" if right[-1:] != b"0" else b"1"),
        right.upper(),
        right.replace(b"mac=", b"mac=mac="),
        right.removeprefix(b"mac="),
        right + b", " + right,
        b"\xff" * 68,
        "mac=ü".encode(),
        right + b"0" * 20_000,
        signed(scene, body, "1795422305078").encode(),
        signed(scene, body, "1795422305077", "wrong").encode(),
        signed(scene, body + b" ", "1795422305077").encode(),
    ]


def test_what_zalo_did_not_sign_is_refused_counted_and_changes_nothing(gateway: Process, scene: Stage) -> None:
    tracking_id = sent(gateway, "w-4", scene)
    before = verdicts(gateway).get("forged", 0)
    tried = forgeries(scene, receipt(tracking_id))
    for header in tried:
        answer = raw(gateway, PATH, receipt(tracking_id), header)
        assert (answer.status, answer.body["code"]) == (401, "unauthenticated"), header
    assert verdicts(gateway)["forged"] == before + len(tried)
    assert gateway.message(tracking_id)["status"] == "sent"


def test_the_bytes_that_were_signed_are_the_ones_that_count(gateway: Process, scene: Stage) -> None:
    body = receipt(sent(gateway, "w-5", scene))
    spaced = json.dumps(json.loads(body), indent=1).encode()
    header = signed(scene, body, "1795422305077")
    assert gateway.ask("POST", PATH, spaced, X_ZEvent_Signature=header).status == 401


@pytest.mark.parametrize("body", [b"[]", b"text", b"\xff", b'{"timestamp":{}}', b"[" * 60_000, b'{"a":1,"a":2}'])
def test_a_signature_over_what_is_no_event_of_zalos_is_refused(
    gateway: Process, scene: Stage, body: bytes
) -> None:
    assert tell(gateway, scene, body, "").status == 401


@pytest.mark.parametrize("body", [b"", b"{}", b" {} \n"])
def test_zalos_probe_of_the_address_is_answered_and_ignored(gateway: Process, body: bytes) -> None:
    assert gateway.ask("POST", PATH, body).status == 200


def test_an_account_without_a_secret_takes_nothing_but_the_probe(gateway: Process, scene: Stage) -> None:
    empty = f"mac={hashlib.sha256(b'2' + receipt('x') + b'1795422305077').hexdigest()}"
    path = "/webhooks/zalo/second"
    assert gateway.ask("POST", path, receipt("x"), X_ZEvent_Signature=empty).status == 401
    assert gateway.ask("POST", path, b"{}").status == 200


def test_an_account_that_nobody_knows_is_not_found(gateway: Process, scene: Stage) -> None:
    assert raw(gateway, "/webhooks/zalo/nobody", b"{}", None).status == 404


def test_a_body_beyond_64_kib_is_not_read(gateway: Process, scene: Stage) -> None:
    at_most = receipt("x", padding="")
    at_most = receipt("x", padding="p" * (64 * 1024 - len(at_most)))
    assert len(at_most) == 64 * 1024
    assert tell(gateway, scene, at_most).status == 200
    answer = tell(gateway, scene, at_most + b" ")
    assert (answer.status, answer.body["code"]) == (413, "too-large")


@pytest.mark.parametrize("name", ["user_feedback", "a_name_of_tomorrow", "user_received_message"])
def test_an_event_that_changes_nothing_is_taken_all_the_same(gateway: Process, scene: Stage, name: str) -> None:
    body = json.dumps({"event_name": name, "timestamp": "1795422305077"}).encode()
    assert tell(gateway, scene, body).status == 200


def test_a_receipt_said_again_is_noted_and_changes_nothing(gateway: Process, scene: Stage) -> None:
    tracking_id = sent(gateway, "w-6", scene)
    tell(gateway, scene, receipt(tracking_id))
    eventually(lambda: is_delivered(gateway, tracking_id))
    first = gateway.message(tracking_id)["delivered_at"]
    later = {"msg_id": "no-such-id", "delivery_time": "1795422999000", "tracking_id": tracking_id}
    for _ in range(3):
        assert tell(gateway, scene, receipt(tracking_id, message=later, num_retry=1)).status == 200
    eventually(lambda: sum(it["fact"] == "receipt" for it in gateway.message(tracking_id)["timeline"]) == 4)
    assert gateway.message(tracking_id)["delivered_at"] == first


def test_an_orphan_is_kept_and_its_message_is_delivered_without_being_sent(gateway: Process, scene: Stage) -> None:
    # The same event has the same tracking_id wherever it is accepted: here a preview of the command line tells it.
    event_file = scene.folder / "orphan.json"
    event_file.write_text(json.dumps(order("w-orphan")))
    shown = scene.command("preview", str(event_file), "--caller", "checkout")
    tracking_id = json.loads(shown.stdout)["tracking_id"]
    assert tell(gateway, scene, receipt(tracking_id)).status == 200
    assert gateway.ask("GET", f"/v1/messages/{tracking_id}", key="test-key-platform").status == 404
    answer = gateway.post(order("w-orphan"))
    assert (answer.status, answer.body["status"], answer.body["attempts"]) == (200, "delivered", 0)
    assert scene.sent(tracking_id) == []


def test_a_receipt_that_overtakes_the_answer_wins_and_the_answer_fills_the_rest_in(
    gateway: Process, scene: Stage
) -> None:
    scene.simulator.ask("POST", "/__sim/webhook", {"url": f"{gateway.url}{PATH}"})
    message = gateway.post(order("w-early", scene.phones["early"])).body
    scene.simulator.ask("POST", "/__sim/webhook", {"url": None})
    told = eventually(lambda: (it := gateway.message(message["tracking_id"]))["status"] == "delivered" and it)
    assert told["msg_id"] == scene.sent(message["tracking_id"])[0]["msg_id"]
    assert told["quota"] is not None


def raw(gateway: Process, path: str, body: bytes, signature: bytes | None) -> Answer:
    """The answer to a call whose header may be any bytes."""
    with closing(http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=10)) as connection:
        connection.putrequest("POST", path)
        connection.putheader("content-length", str(len(body)))
        if signature is not None:
            connection.putheader("x-zevent-signature", signature)
        connection.endheaders(body)
        response = connection.getresponse()
        return Answer(response.status, lowered(response.headers), read(response.read()))
