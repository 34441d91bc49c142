"""Sending and asking as two SDKs of other people's do it, unchanged: they take the simulator for Zalo."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from zalo_sdk import ZaloException, ZaloOAAuthTokenExpiredException, ZaloOAException, oa, zns
from zalosdk import Endpoint, ErrorCode, ZNSMessage, ZNSTplListRequest, ZNSTplStatus

from tests.system.stage import Process, eventually

from .hosts import OA, Hosts
from .sdks import OTP, PHONE, checked, refused

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("company")]

NEWER_THAN_THE_SDK = {-1131, -1381, -1472, -161, -162, -999}
"""-999 is nobody's: it stands for a number that Zalo has yet to invent."""


def is_send_answer(answer: Any) -> bool:
    data = answer["data"]
    texts = [data["msg_id"], data["sent_time"], data["sending_mode"], *data["quota"].values()]
    return (
        type(answer["error"]) is int
        and answer["message"] == "Success"
        and set(data["quota"]) == {"dailyQuota", "remainingQuota"}
        and all(isinstance(text, str) for text in texts)
        and re.fullmatch(r"[0-9a-f]{20} \d{13} 1", " ".join(texts[:3])) is not None
    )


def test_a_message_is_sent(client: Any, other: Any, simulator: Process) -> None:
    assert is_send_answer(client.send_zns_message(PHONE, "310001", OTP, tracking_id="sdk-1"))
    assert is_send_answer(client.send_zns_message(f"+{PHONE}", "310001", OTP))
    assert is_send_answer(other.send_message(asdict(ZNSMessage(PHONE, "310001", OTP, "sdk-2"))))
    assert is_send_answer(other.send_message(asdict(ZNSMessage(PHONE, "310001", OTP))))
    for tracking_id in ("sdk-1", "sdk-2"):
        (message,) = simulator.ask("GET", f"/__sim/ledger?tracking_id={tracking_id}").body["messages"]
        assert (message["phone"], message["template_id"]) == (PHONE, "310001")


def test_vietnamese_arrives_as_it_was_written(client: Any, zalo: Any) -> None:
    samples = {each["template_id"]: each["sample_data"] for each in zalo["templates"]}
    for template_id, sample in samples.items():
        assert client.send_zns_message(PHONE, template_id, sample)["error"] == 0
    letters = {**samples["7895417a7d3f9461cd2e"], "customer_name": "ễ" * 30}
    assert client.send_zns_message(PHONE, "7895417a7d3f9461cd2e", letters)["error"] == 0
    with refused(-1121):
        client.send_zns_message(PHONE, "7895417a7d3f9461cd2e", {**letters, "customer_name": "ễ" * 31})


def test_development_mode_is_for_admins_and_tells_no_quota(client: Any, zalo: Any) -> None:
    told = client.send_zns_message(zalo["admins"][0], "310001", OTP, dev_mode=True)
    assert set(told["data"]) == {"msg_id", "sent_time"}
    with refused(-127):
        client.send_zns_message(PHONE, "310001", OTP, dev_mode=True)


def test_a_hashed_send(client: Any, simulator: Process) -> None:
    def send(phone: str, tracking_id: str) -> Any:
        body = {
            "hash_phone": hashlib.sha256(phone.encode()).hexdigest(),
            "template_id": "310001",
            "template_data": OTP,
            "tracking_id": tracking_id,
        }
        return checked(client, "POST", Endpoint.message_send(is_hash_phone=True), body)

    assert is_send_answer(send(PHONE, "sdk-hash"))
    with refused(-118):
        send("84900000118", "sdk-hash-refused")


def test_every_error_of_a_send_is_the_sdks_own_and_has_its_number_in_the_other_sdks_table(
    client: Any, other: Any, zalo: Any
) -> None:
    known = {int(code) for code in ErrorCode}
    fates = {phone: int(fate[6:]) for phone, fate in zalo["phones"].items() if fate.startswith("error:")}
    assert len(fates) > 50
    assert set(fates.values()) - known == NEWER_THAN_THE_SDK
    for phone, error in fates.items():
        with refused(error, ZaloOAAuthTokenExpiredException if error == -124 else ZaloException):
            client.send_zns_message(phone, "310001", OTP)
        answer = other.send_message(asdict(ZNSMessage(phone, "310001", OTP)))
        assert set(answer) == {"error", "message"}
        assert type(answer["error"]) is int
        assert answer["error"] == error


