import phonenumbers

from gateway.simulator.codes import MESSAGES
from gateway.simulator.phones import PHONES, VALID_PHONE, Fate, hash_of, is_admin, plan_of


def test_every_fixed_number_is_a_valid_vietnamese_mobile() -> None:
    for phone in PHONES:
        number = phonenumbers.parse(f"+{phone}")
        assert phonenumbers.is_valid_number(number), phone
        assert phonenumbers.region_code_for_number(number) == "VN"
        assert phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE
        assert VALID_PHONE.fullmatch(phone)


def test_an_error_number_ends_in_its_error() -> None:
    refused = {phone: plan.error for phone, plan in PHONES.items() if plan.fate is Fate.ERROR}
    assert refused
    assert all(int(phone[4:]) == -error for phone, error in refused.items())
    assert refused["84900000118"] == -118
    assert refused["84900001472"] == -1472


def test_every_outcome_is_named_once_and_unknown_errors_are_among_them() -> None:
    names = [plan.name for plan in PHONES.values()]
    assert len(names) == len(set(names))
    assert {"delivered", "late", "never", "duplicate", "early", "slow", "cut", "html"} <= set(names)
    assert "error:-999" in names
    assert -999 not in MESSAGES


def test_a_hash_has_the_fate_of_its_number() -> None:
    vector = "116ce31ae9170769b075a11dedca1198f41d30318334919fb90917e9c617b438"
    assert hash_of("84987654321") == vector
    assert plan_of(hash_of("84900000118")).name == "error:-118"
    assert plan_of(vector).name == plan_of("84987654321").name == "delivered"
    assert is_admin(hash_of("84900000001"))
    assert not is_admin("84912345678")
