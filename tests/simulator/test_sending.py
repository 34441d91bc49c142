import hashlib
import hmac
import re
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gateway.simulator.phones import PHONES, Fate, hash_of
from gateway.simulator.zalo import APP_SECRET

from .stage import Scene


def test_a_send_is_answered_in_zalos_types(scene: Scene) -> None:
    answer = scene.send(tracking_id="t-9")
    assert list(answer) == ["error", "message", "data"]
    assert (answer["error"], answer["message"]) == (0, "Success")
    data = answer["data"]
    assert re.fullmatch("[0-9a-f]{20}", data["msg_id"])
    assert re.fullmatch("[0-9]{13}", data["sent_time"])
    assert data["sending_mode"] == "1"
    assert data["quota"] == {"dailyQuota": "5000000", "remainingQuota": "4999999"}


def test_one_tracking_id_sent_twice_is_two_messages(scene: Scene) -> None:
    first, second = scene.send(), scene.send()
    assert first["data"]["msg_id"] != second["data"]["msg_id"]
    assert len(scene.zalo.ledger.messages) == 2


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"headers": {}}, -124),
        ({"headers": {"access_token": "nobody's"}}, -124),
        ({"raw": b""}, -121),
        ({"raw": b" \n"}, -121),
        ({"raw": b'{"phone": "84912345678",}'}, -122),
        ({"raw": b"[]"}, -122),
        ({"raw": b"\xff\xfe"}, -122),
        ({"raw": b"[" * 90_000}, -122),
        ({"raw": b'{"phone":' + b"1" * 5000 + b"}"}, -122),
        ({"raw": b'{"a":"' + b"x" * 100_000 + b'"}'}, -130),
        ({"phone": "0912345678"}, -108),
        ({"phone": "912345678"}, -108),
        ({"phone": "8491234567"}, -108),
        ({"phone": "84212345678"}, -108),
        ({"phone": "84912345678\n"}, -108),
        ({"phone": 84912345678}, -108),
        ({"phone": None}, -108),
        ({"template_id": "999999"}, -109),
        ({"template_id": None}, -109),
        ({"template_id": ["310001"]}, -109),
        ({"template_data": None}, -111),
        ({"template_data": {}}, -111),
        ({"template_data": "otp"}, -112),
        ({"template_data": {"otp": "12345678901"}}, -1121),
        ({"template_data": {"top": "1"}}, -1122),
        ({"template_data": {"otp": "1", "more": "2"}}, -112),
        ({"template_id": "320001"}, -131),
        ({"template_id": "320002"}, -131),
        ({"template_id": "320005"}, -146),
        ({"template_id": "320007"}, -131),
        ({"template_id": "320004"}, -140),
        ({"sending_mode": "2"}, -161),
        ({"sending_mode": "3"}, -162),
        ({"mode": "test"}, -132),
        ({"mode": "development"}, -127),
        ({"tracking_id": 12}, -132),
    ],
)
def test_what_is_wrong_gets_its_number_and_is_not_accepted(
    scene: Scene, changes: dict[str, Any], error: int
) -> None:
    answer = scene.send(**changes)
    assert answer["error"] == error
    assert answer["message"]
    assert set(answer) == {"error", "message"}
    assert not scene.zalo.ledger.messages
    assert scene.zalo.quotas.remaining(scene.zalo.clock.wall(), scene.zalo.rules) == 5_000_000


@pytest.mark.parametrize(
    "changes",
    [
        {"phone": "+84912345678"},
        {"template_id": 310001},
        {"tracking_id": None},
        {"tracking_id": "x" * 100},
        {"sending_mode": "1"},
        {"mode": "production"},
        {"headers": None},
    ],
)
def test_what_zalo_tolerates_is_accepted(scene: Scene, changes: dict[str, Any]) -> None:
    assert scene.send(**changes)["error"] == 0


@pytest.mark.parametrize("name", ["access_token", "Access-Token", "ACCESS_TOKEN", "access-token"])
def test_the_access_token_comes_in_any_spelling_of_its_header(scene: Scene, name: str) -> None:
    assert scene.send(headers={name: scene.token})["error"] == 0


def test_every_error_number_is_refused_with_its_error(scene: Scene) -> None:
    for phone, plan in PHONES.items():
        if plan.fate is Fate.ERROR:
            assert scene.send(phone)["error"] == plan.error
    assert not scene.zalo.ledger.messages


