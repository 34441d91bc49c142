"""Every form that a Vietnamese mobile number comes in becomes 84 and nine digits; nothing else does."""

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.core.errors import InvalidPhone
from gateway.core.phone import mask, normalise, without_numbers

NINE = st.from_regex(r"(3[2-9]|5[69]|7[06-9]|8[1-58]|9[0-46-8])[0-9]{7}", fullmatch=True)


@pytest.mark.parametrize(
    "given_as",
    [
        "0912345678",
        "+84912345678",
        "84912345678",
        "912345678",
        "84 0912345678",
        "+84 (0)912 345 678",
        "0084912345678",
        "00840912345678",
        "00912345678",
        "0912 345 678",
        "0912.345.678",
        "0912-345-678",
        "(0912) 345 678",
        "[0912]345678",
        " 0912\u00a0345\u202f678 ",
        "\u202a0912345678\u202c",
        "0912\u2013345\u2013678",
        "912345678.0",
        "0912345678.0",
        "84912345678.0",
        912345678,
        84912345678,
        912345678.0,
    ],
)
def test_every_form_that_comes_in_is_one_phone(given_as: Any) -> None:
    assert normalise(given_as) == "84912345678"


@pytest.mark.parametrize(
    ("given_as", "phone"),
    [
        ("0841234567", "84841234567"),
        ("841234567", "84841234567"),
        (841234567, "84841234567"),
        ("84841234567", "84841234567"),
        ("00841234567", "84841234567"),
        ("00813123456", "84813123456"),
    ],
)
def test_the_084_range_and_the_doubled_zero_are_told_by_length(given_as: Any, phone: str) -> None:
    assert normalise(given_as) == phone


@pytest.mark.parametrize(
    "given_as",
    [
        *(
            None,
            "",
            "   ",
            True,
            False,
            [],
            {},
            ["0912345678"],
            float("nan"),
            float("inf"),
            -912345678,
            912345678.5,
        ),
        *(
            "0",
            "84",
            "+84",
            "12345678",
            "0912345",
            "09123456789",
            "0912345678901",
            "8491234567",
            "849123456789",
        ),
        *(
            "02838221234",
            "+842838221234",
            "1900545454",
            "0140123456",
            "01234567890",
            "0012345678",
            "0000000000",
        ),
        *(
            "+14155550123",
            "+0912345678",
            "+084912345678",
            "++84912345678",
            "+912345678",
            "084912345678",
            "+0084912345678",
        ),
        *(
            "09123x5678",
            "tel:0912345678",
            "0912345678 / 0987654321",
            "0912345678;ext=1",
            "０９１２３４５６７８",
            "٠٩١٢٣٤٥٦٧٨",
        ),
        *(
            "0912345678\x00",
            "0912,345,678",
            "9.12345678E8",
            "0912345678.5",
            "09123456.78.0",
            "0" * 5000,
            " " * 5000,
        ),
        *(10**400, 1e300),
    ],
)
def test_anything_else_is_refused_and_the_detail_shows_no_digits_of_it(given_as: Any) -> None:
    with pytest.raises(InvalidPhone) as refused:
        normalise(given_as)
    shown = refused.value.detail + "".join(fault.detail for fault in refused.value.errors)
    assert "12345" not in shown
    assert "38221" not in shown


@given(NINE, st.sampled_from(["0", "84", "+84", "", "0084", "00", "840", "+840"]), st.data())
def test_decoration_never_changes_the_phone(nine: str, prefix: str, data: st.DataObject) -> None:
    written = prefix
    for digit in nine:
        written += digit + data.draw(st.sampled_from(["", "", "", " ", "-", ".", ")", "\u00a0"]))
    assume(not re.search(r"\.0+\s*$", written))  # that is a spreadsheet's number, not a decoration
    assert normalise(written) == "84" + nine


@given(st.one_of(st.text(), st.from_regex(r"\+?[0-9 .()-]{7,16}"), st.integers(), st.floats(), st.none()))
def test_what_goes_out_is_always_84_and_nine_digits(value: Any) -> None:
    try:
        phone = normalise(value)
    except InvalidPhone:
        return
    assert phone.startswith("84")
    assert len(phone) == 11
    assert phone.isdecimal()
    assert normalise(phone) == phone


def test_a_masked_phone_shows_its_last_four_digits_alone() -> None:
    assert mask("84987654321") == "84*****4321"


@pytest.mark.parametrize(
    "number", ["0912345678", "0912 345 678", "0912/345/678", "0912_345_678", "0912\n345\n678", "+84 (912) 345-678"]
)
def test_no_grouping_hides_a_number_in_somebodys_words(number: str) -> None:
    assert not re.search(r"\d", without_numbers(f"call {number} now"))
    assert without_numbers("2 of 3, order 1234567") == "2 of 3, order 1234567"
