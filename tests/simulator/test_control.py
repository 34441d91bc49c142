import json
from typing import Any

import pytest

from gateway.simulator import business, control, routes
from gateway.simulator.exchange import Asked, Told

from .stage import Scene, json_of


def call(scene: Scene, method: str, path: str, body: Any = None, query: str = "") -> Told:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return control.answer(scene.zalo, Asked(method, f"/__sim/{path}", [], query.encode(), raw))


def told(scene: Scene, method: str, path: str, body: Any = None) -> dict[str, Any]:
    answer = call(scene, method, path, body)
    assert answer.status == 200, answer.body
    return json_of(answer)


def test_credentials_have_the_contracts_shape_and_a_fresh_grant_each_time(scene: Scene) -> None:
    first, second = told(scene, "GET", "credentials"), told(scene, "GET", "credentials")
    assert {"app_id", "app_secret", "oa_id", "oa_secret", "grant", "templates", "phones"} <= set(first)
    assert set(first["grant"]) == {"access_token", "refresh_token", "expires_in"}
    assert not set(first["grant"].values()) & {
        second["grant"]["access_token"],
        second["grant"]["refresh_token"],
    }
    assert first["templates"][0]["template_id"] == "7895417a7d3f9461cd2e"
    for template in first["templates"]:
        answer = scene.send(template_id=template["template_id"], template_data=template["sample_data"])
        assert answer["error"] == 0


def test_the_special_templates_answer_what_their_notes_say(scene: Scene) -> None:
    for template in told(scene, "GET", "credentials")["special_templates"]:
        answer = scene.send(template_id=template["template_id"], template_data=template["sample_data"])
        assert answer["error"] == 0 or str(answer["error"]) in template["note"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("faults", {"at": "moon", "do": "cut"}, "at"),
        ("faults", {"do": "cut"}, "at"),
        ("faults", {"at": "send", "do": "explode"}, "do"),
        ("faults", {"at": "send", "do": "drop"}, "do"),
        ("faults", {"at": "send", "do": "delay", "value": "long"}, "value"),
        ("faults", {"at": "send", "do": "cut", "count": 0}, "count"),
        ("faults", {"at": "send", "do": "cut", "p": 2}, "p"),
        ("faults", {"at": "send", "do": "cut", "seed": "x"}, "seed"),
        ("faults", {"at": "send", "do": "cut", "often": 1}, "often"),
        ("faults", [], None),
        ("faults", b"{", None),
        ("faults", b"", None),
        ("clock", {"scale": 0}, "scale"),
        ("clock", {"scale": "fast"}, "scale"),
        ("clock", {}, "scale"),
        ("webhook", {"url": "ftp://x/"}, "url"),
        ("webhook", {"url": "nowhere"}, "url"),
        ("webhook", {"url": "http://x:99999/"}, "url"),
        ("webhook", {}, "url"),
        ("rules", {"daily_quota": -1}, "daily_quota"),
        ("rules", {"weather": 1}, "weather"),
        ("rules", {"night": "dark"}, "night"),
        ("expire", {"what": "all that"}, "what"),
        ("events", {"event": "template_status", "template_id": "1", "new_status": "ENABLE"}, "template_id"),
        ("events", {"event": "rating", "rate": 5, "tracking_id": "nobody's"}, "tracking_id"),
    ],
)
def test_a_body_that_does_not_fit_is_400_and_names_the_member(
    scene: Scene, path: str, body: Any, field: str | None
) -> None:
    answer = call(scene, "POST", path, body)
    assert answer.status == 400
    assert json_of(answer)["field"] == field
    assert json_of(answer)["detail"]


def test_unknown_calls_and_methods_are_told_apart(scene: Scene) -> None:
    assert call(scene, "GET", "moon").status == 404
    assert call(scene, "PUT", "faults").status == 405
    assert routes.unknown(scene.zalo, Asked("GET", "/__sim/moon", [], b"", b"")).status == 404


