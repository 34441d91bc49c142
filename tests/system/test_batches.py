"""Batches over real HTTP: each event decided on its own, all accepted ones durable before the answer."""

import json
from collections import Counter
from functools import partial
from typing import Any

import pytest

from gateway.dispatch import MAX_AT_ONCE
from tests.system.stage import KEYS, Answer, Process, Stage, eventually, order, problem

BATCH = "application/cloudevents-batch+json"
STRUCTURED = "application/cloudevents+json"


def whole(event_id: str, **changes: Any) -> dict[str, Any]:
    return order(event_id, **{"specversion": "1.0", **changes})


def batch(gateway: Process, events: Any, caller: str = "checkout", **headers: str) -> Answer:
    return gateway.post(events, caller, Content_Type=BATCH, **headers)


def test_each_event_of_a_batch_is_decided_on_its_own_in_the_order_given(gateway: Process, scene: Stage) -> None:
    good, skipped = whole("b-1"), whole("b-2", type="shipping.updated")
    skipped["data"] = {"status": "elsewhere"}
    no_phone = whole("b-3")
    no_phone["data"]["customer"]["phone"] = "0123"
    events = [
        good,
        {**whole("b-4"), "specversion": "0.3"},
        whole("b-5", type="unmapped.type"),
        whole("b-6", type="bill.issued"),
        no_phone,
        whole("b-1"),
        whole("b-1", data={**good["data"], "total": 1}),
        "no event",
        whole("b-7"),
    ]
    answer = batch(gateway, events)
    assert answer.status == 202
    results = answer.body["results"]
    assert [it["http"] for it in results] == [202, 400, 422, 403, 422, 202, 422, 400, 202]
    codes = [it["problem"]["code"] for it in results if "problem" in it]
    assert codes == [
        "malformed-event",
        "unmapped-event",
        "forbidden-event-type",
        "invalid-phone",
        "idempotency-conflict",
        "malformed-event",
    ]
    assert [it["replayed"] for it in results if "message" in it] == [False, True, False]
    assert results[5]["message"]["tracking_id"] == results[0]["message"]["tracking_id"]
    for result, event in zip(results, events, strict=True):
        if "problem" in result:
            assert result["problem"]["status"] == result["http"]
            alone = gateway.post(event, Content_Type=STRUCTURED)
            assert alone.body == result["problem"]
    for result in (results[0], results[8]):
        tracking_id = result["message"]["tracking_id"]
        eventually(partial(is_delivered, gateway, tracking_id))
        assert len(scene.sent(tracking_id)) == 1


def is_delivered(gateway: Process, tracking_id: str) -> bool:
    return bool(gateway.message(tracking_id)["status"] == "delivered")


def test_a_batch_never_waits_for_zalo(gateway: Process, scene: Stage) -> None:
    scene.fault(at="send", do="silence", count=2)
    try:
        answer = batch(gateway, [whole("w-1"), whole("w-2")], Prefer="wait=60, respond-async")
        assert [it["message"]["status"] for it in answer.body["results"]] == ["sending", "sending"]
        answer = batch(gateway, [whole("w-1")], Prefer="respond-async")
        assert answer.headers["preference-applied"] == "respond-async"
        assert [(it["http"], it["replayed"]) for it in answer.body["results"]] == [(202, True)]
    finally:
        scene.simulator.ask("DELETE", "/__sim/faults")


