"""A filled template shows neither its secrets nor the number it is for, wherever the mapping put them."""

import time

import pytest

from gateway.core.event import Event
from gateway.core.mapping import compile_mappings, draft
from gateway.core.masking import MASK, masked_data

TEXT = """
summary = "x"
[[template]]
id = "1"
phone = '{{ data.phone }}'
secret = ["otp"]
[template.data]
otp = '{{ data.otp }}'
again = 'Mã {{ data.otp }} của bạn'
contact = '{{ data.contact }}'
name = '{{ data.name }}'
"""


def shown(contact: str = "x", otp: str = "482913", phone: str = "0912345678") -> dict[str, str]:
    mapping = compile_mappings({"a.toml": TEXT.encode()}, templates={}, accounts=["main"]).mappings["a"]
    data = {"phone": phone, "otp": otp, "contact": contact, "name": "Nguyễn Văn An 912"}
    made = draft(mapping, Event("1", "/s", "a", data))
    return dict(masked_data(made))


@pytest.mark.parametrize(
    "contact",
    [
        "0912345678",
        "84912345678",
        "+84912345678",
        "912345678",
        "0912 345 678",
        "(+84) 91.234.56-78",
        "09-12-34-56-78",
    ],
)
def test_the_phone_is_masked_in_every_form(contact: str) -> None:
    text = shown(f"gọi {contact} nhé")["contact"]
    assert "84*****5678" in text
    assert "".join(filter(str.isdigit, text)) == "845678"


def test_a_secret_is_masked_in_every_parameter() -> None:
    data = shown()
    assert (data["otp"], data["again"]) == (MASK, f"Mã {MASK} của bạn")
    assert data["name"] == "Nguyễn Văn An 912"


def test_another_number_is_shown() -> None:
    assert shown("0987654321")["contact"] == "0987654321"


def test_a_secret_full_of_patterns_is_text() -> None:
    assert shown(contact="aXc", otp="a.c")["contact"] == "aXc"


@pytest.mark.parametrize("contact", ["02812345678", "028 1234 5678", "+1 (202) 555-0147"])
def test_a_number_that_could_not_be_normalised_is_masked_too(contact: str) -> None:
    assert shown(f"gọi {contact}", phone=contact)["contact"] == f"gọi {MASK}"


def test_a_secret_of_a_letter_is_not_told_by_what_is_masked() -> None:
    data = shown(contact="abc", otp="a")
    assert (data["otp"], data["contact"]) == (MASK, "abc")


@pytest.mark.parametrize(
    "text", [" " * 19_990, "." * 19_990, "0 " * 9_900, "9" * 19_990, "84" * 9_900, "09 1 2" * 3000]
)
@pytest.mark.parametrize("phone", ["0912345678", "none"])
def test_masking_costs_time_in_proportion_to_the_text(text: str, phone: str) -> None:
    begun = time.process_time()
    shown(contact="a" + text, phone=phone)
    assert time.process_time() - begun < 0.3


def test_no_refusal_quotes_a_key_that_comes_from_the_event() -> None:
    text = TEXT.replace("{{ data.name }}", "{{ data[data.key] }}{{ data.list[data.place] }}")
    mapping = compile_mappings({"a.toml": text.encode()}, templates={}, accounts=["main"]).mappings["a"]
    data = {"phone": "0912345678", "otp": "1", "contact": "x", "key": "0987-secret", "list": [], "place": 482913}
    for names in ({**data}, {**data, "0987-secret": "found"}):
        troubles = draft(mapping, Event("1", "/s", "a", names)).troubles
        assert troubles
        for trouble in troubles:
            assert not {"secret", "482913"} & set(
                str(trouble.fault).replace("/", "-").replace(" ", "-").split("-")
            )
            assert trouble.fault.pointer.startswith(("/data", "/template_data"))