def test_a_number_that_fails_once_is_delivered_the_second_time(scene: Scene) -> None:
    phone = "84900000020"
    assert [scene.send(phone, tracking_id=each)["error"] for each in "aab"] == [-100, 0, -100]


def test_a_hashed_send_has_the_fate_of_its_number(scene: Scene) -> None:
    assert scene.send(hash_of("84912345678"), is_hashed=True)["error"] == 0
    assert scene.send(hash_of("84900000118"), is_hashed=True)["error"] == -118
    assert scene.send("84912345678", is_hashed=True)["error"] == -108
    assert next(iter(scene.zalo.ledger.messages.values())).phone == hash_of("84912345678")


def test_a_proof_must_be_right_if_there_is_one_or_the_rules_want_one(scene: Scene) -> None:
    right = hmac.new(APP_SECRET.encode(), scene.token.encode(), hashlib.sha256).hexdigest()
    token = {"access_token": scene.token}
    assert scene.send(headers={**token, "appsecret_proof": right})["error"] == 0
    assert scene.send(headers={**token, "appsecret_proof": "0" * 64})["error"] == -1241
    scene.zalo.change_rules(msgspec.structs.replace(scene.zalo.rules, appsecret_proof="required"))
    assert scene.send(headers=token)["error"] == -1241


def test_development_mode_is_for_admins_and_tells_no_quota(scene: Scene) -> None:
    admin = scene.credentials["admins"][0]
    assert set(scene.send(admin, mode="development")["data"]) == {"msg_id", "sent_time"}
    assert scene.send(admin, template_id="320001", mode="development")["error"] == 0
    assert scene.zalo.quotas.remaining(scene.zalo.clock.wall(), scene.zalo.rules) == 5_000_000
    scene.zalo.change_rules(msgspec.structs.replace(scene.zalo.rules, development_messages=2))
    assert scene.send(admin, mode="development")["error"] == -126


def test_the_oas_quota_ends_and_comes_back_at_midnight_in_vietnam(scene: Scene) -> None:
    scene.zalo.change_rules(msgspec.structs.replace(scene.zalo.rules, daily_quota=2))
    answers = [scene.send() for _ in range(3)]
    assert [each["error"] for each in answers] == [0, 0, -144]
    assert answers[1]["data"]["quota"] == {"dailyQuota": "2", "remainingQuota": "0"}
    scene.hands.move(timedelta(hours=12).total_seconds())
    assert scene.send()["error"] == 0


def test_a_template_has_its_own_quota(scene: Scene) -> None:
    assert [scene.send(template_id="320006")["error"] for _ in range(6)] == [0, 0, 0, 0, 0, -147]
    assert scene.send()["error"] == 0


def test_a_night_limited_template_goes_out_by_day_only(scene: Scene) -> None:
    assert scene.send(template_id="320003")["error"] == 0
    scene.hands.move(timedelta(hours=10).total_seconds())
    assert scene.send(template_id="320003")["error"] == -133
    assert scene.send()["error"] == 0
    scene.zalo.change_rules(msgspec.structs.replace(scene.zalo.rules, night="never"))
    assert scene.send(template_id="320003")["error"] == 0


def test_a_promotion_needs_an_earlier_message_and_goes_once_a_day(scene: Scene) -> None:
    assert scene.send(template_id="320004")["error"] == -140
    scene.send()
    assert scene.send(template_id="320004")["error"] == 0
    assert scene.send(template_id="320004")["error"] == -1472
    scene.zalo.change_rules(msgspec.structs.replace(scene.zalo.rules, monthly_promotion_quota=1))
    scene.hands.move(timedelta(days=1).total_seconds())
    assert scene.send(template_id="320004")["error"] == -1441
    assert scene.send(template_id="320004", sending_mode="3")["error"] == -161
    scene.zalo.change_rules(msgspec.structs.replace(scene.zalo.rules, over_quota=True))
    assert scene.send(template_id="320004", sending_mode="3")["data"]["sending_mode"] == "3"


def test_the_money_ends_until_there_is_more(scene: Scene) -> None:
    scene.zalo.change_rules(msgspec.structs.replace(scene.zalo.rules, balance=600))
    assert [scene.send()["error"] for _ in range(3)] == [0, 0, -115]
    scene.zalo.change_rules(msgspec.structs.replace(scene.zalo.rules, balance=300))
    assert scene.send()["error"] == 0
