"""The table of Zalo's numbers does what the contract says, and the page made from it is up to date."""

from pathlib import Path

import pytest

from gateway.core.delivery import Category, Reason, Scope, Until, Wait
from gateway.zalo import codes

from .errors_page import PAGE, page

# Written out a second time on purpose, from docs/zalo.md §5 and §6.
NUMBERS = """
-100 -101 -102 -103 -104 -105 -106 -107 -108 -109 -1091 -110 -111 -112 -1121 -1122 -1123 -1124 -113 -1131 -1132 -114
-115 -116 -117 -118 -119 -120 -1201 -1202 -121 -122 -123 -124 -1241 -125 -126 -127 -128 -129 -130 -131 -132 -133 -134
-135 -1351 -136 -137 -138 -1381 -139 -140 -141 -142 -143 -144 -1441 -145 -146 -147 -1471 -1472 -148 -149 -1491 -150
-151 -152 -153 -158 -159 -160 -161 -162 -216 -220
"""
WAITS = {
    (Reason.RETRY, Scope.MESSAGE, Until.BACKOFF): (-100, -129),
    (Reason.QUIET_HOURS, Scope.MESSAGE, Until.MORNING): (-133,),
    (Reason.QUOTA, Scope.MESSAGE, Until.NEXT_DAY): (-1472,),
    (Reason.QUOTA, Scope.MESSAGE, Until.NEXT_MONTH): (-1471,),
    (Reason.QUOTA, Scope.TEMPLATE, Until.NEXT_DAY): (-147,),
    (Reason.QUOTA, Scope.TEMPLATE, Until.NEXT_MONTH): (-1441,),
    (Reason.QUOTA, Scope.ACCOUNT, Until.NEXT_DAY): (-144,),
    (Reason.CREDENTIALS, Scope.ACCOUNT, Until.NEW_GRANT): (-124, -216, -220),
    (Reason.CREDENTIALS, Scope.ACCOUNT, Until.CURE): (-1241, -104),
    (Reason.BILLING, Scope.ACCOUNT, Until.CURE): (-115, -137),
    (Reason.CONFIGURATION, Scope.ACCOUNT, Until.CURE): (
        *(-101, -102, -103, -105, -120, -125),
        *(-135, -1351, -136, -138, -1381),
    ),
}
BLOCKING = {-109, -117, -131, -145, -146}


def test_every_number_that_zalo_is_known_to_say_is_in_the_table() -> None:
    assert set(codes.TABLE) == {int(number) for number in NUMBERS.split()}


@pytest.mark.parametrize("development", [False, True])
def test_each_number_waits_exactly_as_the_contract_says(development: bool) -> None:
    expected = {number: Wait(*wait) for wait, numbers in WAITS.items() for number in numbers}
    waits = {number: codes.for_number(number, development=development).wait for number in codes.TABLE}
    assert waits == {number: expected.get(number) for number in codes.TABLE}


def test_each_number_blocks_its_template_exactly_as_the_contract_says() -> None:
    for development, blocking in ((False, BLOCKING), (True, BLOCKING | {-126, -127})):
        known = {number: codes.for_number(number, development=development) for number in codes.TABLE}
        assert {number for number, code in known.items() if code.blocks_template} == blocking
        assert {known[number].category for number in blocking} == {Category.CONFIGURATION}


def test_the_reason_of_a_pause_is_the_category_of_the_error() -> None:
    for code in codes.TABLE.values():
        if code.wait is not None and code.wait.until is Until.CURE:
            assert code.category.value == code.wait.reason.value


def test_only_what_waits_is_not_permanent() -> None:
    for code in codes.TABLE.values():
        assert code.is_permanent is (code.wait is None)


@pytest.mark.parametrize("number", [-154, -163, -32, 1, -99999])
def test_a_number_that_is_not_in_the_table_is_final_and_unrecognised(number: int) -> None:
    code = codes.for_number(number, development=False)
    assert (code.code, code.category, code.is_permanent) == ("unrecognised", Category.UNRECOGNISED, True)


def test_a_code_has_one_meaning() -> None:
    names = [code.code for number, code in codes.TABLE.items() if number not in (-216, -220)]
    assert len(names) == len(set(names))
    assert not set(names) & set(codes.OUR_WORDS)


def test_the_example_of_the_contract_holds() -> None:
    code = codes.TABLE[-118]
    assert (code.code, code.category, code.advice) == (
        "recipient-not-on-zalo",
        Category.RECIPIENT,
        "use another channel",
    )
    assert code.is_permanent


def test_the_page_says_what_the_table_does() -> None:
    """Made anew by `python -m tests.zalo.errors_page`."""
    assert Path(PAGE).read_text(encoding="utf-8") == page()
