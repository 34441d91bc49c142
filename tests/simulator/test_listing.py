from typing import Any

import pytest

from gateway.simulator import routes
from gateway.simulator.exchange import Asked

from .stage import Scene, json_of


def get(scene: Scene, path: str, query: str = "", method: str = "GET") -> dict[str, Any]:
    headers = [(b"access_token", scene.token.encode())]
    return json_of(routes.endpoints(scene.zalo)[path](Asked(method, path, headers, query.encode(), b"")))


def test_status_says_pushed_then_delivered_and_knows_no_other(scene: Scene) -> None:
    msg_id = scene.send()["data"]["msg_id"]
    query = f"message_id={msg_id}&phone=84912345678"
    assert get(scene, "/message/status", query)["data"]["status"] == 0
    scene.hands.move(0.5)
    scene.zalo.deliveries.due()
    told = get(scene, "/message/status", query)
    assert told == {
        "message": "Success",
        "data": {
            "delivery_time": "1795410000500",
            "message": "The message was delivered to the user's phone",
            "status": 1,
        },
        "error": 0,
    }
    assert get(scene, "/message/status", "message_id=nope")["data"]["status"] == -1
    assert get(scene, "/message/status")["error"] == -107


def test_the_quota_is_told_in_ints(scene: Scene) -> None:
    scene.send()
    told = get(scene, "/message/quota")
    assert told["message"] == "success"
    assert told["data"] == {
        "dailyQuota": 5_000_000,
        "remainingQuota": 4_999_999,
        "dailyQuotaPromotion": None,
        "remainingQuotaPromotion": None,
        "monthlyPromotionQuota": 10_000,
        "remainingMonthlyPromotionQuota": 10_000,
        "estimatedNextMonthPromotionQuota": 10_000,
    }


def test_templates_are_listed_in_pages_with_int_ids(scene: Scene) -> None:
    told = get(scene, "/template/all", "offset=1&limit=2&filterPreset=0")
    assert [each["templateId"] for each in told["data"]] == [310001, 310002]
    assert told["metadata"] == {"total": 13}
    assert isinstance(told["data"][0]["createdTime"], int)
    disabled = get(scene, "/template/all", "offset=0&limit=100&status=4")["data"]
    assert [(each["templateId"], each["status"]) for each in disabled] == [
        (320002, "DISABLE"),
        (320005, "DISABLE"),
    ]


@pytest.mark.parametrize("query", ["status=ENABLE", "status=9", "limit=101", "limit=x", "offset=-1"])
def test_a_listing_with_a_wrong_parameter_is_132(scene: Scene, query: str) -> None:
    assert get(scene, "/template/all", query)["error"] == -132


def test_a_template_is_told_in_zalos_types(scene: Scene) -> None:
    data = get(scene, "/template/info/v2", "template_id=310001")["data"]
    assert data == {
        "templateId": "310001",
        "templateName": "One-time password",
        "status": "ENABLE",
        "listParams": [
            {
                "name": "otp",
                "require": True,
                "type": "STRING",
                "maxLength": 10,
                "minLength": 0,
                "acceptNull": False,
            }
        ],
        "listButtons": [],
        "timeout": 15_000,
        "previewUrl": "https://account.zalo.solutions/znspreview/310001",
        "templateQuality": "HIGH",
        "templateTag": "TRANSACTION",
        "price": "300.0",
        "price_sdt": "300",
        "price_uid": "210",
    }
    assert get(scene, "/template/info/v2", "template_id=nope")["error"] == -109


def test_the_first_version_tells_the_templates_own_quota_too(scene: Scene) -> None:
    scene.send(template_id="320006")
    limited = get(scene, "/template/info", "template_id=320006")["data"]
    assert limited["applyTemplateQuota"] is True
    assert (limited["templateDailyQuota"], limited["templateRemainingQuota"]) == ("5", "4")
    free = get(scene, "/template/info", "template_id=310001")["data"]
    assert (free["applyTemplateQuota"], free["templateDailyQuota"]) == (False, None)


def test_the_smaller_calls_answer(scene: Scene) -> None:
    assert get(scene, "/template/sample-data", "template_id=310004")["data"]["transfer_amount"] == 1_500_000
    assert get(scene, "/message/template-tag")["data"] == ["TRANSACTION", "CUSTOMER_CARE", "PROMOTION"]
    assert get(scene, "/quality")["data"] == {"oaCurrentQuality": "HIGH", "oa7dayQuality": "HIGH"}


def test_every_call_wants_its_method_and_a_token(scene: Scene) -> None:
    for path, endpoint in routes.endpoints(scene.zalo).items():
        if path.startswith(("/__sim", "/v4")):
            continue
        method = "POST" if path.startswith(("/message/template", "/rating")) else "GET"
        if path == "/message/template-tag":
            method = "GET"
        wrong = "GET" if method == "POST" else "POST"
        assert json_of(endpoint(Asked(wrong, path, [], b"", b"")))["error"] == -106, path
        assert json_of(endpoint(Asked(method, path, [], b"", b"{}")))["error"] == -124, path
