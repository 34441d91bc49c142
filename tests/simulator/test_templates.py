from typing import Any

import pytest

from gateway.simulator.catalogue import ORDINARY, SPECIAL, SPECIAL_NOTES, catalogue
from gateway.simulator.templates import refusal_of_data

PAID = "7895417a7d3f9461cd2e"


def limits_of(template_id: str) -> dict[str, int]:
    return {param.name: param.max_length for param in catalogue()[template_id].params}


def test_the_templates_that_the_shipped_mappings_need_are_there() -> None:
    assert limits_of(PAID) == {
        "customer_name": 30,
        "order_id": 30,
        "total": 20,
        "paid_at": 20,
        "payment_method": 30,
    }
    assert limits_of("310001") == {"otp": 10}
    assert catalogue()["310001"].timeout_ms == 15_000
    assert limits_of("310002") == {"customer_name": 30, "order_id": 30, "status": 30, "shipper_name": 30}
    assert limits_of("310003") == {
        "customer_name": 30,
        "booking_code": 30,
        "schedule_date": 20,
        "schedule_time": 20,
        "address": 80,
    }
    assert limits_of("310004") == {
        "contract_number": 30,
        "price": 20,
        "transfer_amount": 12,
        "bank_transfer_note": 90,
    }
    assert limits_of("310005") == {
        "ky": 10,
        "thang": 10,
        "start_date": 20,
        "end_date": 20,
        "customer": 30,
        "cid": 30,
        "address": 200,
        "amount": 20,
        "total": 20,
    }


def test_every_template_takes_its_own_sample() -> None:
    for template in (*ORDINARY, *SPECIAL):
        assert refusal_of_data(template, template.sample_data()) is None
    assert set(SPECIAL_NOTES) == {template.template_id for template in SPECIAL}


@pytest.mark.parametrize(
    ("template_id", "change", "error"),
    [
        (PAID, {"customer_name": "x" * 30}, None),
        (PAID, {"customer_name": "x" * 31}, -1121),
        (PAID, {"payment_method": ""}, None),
        (PAID, {"payment_method": None}, None),
        (PAID, {"customer_name": ""}, -1122),
        (PAID, {"customer_name": None}, -1122),
        (PAID, {"coupon": "x"}, -112),
        (PAID, {"total": True}, -112),
        (PAID, {"total": ["x"]}, -112),
        (PAID, {"total": 1_250_000}, None),
        ("310003", {"schedule_date": "25/11/2026"}, None),
        ("310003", {"schedule_date": "08:00 25/11/2026"}, None),
        ("310003", {"schedule_date": "2026-11-25"}, -1124),
        ("310004", {"transfer_amount": "1500000"}, None),
        ("310004", {"transfer_amount": "1.500.000"}, -1124),
        ("310004", {"transfer_amount": "0"}, -1124),
        ("310004", {"bank_transfer_note": "HD-2026"}, -1124),
    ],
)
def test_data_is_judged_by_the_template(template_id: str, change: dict[str, Any], error: int | None) -> None:
    template = catalogue()[template_id]
    refusal = refusal_of_data(template, {**template.sample_data(), **change})
    assert (refusal.error if refusal else None) == error


def test_a_missing_parameter_is_named() -> None:
    template = catalogue()[PAID]
    data = template.sample_data()
    del data["payment_method"]
    assert refusal_of_data(template, data) is None
    del data["order_id"]
    refusal = refusal_of_data(template, data)
    assert refusal is not None
    assert (refusal.error, refusal.message) == (-1122, "template data order_id is missing")
