"""`POST /v1/events` from outside: what is sent, how long it waits, and that no event is sent twice."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.system.stage import Process, Stage, eventually, order

pytestmark = pytest.mark.system

STRUCTURED = "application/cloudevents+json"


@pytest.fixture(autouse=True)
def no_faults(scene: Stage) -> Iterator[None]:
    yield
    scene.simulator.ask("DELETE", "/__sim/faults")


def shipping(event_id: str, status: str) -> dict[str, Any]:
    data = {"order_id": "DH-1", "status": status, "recipient": {"name": "An", "phone": "0912345678"}}
    return {"id": event_id, "type": "shipping.status", "data": data}


def test_an_event_is_sent_at_once_and_delivered_when_zalo_says_so(gateway: Process, scene: Stage) -> None:
    answer = gateway.post(order("e-1"))
    assert (answer.status, answer.body["status"]) == (200, "sent")
    assert "location" not in answer.headers
    tracking_id = answer.body["tracking_id"]
    assert re.fullmatch("[0-9a-z]{26}", tracking_id)
    (taken,) = scene.sent(tracking_id)
    assert (taken["phone"], taken["msg_id"]) == ("84912345678", answer.body["msg_id"])
    message = eventually(lambda: (it := gateway.message(tracking_id))["status"] == "delivered" and it)
    assert [line["fact"] for line in message["timeline"]] == ["stored", "claim", "accepted", "receipt"]
    assert message["sent_at"] <= message["delivered_at"] <= message["updated_at"]


def test_the_message_of_an_answer_tells_everything_of_it(gateway: Process) -> None:
    message = gateway.post(order("e-shape")).body
    assert message["event"] == {"id": "e-shape", "source": "/checkout", "type": "order.paid"}
    assert (message["phone"], message["attempts"], message["error"]) == ("84*****5678", 1, None)
    assert message["mapping_version"].startswith("sha256:")
    assert message["quota"]["remaining"] < message["quota"]["daily"]
    times = [message[name] for name in ("accepted_at", "sent_at", "expires_at", "updated_at")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", moment) for moment in times)


@pytest.mark.parametrize("media_type", [STRUCTURED, STRUCTURED + "; charset=utf-8", "application/json;x=1"])
def test_a_complete_cloudevent_is_taken_under_each_media_type(gateway: Process, media_type: str) -> None:
    event = {"specversion": "1.0", **order(f"e-{media_type}")}
    assert gateway.post(event, Content_Type=media_type).status == 200


def test_a_plain_event_has_its_caller_for_a_source(gateway: Process) -> None:
    event = order("e-plain")
    del event["source"]
    assert gateway.post(event).body["event"]["source"] == "checkout"


def test_what_zalo_refuses_for_good_is_422_with_its_code_and_the_whole_message(
    gateway: Process, scene: Stage
) -> None:
    answer = gateway.post(order("e-refused", scene.phones["error:-118"]))
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    problem = answer.body
    assert (problem["code"], problem["status"], problem["retryable"]) == ("recipient-not-on-zalo", 422, False)
    assert problem["tracking_id"] == problem["message"]["tracking_id"]
    error = problem["message"]["error"]
    assert (error["code"], error["category"], error["permanent"]) == ("recipient-not-on-zalo", "recipient", True)
    assert error["zalo"]["error"] == -118
    assert problem["message"]["status"] == "failed"
    again = gateway.post(order("e-refused", scene.phones["error:-118"]))
    assert (again.status, again.headers["idempotency-replayed"]) == (422, "true")
    assert again.body == problem


def test_an_event_for_which_no_template_is_meant_is_skipped(gateway: Process, scene: Stage) -> None:
    answer = gateway.post(shipping("e-skip", "sorting"))
    assert (answer.status, answer.body["status"]) == (200, "skipped")
    assert (answer.body["template_id"], answer.body["phone"]) == (None, None)
    assert scene.sent(answer.body["tracking_id"]) == []
    assert gateway.post(shipping("e-skip", "sorting")).headers["idempotency-replayed"] == "true"


def test_a_replay_sends_nothing_and_answers_with_the_message_as_it_stands(gateway: Process, scene: Stage) -> None:
    first = gateway.post(order("e-replay")).body
    eventually(lambda: gateway.message(first["tracking_id"])["status"] == "delivered")
    event = order("e-replay")
    event["data"] = dict(reversed(event["data"].items())) | {"total": 1250000.0}
    again = gateway.post(event)
    assert (again.status, again.body["status"]) == (200, "delivered")
    assert again.headers["idempotency-replayed"] == "true"
    assert len(scene.sent(first["tracking_id"])) == 1


@pytest.mark.parametrize("change", [{"type": "shipping.status"}, {"data": order("x")["data"] | {"total": True}}])
def test_other_type_or_data_under_a_known_identity_is_a_conflict(gateway: Process, change: Any) -> None:
    gateway.post(order("e-conflict"))
    answer = gateway.post(order("e-conflict", **change))
    assert (answer.status, answer.body["code"]) == (422, "idempotency-conflict")


def test_the_mapping_is_asked_only_after_the_identity(gateway: Process) -> None:
    gateway.post(order("e-order-of-checks"))
    spoilt = gateway.post(order("e-order-of-checks", phone="12"))
    assert spoilt.body["code"] == "idempotency-conflict"


def test_a_key_of_the_callers_own_names_the_event_quoted_or_bare(gateway: Process, scene: Stage) -> None:
    first = gateway.post(order("e-key-1"), Idempotency_Key='"key-1"')
    again = gateway.post(order("e-key-2"), Idempotency_Key="key-1")
    assert again.headers["idempotency-replayed"] == "true"
    assert again.body["tracking_id"] == first.body["tracking_id"]
    by_event = gateway.post(order("e-key-1"))
    assert by_event.headers["idempotency-replayed"] == "true", "the event's own name is known too"
    assert len(scene.sent(first.body["tracking_id"])) == 1


def test_two_known_names_that_are_two_messages_conflict(gateway: Process) -> None:
    gateway.post(order("e-two-1"), Idempotency_Key="two-1")
    gateway.post(order("e-two-2"), Idempotency_Key="two-2")
    assert gateway.post(order("e-two-1"), Idempotency_Key="two-2").body["code"] == "idempotency-conflict"


@pytest.mark.parametrize("refused", [{"type": "unmapped.thing"}, {"data": {}}, {"phone": "12"}])
def test_what_was_refused_leaves_no_identity_behind(gateway: Process, refused: dict[str, Any]) -> None:
    event_id = f"e-left-{next(iter(refused))}"
    assert gateway.post(order(event_id, **refused)).status == 422
    answer = gateway.post(order(event_id))
    assert answer.status == 200
    assert "idempotency-replayed" not in answer.headers


def test_fifty_equal_posts_at_once_are_one_send_and_all_hear_the_same(gateway: Process, scene: Stage) -> None:
    scene.fault(at="send", do="delay", value=0.5, count=1)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: gateway.post(order("e-fifty")), range(50)))
    assert {answer.status for answer in answers} == {200}
    assert {answer.body["status"] for answer in answers} <= {"sent", "delivered"}
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    (tracking_id,) = {answer.body["tracking_id"] for answer in answers}
    assert len(scene.sent(tracking_id)) == 1


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [("respond-async", "respond-async"), ("wait=0", "wait=0"), ("wait=0, respond-async", "wait=0")],
)
def test_who_does_not_want_to_wait_is_answered_once_it_is_durable(
    gateway: Process, scene: Stage, prefer: str, applied: str
) -> None:
    scene.fault(at="send", do="delay", value=0.5, count=1)
    answer = gateway.post(order(f"e-async-{prefer}"), Prefer=prefer)
    assert (answer.status, answer.body["status"]) == (202, "sending")
    assert answer.headers["preference-applied"] == applied
    assert answer.headers["location"] == f"/v1/messages/{answer.body['tracking_id']}"
    eventually(lambda: gateway.message(answer.body["tracking_id"])["status"] == "delivered")


@pytest.mark.parametrize("prefer", ["wait=5", "respond-async, wait=5", 'wait="5"', "WAIT = 5; x=1"])
def test_who_wants_to_wait_hears_the_outcome(gateway: Process, scene: Stage, prefer: str) -> None:
    scene.fault(at="send", do="delay", value=0.3, count=1)
    answer = gateway.post(order(f"e-wait-{prefer}"), Prefer=prefer)
    assert (answer.status, answer.headers["preference-applied"]) == (200, "wait=5")


def test_when_patience_ends_the_message_is_told_as_it_is(gateway: Process, scene: Stage) -> None:
    scene.fault(at="send", do="delay", value=2, count=1)
    answer = gateway.post(order("e-impatient", scene.phones["never"]), Prefer="wait=1")
    assert (answer.status, answer.body["status"], answer.headers["preference-applied"]) == (
        202,
        "sending",
        "wait=1",
    )
    replay = gateway.post(order("e-impatient", scene.phones["never"]))
    assert (replay.status, replay.headers["idempotency-replayed"]) == (200, "true"), (
        "a replay waits for the outcome"
    )


def test_a_retry_inside_the_time_to_wait_is_waited_for(gateway: Process, scene: Stage) -> None:
    answer = gateway.post(order("e-retried", scene.phones["once:-100"]))
    assert (answer.status, answer.body["status"], answer.body["attempts"]) == (200, "sent", 2)


def test_what_may_have_been_sent_is_unknown_until_the_receipt_tells(gateway: Process, scene: Stage) -> None:
    answer = gateway.post(order("e-cut", scene.phones["cut"]))
    assert (answer.status, answer.body["status"], answer.body["settled"]) == (202, "unknown", True)
    tracking_id = answer.body["tracking_id"]
    eventually(lambda: gateway.message(tracking_id)["status"] == "delivered")
    assert len(scene.sent(tracking_id)) == 1


def test_preview_shows_what_would_be_sent_masked_and_sends_nothing(gateway: Process, scene: Stage) -> None:
    before = len(scene.ledger()["messages"])
    otp = {"id": "p-1", "type": "auth.otp", "data": {"otp": "482913", "phone": "0912345678"}}
    shown = gateway.ask("POST", "/v1/events/preview", otp, "test-key-checkout")
    assert shown.status == 200
    assert shown.body == {
        "template_id": "310001",
        "account": "main",
        "phone": "84*****5678",
        "template_data": {"otp": "*****"},
        "mapping": "auth.otp",
        "faults": [],
    }
    assert len(scene.ledger()["messages"]) == before
    assert "idempotency-replayed" not in gateway.post(otp).headers


def test_preview_fills_what_can_be_filled_and_says_what_cannot(gateway: Process) -> None:
    event = order("p-2", phone="12")
    del event["data"]["total"]
    shown = gateway.ask("POST", "/v1/events/preview", event, "test-key-checkout").body
    assert (shown["template_id"], shown["phone"]) == ("7895417a7d3f9461cd2e", None)
    assert shown["template_data"]["order_id"] == "DH-1001"
    assert {(fault["code"], fault["pointer"]) for fault in shown["faults"]} == {
        ("mapping-failed", "/data/total"),
        ("invalid-phone", "/data/customer/phone"),
    }


def test_preview_of_a_skipped_event_has_no_template_and_no_faults(gateway: Process) -> None:
    shown = gateway.ask("POST", "/v1/events/preview", shipping("p-3", "sorting"), "test-key-checkout").body
    assert (shown["template_id"], shown["template_data"], shown["faults"]) == (None, {}, [])