def test_a_token_that_is_not_right_asks_for_a_refresh(client: Any, other: Any) -> None:
    client.access_token = "nobodys"
    with refused(-124, ZaloOAAuthTokenExpiredException):
        client.send_zns_message(PHONE, "310001", OTP)
    with refused(-124, ZaloOAAuthTokenExpiredException):
        client.get_template_list(0, 10)
    other.access_token.access_token = "nobodys"
    for answer in (other.get_template_detail("310001"), other.get_template_list(ZNSTplListRequest())):
        assert answer["error"] == ErrorCode.ACCESS_TOKEN_INVALID
    client.refresh_acccess_token()
    assert client.get_template_list(0, 10)["error"] == 0


@pytest.mark.parametrize(
    ("template_id", "data", "error"),
    [
        ("999999", OTP, ErrorCode.TEMPLATE_ID_INVALID),
        ("310001", {}, ErrorCode.TEMPLATE_DATA_EMPTY),
        ("310001", {"otp": "12345678901"}, ErrorCode.PARAMETER_NAME_DATA_BREAKS_LENGTH),
        ("310001", {"code": "1"}, ErrorCode.TEMPLATE_DATA_MISSING_PARAMETER_NAME),
        ("320001", {"customer_name": "An"}, ErrorCode.ZNS_TEMPLATE_NOT_APPROVED),
        ("320005", {"customer_name": "An"}, ErrorCode.TEMPLATE_DISABLED_LOW_QUALITY),
    ],
)
def test_what_is_wrong_with_a_send_has_the_meaning_of_the_other_sdks_table(
    client: Any, simulator: Process, template_id: str, data: dict[str, str], error: int
) -> None:
    tracking_id = f"sdk-wrong-{template_id}-{error}"
    with refused(error):
        client.send_zns_message(PHONE, template_id, data, tracking_id=tracking_id)
    told = simulator.ask("GET", f"/__sim/ledger?tracking_id={tracking_id}").body
    assert told["messages"] == [], "nor was it taken"


def test_a_page_of_a_proxy_in_front_of_zalo_is_an_http_error(client: Any, zalo: Any) -> None:
    phones = {fate: phone for phone, fate in zalo["phones"].items()}
    with pytest.raises(Exception, match="HTTP Error 502: <html>"):
        client.send_zns_message(phones["html"], "310001", OTP)


def test_the_list_of_templates_is_paged_and_filtered(client: Any, other: Any) -> None:
    whole = client.get_template_list(0, 100)
    assert type(whole["metadata"]["total"]) is int
    assert len(whole["data"]) == whole["metadata"]["total"] > 10
    pages = [other.get_template_list(ZNSTplListRequest(offset, 10))["data"] for offset in (0, 10, 20)]
    assert [each for page in pages for each in page] == whole["data"]
    for each in whole["data"]:
        assert type(each["createdTime"]) is int
        assert isinstance(each["templateId"], int) == str(each["templateId"]).isdecimal()
        assert {type(each[name]) for name in ("templateName", "status", "templateQuality")} == {str}
    for status in list(ZNSTplStatus)[1:]:
        listed = other.get_template_list(ZNSTplListRequest(status=status))["data"]
        assert listed == [each for each in whole["data"] if ZNSTplStatus.from_name(each["status"]) is status]
        assert client.get_template_list(0, 10, zns.ZNSTemplateStatus(status.value))["data"] == listed[:10]
    with refused(-132):
        client.get_template_list(0, 101)


