"""The templates that the Official Account starts with."""

from typing import Final

from gateway.simulator.templates import Param, Template

_CUSTOMER: Final = Param("customer_name", 30, "Nguyễn Thị Hoàng Anh")
_ORDER: Final = Param("order_id", 30, "DH-000123")

ORDINARY: Final = (
    Template(
        template_id="7895417a7d3f9461cd2e",
        name="Order paid",
        params=(
            _CUSTOMER,
            _ORDER,
            Param("total", 20, "1.250.000đ"),
            Param("paid_at", 20, "10:30 20/11/2026"),
            Param("payment_method", 30, "Thẻ", require=False, accept_null=True),
        ),
    ),
    Template(
        template_id="310001",
        name="One-time password",
        params=(Param("otp", 10, "482913"),),
        timeout_ms=15_000,
        buttons=(),
    ),
    Template(
        template_id="310002",
        name="Shipping status",
        params=(
            _CUSTOMER,
            _ORDER,
            Param("status", 30, "Đang giao hàng"),
            Param("shipper_name", 30, "Trần Văn Bình", require=False, accept_null=True),
        ),
    ),
    Template(
        template_id="310003",
        name="Appointment reminder",
        params=(
            _CUSTOMER,
            Param("booking_code", 30, "BK-2026-0042"),
            Param("schedule_date", 20, "25/11/2026", kind="time"),
            Param("schedule_time", 20, "Sáng 8h đến 10h"),
            Param("address", 80, "182 Lê Đại Hành, Quận 11, TP. Hồ Chí Minh"),
        ),
        tag="CUSTOMER_CARE",
    ),
    Template(
        template_id="310004",
        name="Payment request",
        params=(
            Param("contract_number", 30, "HD 2026 0815"),
            Param("price", 20, "1.500.000đ"),
            Param("transfer_amount", 12, "1500000", kind="currency"),
            Param("bank_transfer_note", 90, "THANH TOAN HD 2026 0815", kind="note"),
        ),
        buttons=((11, "Thanh toán", "https://example.com/pay"),),
    ),
    Template(
        template_id="310005",
        name="Utility bill",
        params=(
            Param("ky", 10, "1"),
            Param("thang", 10, "4/2020"),
            Param("start_date", 20, "20/03/2020", kind="time"),
            Param("end_date", 20, "20/04/2020", kind="time"),
            Param("customer", 30, "Nguyễn Thị Hoàng Anh"),
            Param("cid", 30, "PE010299485"),
            Param("address", 200, "VNG Campus, TP.HCM"),
            Param("amount", 20, "100"),
            Param("total", 20, "100000"),
        ),
    ),
)

SPECIAL: Final = (
    Template(
        template_id="320001",
        name="Waiting for review",
        params=(_CUSTOMER,),
        status="PENDING_REVIEW",
        quality="UNDEFINED",
    ),
    Template(
        template_id="320002",
        name="Switched off by the OA",
        params=(_CUSTOMER,),
        status="DISABLE",
        quality="UNDEFINED",
    ),
    Template(
        template_id="320003",
        name="Only by day",
        params=(_CUSTOMER, _ORDER),
        tag="CUSTOMER_CARE",
        is_night_limited=True,
    ),
    Template(
        template_id="320004",
        name="Voucher",
        params=(_CUSTOMER, Param("voucher_code", 30, "TET2027")),
        tag="PROMOTION",
    ),
    Template(
        template_id="320005",
        name="Disabled for low quality",
        params=(_CUSTOMER,),
        status="DISABLE",
        quality="LOW",
        reason="Template bị người dùng báo xấu",
    ),
    Template(
        template_id="320006",
        name="Five a day",
        params=(_CUSTOMER,),
        daily_quota=5,
        quality="MEDIUM",
    ),
    Template(
        template_id="320007",
        name="Rejected at review",
        params=(_CUSTOMER,),
        status="REJECT",
        quality="UNDEFINED",
        reason="Nội dung chưa phù hợp",
    ),
)

SPECIAL_NOTES: Final[dict[str, str]] = {
    "320001": "-131 (PENDING_REVIEW); accepted for admins in development mode",
    "320002": "-131 (DISABLE)",
    "320003": "-133 between 22:00 and 05:59 in Vietnam",
    "320004": "tag 3: -140 if the number had no message of tag 1 or 2 before, -1472 for a second in a day",
    "320005": "-146 (DISABLE, quality LOW)",
    "320006": "-147 from the sixth message of a day on",
    "320007": "-131 (REJECT)",
}
"""What the special templates answer; the docs show this table."""


def catalogue() -> dict[str, Template]:
    """Every template by its id, in the order in which Zalo lists them."""
    return {template.template_id: template for template in (*ORDINARY, *SPECIAL)}
