"""Zalo's words are told without anything that was sent."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.zalo.reading import shown


@given(st.text(), st.lists(st.text(min_size=3).filter(lambda value: not set(value) <= set("*… "))), st.text())
def test_no_value_that_was_sent_is_ever_shown(before: str, values: list[str], after: str) -> None:
    for value in values:
        words = shown(before + value + after, values)
        assert value not in words
        assert words.isprintable()


def test_a_value_is_hidden_however_far_back_and_whatever_its_control_characters() -> None:
    value = "secret\nwords " + "w" * 500
    assert shown("a" * 7 + value + "b" + value, [value]) == "aaaaaaa***b***"