def test_a_template_is_told_with_its_limits(other: Any, zalo: Any) -> None:
    for each in (*zalo["templates"], *zalo["special_templates"]):
        told = other.get_template_detail(each["template_id"])
        assert (told["error"], told["message"]) == (0, "Success")
        data = told["data"]
        assert data["templateId"] == each["template_id"]
        assert ZNSTplStatus.from_name(data["status"]) is not ZNSTplStatus.UNKNOWN
        assert type(data["timeout"]) is int
        assert {type(data[name]) for name in ("price", "price_sdt", "price_uid", "previewUrl")} == {str}
        assert [param["name"] for param in data["listParams"]] == list(each["sample_data"])
        for param in data["listParams"]:
            assert {type(param[name]) for name in ("maxLength", "minLength")} == {int}
            assert {type(param[name]) for name in ("require", "acceptNull")} == {bool}
            assert param["type"] == "STRING"
            assert len(each["sample_data"][param["name"]]) <= param["maxLength"]
    assert other.get_template_detail("999999")["error"] == ErrorCode.TEMPLATE_ID_INVALID


def test_sample_data_can_be_sent(client: Any) -> None:
    sample = checked(client, "GET", f"{client.endpoint_prefix}/template/sample-data", template_id="310004")["data"]
    assert type(sample["transfer_amount"]) is int
    assert client.send_zns_message(PHONE, "310004", sample)["error"] == 0
    with refused(-109):
        checked(client, "GET", f"{client.endpoint_prefix}/template/sample-data", template_id="999999")


def test_what_became_of_a_message_can_be_asked(client: Any) -> None:
    msg_id = client.send_zns_message(PHONE, "310001", OTP)["data"]["msg_id"]

    def standing(message_id: str) -> Any:
        url = Endpoint.message_inquiry_status()
        return checked(client, "GET", url, message_id=message_id, phone=PHONE)["data"]

    told = eventually(lambda: (it := standing(msg_id))["status"] == 1 and it)
    assert type(told["status"]) is int
    assert re.fullmatch(r"\d{13}", told["delivery_time"])
    assert standing("nope")["status"] == -1


def test_the_quota_is_ints_and_goes_down(client: Any) -> None:
    before = checked(client, "GET", Endpoint.message_quota())["data"]
    client.send_zns_message(PHONE, "310001", OTP)
    after = checked(client, "GET", Endpoint.message_quota())["data"]
    assert (type(after["dailyQuota"]), type(after["remainingQuota"])) == (int, int)
    assert after["remainingQuota"] == before["remainingQuota"] - 1


def test_ratings_are_told_to_a_post_with_its_parameters_in_the_query(client: Any, simulator: Process) -> None:
    msg_id = client.send_zns_message(PHONE, "310002", shipping(), tracking_id="sdk-rated")["data"]["msg_id"]
    rated = {"event": "rating", "rate": 4, "msg_id": msg_id, "note": "Tốt", "feedbacks": ["Vui vẻ"]}
    assert simulator.ask("POST", "/__sim/events", rated).status == 200
    query = {"template_id": "310002", "from_time": 0, "to_time": 10**14, "offset": 0, "limit": 10}
    told = checked(client, "POST", f"{client.endpoint_prefix}/rating/get", **query)["data"]
    (rating,) = [each for each in told["data"] if each["trackingId"] == "sdk-rated"]
    assert type(told["total"]) is int
    assert (rating["msgId"], rating["rate"], rating["note"], rating["feedbacks"]) == (msg_id, 4, "Tốt", ["Vui vẻ"])
    assert re.fullmatch(r"\d{13}", rating["submitDate"])


def shipping() -> dict[str, str]:
    return {"customer_name": "An", "order_id": "DH-1", "status": "Đang giao"}


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get_profile("1"),
        lambda client: client.get_tags_of_oa(),
        lambda client: client.send_message(oa.ZaloRecipient(user_id="1"), oa.ZaloMessageBody("xin chào")),
    ],
)
def test_what_is_not_played_is_an_empty_api(zalo: Any, hosts: Hosts, call: Callable[[Any], Any]) -> None:
    client = oa.Client(zalo["app_id"], zalo["app_secret"], zalo["grant"]["access_token"])
    with refused(404, ZaloOAException, "empty api"):
        call(client)
    assert hosts.seen == [OA]