def test_a_replayed_event_that_zalo_refused_is_a_problem_with_its_message(gateway: Process, scene: Stage) -> None:
    refused = gateway.post(whole("w-3", phone=scene.phones["error:-118"]))
    (result,) = batch(gateway, [whole("w-3", phone=scene.phones["error:-118"])]).body["results"]
    assert (result["http"], result["problem"]) == (422, refused.body)


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"[]", {}, 400, "malformed-event"),
        (b" [ ] ", {}, 400, "malformed-event"),
        (b"", {}, 400, "malformed-event"),
        (b"{}", {}, 400, "malformed-event"),
        (b"[{}", {}, 400, "malformed-event"),
        (b"[{}] []", {}, 400, "malformed-event"),
        (b"[\xff]", {}, 400, "malformed-event"),
        (b"[" * 200_000, {}, 400, "malformed-event"),
        (b"[{}]", {"Idempotency_Key": "one"}, 400, "malformed-event"),
        (b"[" + b"{}," * 1000 + b"{}]", {}, 413, "too-large"),
        (b"[" + b" " * (8 << 20) + b"]", {}, 413, "too-large"),
    ],
    ids=lambda part: repr(part[:12]) if isinstance(part, bytes) else None,
)
def test_what_is_no_batch_is_refused_as_a_whole(
    gateway: Process, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    refused = problem(batch(gateway, body, **headers), status, code)
    assert refused.get("errors", []) or status == 413


def test_json_that_is_refused_in_one_event_spoils_no_other(gateway: Process) -> None:
    good = json.dumps(whole("j-1")).encode()
    bad = [
        b'{"a":1,"a":2}',
        b'{"n":NaN}',
        b'{"n":' + b"9" * 400 + b"}",
        b'{"s":"\\ud800"}',
        b"[" * 65 + b"]" * 65,
        b"[" * 5000 + b"]" * 5000,
    ]
    long = json.dumps(whole("j-2", note="x" * (256 << 10))).encode()
    answer = batch(gateway, b"[" + b",".join([*bad, long, good]) + b"]")
    assert [it["http"] for it in answer.body["results"]] == [400] * 6 + [413, 202]


# -- many --


def test_a_thousand_events_in_one_request_are_each_sent_once(stage: Stage) -> None:
    with stage.serving() as gateway:
        events = [whole(f"k-{number}") for number in range(1000)]
        answer = batch(gateway, events)
        results = answer.body["results"]
        assert [it["message"]["event"]["id"] for it in results] == [event["id"] for event in events]
        again = batch(gateway, events).body["results"]
        assert all(it["replayed"] for it in again)
        ids = {it["message"]["tracking_id"] for it in results}
        eventually(lambda: set(gateway.statuses().values()) <= {"sent", "delivered"}, 60)
        told = Counter(it["tracking_id"] for it in stage.ledger()["messages"])
        assert {told[it] for it in ids} == {1}


def test_what_a_batch_was_answered_outlives_the_process(stage: Stage) -> None:
    stage.import_grant("--replace")
    gateway = stage.serve()
    results = batch(gateway, [whole(f"d-{number}") for number in range(1000)]).body["results"]
    gateway.kill()
    ids = {it["message"]["tracking_id"] for it in results}
    with stage.serving(has_grant=False) as gateway:
        eventually(lambda: not {"queued", "sending"} & set(gateway.statuses().values()), 60)
        statuses = gateway.statuses()
        assert ids <= statuses.keys()
        told = Counter(it["tracking_id"] for it in stage.ledger()["messages"])
        assert max(told[it] for it in ids) == 1
        # What may have left is unknown; most of a large batch had only been queued.
        assert Counter(statuses[it] for it in ids)["unknown"] <= MAX_AT_ONCE


def test_a_batch_fills_the_queue_to_its_limit_and_no_further(stage: Stage) -> None:
    stage.write_config(delivery="max_queued = 5")
    with stage.serving(has_grant=False) as gateway:  # without a grant everything waits
        results = batch(gateway, [whole(f"q-{number}") for number in range(20)]).body["results"]
        assert [it["http"] for it in results] == [202] * 5 + [429] * 15
        refused = results[-1]["problem"]
        assert (refused["code"], refused["retryable"]) == ("too-many-requests", True)
        assert gateway.ask("GET", "/v1/messages", key=KEYS["platform"]).body["items"][5:] == []


def test_each_event_of_a_batch_takes_its_share_of_the_callers_limit(stage: Stage) -> None:
    text = stage.config.read_text().replace("[callers.checkout]", "[callers.checkout]\nmax_per_second = 3")
    stage.config.write_text(text)
    with stage.serving() as gateway:
        results = batch(gateway, [whole(f"r-{number}") for number in range(10)]).body["results"]
        taken = Counter(it["http"] for it in results)
        assert taken[202] in (3, 4)
        assert taken[202] + taken[429] == 10
        problem(gateway.post(whole("r-10")), 429, "too-many-requests")
