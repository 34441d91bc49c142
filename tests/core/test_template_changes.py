"""What has changed in a template is told in its author's words, and what means the same is no change."""

from typing import Any

import pytest

from gateway.core.template_changes import changes, passing_changes

PARAM = {"name": "link", "require": True, "type": "STRING", "maxLength": 30, "minLength": 0, "acceptNull": False}
BUTTON = {"type": 1, "title": "Xem", "content": "https://example.com"}
BEFORE: dict[str, Any] = {
    "templateId": "12345",
    "status": "ENABLE",
    "listParams": [PARAM, {"name": "note", "require": False}],
    "listButtons": [BUTTON],
    "timeout": 7200000,
    "previewUrl": "https://account.zalo.cloud/znspreview/x",
    "templateQuality": "HIGH",
    "price": "800.0",
}
NOTE = BEFORE["listParams"][1]


@pytest.mark.parametrize(
    ("after", "told"),
    [
        ({"status": "DISABLE"}, ["status ENABLE → DISABLE"]),
        ({"reason": "Sai nội dung"}, ["reason none → Sai nội dung"]),
        ({"timeout": None}, ["timeout 7200000 → none"]),
        ({"listParams": [PARAM | {"maxLength": 20}, NOTE]}, ["link: maxLength 30 → 20"]),
        ({"listParams": [PARAM | {"require": False}, NOTE]}, ["link: required → optional"]),
        ({"listParams": [PARAM, NOTE | {"require": "true"}]}, ["note: optional → required"]),
        ({"listParams": [PARAM, NOTE | {"acceptNull": True}]}, ["note: acceptNull false → true"]),
        (
            {"listParams": [PARAM, NOTE, {"name": "voucher", "require": True}]},
            ["new parameter voucher (required)"],
        ),
        ({"listParams": [PARAM, NOTE, {"name": "v\x1b[1m"}]}, ["new parameter v?[1m (optional)"]),
        ({"listParams": [PARAM]}, ["parameter note is gone"]),
        ({"listParams": [NOTE, PARAM]}, ["the parameters stand in another order"]),
        ({"listButtons": [BUTTON | {"title": "Mua"}]}, ["button 1: title Xem → Mua"]),
        ({"listButtons": [BUTTON, {"type": 11, "title": "Trả"}]}, ["new button 2 (Trả)"]),
        ({"listButtons": None}, ["button 1 (Xem) is gone"]),
        ({"layout": {"a": 1}}, ["layout changed"]),
        ({"listParams": [PARAM, NOTE | {"values": ["a"]}]}, ["note: values changed"]),
        ({"note": "x" * 100}, [f"note none → {'x' * 59}…"]),
    ],
)
def test_a_change_is_told_in_words(after: dict[str, Any], told: list[str]) -> None:
    assert changes(BEFORE, BEFORE | after) == told


@pytest.mark.parametrize(
    "after",
    [
        {"templateId": 12345},
        {"timeout": "7200000"},
        {"reason": None},
        {"reason": ""},
        {
            "listParams": [
                PARAM | {"maxLength": "30"},
                NOTE | {"type": "STRING", "minLength": 0, "acceptNull": False},
            ]
        },
        {"listParams": [PARAM, {"name": "note"}]},
    ],
)
def test_what_means_the_same_is_no_change(after: dict[str, Any]) -> None:
    assert changes(BEFORE, BEFORE | after) == []
    assert passing_changes(BEFORE, BEFORE | after) == []


def test_what_passes_is_told_apart() -> None:
    after = BEFORE | {"templateQuality": "LOW", "previewUrl": "https://account.zalo.solutions/znspreview/x"}
    assert changes(BEFORE, after) == []
    assert passing_changes(BEFORE, after) == [
        "previewUrl https://account.zalo.cloud/znspreview/x → https://account.zalo.solutions/znspreview/x",
        "templateQuality HIGH → LOW",
    ]
