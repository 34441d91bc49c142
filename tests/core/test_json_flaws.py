"""What is wrong with a JSON text is told, and where it lies."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.document import read_document
from gateway.core.errors import MalformedEvent
from gateway.core.json_flaws import first_flaw

TWICE = "is there twice in one object"
TOO_LARGE = "an integer is beyond 64 bits"
TOO_FAR = "a number is beyond finite doubles"
HALVED = "half of a surrogate pair"


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ('{"a": 1, "a": 2}', "/a", f'"a" {TWICE}'),
        ('{"a": 1, "\\u0061": 2}', "/a", f'"a" {TWICE}'),
        ('{"data": {"items": [{}, {"x": 1, "y": 2, "x": 3}]}}', "/data/items/1/x", f'"x" {TWICE}'),
        ('{"data": {"a/b~c": {"z": 1, "z": 1}}}', "/data/a~1b~0c/z", f'"z" {TWICE}'),
        ('{"data": {"n": 18446744073709551616}}', "/data/n", TOO_LARGE),
        ('{"data": [1, 1e999]}', "/data/1", TOO_FAR),
        ('{"data": [NaN]}', "/data/0", "NaN is not JSON"),
        ("-Infinity", "", "-Infinity is not JSON"),
        ('{"data": {"name": "\\ud800"}}', "/data/name", HALVED),
        ('{"data": {"\\udc00": 1}}', "/data/?", HALVED),
        ('{"first": {"a": 1e999}, "second": 18446744073709551616}', "/first/a", TOO_FAR),
        ('{"second": 1, "first": {"a": 1e999}, "second": 2}', "/first/a", TOO_FAR),
        ('{"id": "a", "id": "b", "data": {"x": 1e999}}', "/id", f'"id" {TWICE}'),
        ('{"a": {"q": 1, "q": 2, "n": 1e999}}', "/a/q", f'"q" {TWICE}'),
        ('{"a": "\\ud800", "a": 1}', "/a", HALVED),
        ("[" * 65 + "1e999" + "]" * 65, "", "nested deeper than 64"),
        ("[" * 64 + "1e999" + "]" * 64, "/0" * 64, TOO_FAR),
        ('{"a": 1, "a": 2', "", "not JSON: Expecting"),
        ('{"a": 1, "a": 2}, ?', "", "not JSON: Extra data"),
    ],
)
def test_the_first_flaw_is_told_and_pointed_at(text: str, place: str, told: str) -> None:
    with pytest.raises(MalformedEvent) as refused:
        read_document(text.encode())
    (fault,) = refused.value.errors
    assert fault.pointer == place
    assert told in fault.detail == refused.value.detail


VALUES = st.recursive(
    st.sampled_from(["1", "1e999", "18446744073709551616", "NaN", '"a"', '"\\ud800"', '"\\ud83d\\ude00"', "null"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda them: f"[{', '.join(them)}]")
        | st.lists(st.tuples(st.sampled_from(['"a"', '"b"', '"\\u0061"', '"\\udc00"']), inner), max_size=3).map(
            lambda them: "{" + ", ".join(f"{name}: {value}" for name, value in them) + "}"
        )
    ),
    max_leaves=8,
)


@given(VALUES)
def test_whatever_is_refused_has_a_flaw_and_nothing_else_has(text: str) -> None:
    flaw = first_flaw(text)
    if flaw is None:
        read_document(text.encode())
        return
    with pytest.raises(MalformedEvent) as refused:
        read_document(text.encode())
    assert refused.value.detail == flaw.detail


@pytest.mark.parametrize("depth", [2, 60, 900])
def test_looking_for_it_takes_room_like_the_text_however_deep_it_lies(depth: int) -> None:
    text = "[" * depth + "0" + (",0" * (130_000 // depth) + "]") * (depth - 1) + ",1e999]"
    tracemalloc.start()
    try:
        assert first_flaw(text) is not None
        assert tracemalloc.get_traced_memory()[1] < 20 * len(text)
    finally:
        tracemalloc.stop()