def test_faults_are_set_shown_and_cleared(scene: Scene) -> None:
    told(scene, "POST", "faults", {"at": "send", "do": "error", "value": -118, "count": 1})
    assert told(scene, "GET", "faults")["faults"][0]["left"] == 1
    assert scene.send()["error"] == -118
    assert told(scene, "GET", "faults")["faults"][0]["left"] == 0
    assert told(scene, "DELETE", "faults") == {"faults": []}


def test_rules_change_one_by_one(scene: Scene) -> None:
    assert told(scene, "POST", "rules", {"daily_quota": 7})["daily_quota"] == 7
    rules = told(scene, "POST", "rules", {"night": "always"})
    assert (rules["daily_quota"], rules["night"]) == (7, "always")
    assert scene.send(template_id="320003")["error"] == -133


def test_all_access_tokens_can_expire_at_once(scene: Scene) -> None:
    told(scene, "GET", "credentials")
    assert told(scene, "POST", "expire") == {"what": "access", "expired": 2}
    assert scene.send()["error"] == -124
    assert told(scene, "POST", "expire", {"what": "all"})["expired"] == 2


def test_a_template_changes_and_the_event_tells(scene: Scene) -> None:
    body = {"event": "template_status", "template_id": "310001", "new_status": "DISABLE", "reason": "xấu"}
    event = json.loads(told(scene, "POST", "events", body)["body"])
    assert event["event_name"] == "change_template_status"
    assert event["status"] == {"prev_status": "ENABLE", "new_status": "DISABLE"}
    assert scene.send()["error"] == -131
    told(scene, "POST", "events", {"event": "template_quality", "template_id": "310001", "quality": "LOW"})
    assert scene.send()["error"] == -146


def test_the_quota_changes_and_the_event_tells_in_camel_case(scene: Scene) -> None:
    event = json.loads(told(scene, "POST", "events", {"event": "daily_quota", "value": 1000})["body"])
    assert event["oaId"] == scene.credentials["oa_id"]
    assert event["quota"] == {"prev_value": 5_000_000, "new_value": 1000}
    assert scene.send()["data"]["quota"]["dailyQuota"] == "1000"


def test_a_rating_is_told_and_can_be_asked_for(scene: Scene) -> None:
    msg_id = scene.send(tracking_id="t-7")["data"]["msg_id"]
    body = {"event": "rating", "tracking_id": "t-7", "rate": 5, "note": "tốt", "feedbacks": ["nhanh"]}
    event = json.loads(told(scene, "POST", "events", body)["body"])
    assert event["event_name"] == "user_feedback"
    assert event["message"]["msg_id"] == msg_id
    query = "template_id=310001&from_time=0&to_time=9999999999999&offset=0&limit=10"
    answer = json_of(business.rating(scene.zalo, scene.asked(query=query)))
    assert answer["data"]["total"] == 1
    shown = answer["data"]["data"][0]
    assert (shown["rate"], shown["trackingId"], shown["feedbacks"]) == (5, "t-7", ["nhanh"])
    assert json_of(business.rating(scene.zalo, scene.asked(query="template_id=1")))["error"] == -109
    assert json_of(business.rating(scene.zalo, scene.asked(query="template_id=310001")))["error"] == -132


def test_the_other_events_are_signed_but_for_the_probe(scene: Scene) -> None:
    scene.send(tracking_id="t-7")
    for body in (
        {"event": "button", "tracking_id": "t-7", "data": "yes"},
        {"event": "test"},
        {"event": "raw", "members": {"event_name": "oa_send_template"}},
        {"event": "probe"},
    ):
        told(scene, "POST", "events", body)
    events = scene.zalo.deliveries.due()
    assert [event.event_name for event in events] == [
        "user_click_response_button",
        "user_send_text",
        "oa_send_template",
        "",
    ]
    assert [event.signature is None for event in events] == [False, False, False, True]
    assert events[-1].body == b"{}"
