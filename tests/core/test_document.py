"""A hostile document is refused as MalformedEvent, quickly, and an honest one is read as it is."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.document import read_document, read_documents
from gateway.core.errors import MalformedEvent, TooLarge
from gateway.core.json_flaws import MAX_DEPTH

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def nested(depth: int, inner: bytes = b"1") -> bytes:
    return b"[" * depth + inner + b"]" * depth


def refusal(body: bytes) -> str:
    with pytest.raises(MalformedEvent) as refused:
        read_document(body)
    assert len(refused.value.errors) == 1  # where it points to is test_json_flaws' business
    assert len(refused.value.detail) < 200
    assert refused.value.detail.isprintable()
    return refused.value.detail


@given(VALUES, st.booleans())
def test_what_json_can_say_is_read_as_it_was_said(value: Any, escapes: bool) -> None:
    assert read_document(json.dumps(value, ensure_ascii=escapes).encode()) == value


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b'"a\nb"', "not JSON"),
        (b"01", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ("{}".encode("utf-16"), "UTF-8"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b'"\xc0\x80"', "UTF-8"),
        (b"NaN", "NaN"),
        (b'{"a": [Infinity]}', "Infinity"),
        (b"-Infinity", "Infinity"),
        (b"9" * 400, "64 bits"),
        (b"-" + b"9" * 400, "64 bits"),
        (b"9" * 5000, "64 bits"),
        (str(2**64).encode(), "64 bits"),
        (str(-(2**63) - 1).encode(), "64 bits"),
        (b"1e999", "finite"),
        (b"-1e999999999999999999", "finite"),
        (b"9" * 400 + b".0", "finite"),
        (b'{"a": 1, "a": 1}', "twice"),
        (b'{"a": 1, "\\u0061": 1}', "twice"),
        (b'[[{"x": [{"y": {"deep": 1, "z": 2, "deep": 3}}]}]]', '"deep" is there twice'),
        (b'"\\ud800"', "surrogate"),
        (b'{"a": [{"\\udc00": 1}]}', "surrogate"),
        (b'"\\udc00\\ud800"', "surrogate"),
        (b'{"a\\u0000\\n": 1, "a\\u0000\\n": 2}', "a?? is there twice".replace("a?? ", 'a??" ')),
        (nested(MAX_DEPTH + 1), "deeper"),
        (nested(200_000), "deeper"),
        (b'{"a":' * 200_000, "deeper"),
        (b"[" * 200_000, "deeper"),
        (nested(MAX_DEPTH + 1, b'"\\ud800"'), "deeper"),
    ],
    ids=lambda part: repr(part[:24]) if isinstance(part, bytes) else part,
)
def test_what_two_readers_could_understand_differently_is_refused(body: bytes, word: str) -> None:
    assert word in refusal(body)


def test_the_borders_belong_to_what_is_read() -> None:
    assert read_document(f"[{2**64 - 1}, {-(2**63)}, 1e308, 1e-999]".encode()) == [2**64 - 1, -(2**63), 1e308, 0.0]
    assert read_document(b' \t\r\n"\\ud83d\\ude00" ') == "😀"
    inner = read_document(nested(MAX_DEPTH))
    for _ in range(MAX_DEPTH - 1):
        (inner,) = inner
    assert inner == [1]


def test_many_brackets_side_by_side_are_not_depth() -> None:
    assert read_document(b"[" + b"[]," * 100_000 + b"{}]")[-1] == {}


HUGE: dict[str, Callable[[int], bytes]] = {
    "one string": lambda size: b'"' + b"a" * size + b'"',
    "escapes": lambda size: b'"' + b"\\u0041" * (size // 6) + b'"',
    "surrogates": lambda size: b'["' + b"\\ud83d\\ude00" * (size // 12) + b'\\ud800"]',
    "digits": lambda size: b"1" * size,
    "a fraction": lambda size: b"0." + b"1" * size,
    "white space": lambda size: b" " * size,
    "empty arrays": lambda size: b"[" + b"[]," * (size // 3) + b"[]]",
    "open brackets": lambda size: b"[" * size,
    "members": lambda size: b"{" + b",".join(b'"%d":1' % n for n in range(size // 10)) + b"}",
    "the same member": lambda size: b"{" + b",".join([b'"a":1'] * (size // 6)) + b"}",
    "layers": lambda size: b"[" + b",".join([nested(60)] * (size // 122)) + b"]",
    "deep at the end": lambda size: b"[" + b"[]," * (size // 3) + nested(70) + b"]",
    "bad at the end": lambda size: b'"' + b"a" * size + b'\xff"',
    "lines": lambda size: b"[" + b"\n" * size,
}


def cost(body: bytes) -> float:
    """Seconds of this process's own time."""
    begun = time.process_time()
    with suppress(MalformedEvent):
        read_document(body)
    return time.process_time() - begun


@pytest.mark.parametrize("shape", HUGE)
def test_reading_costs_time_in_proportion_to_the_length(shape: str) -> None:
    small = min(cost(HUGE[shape](50_000)) for _ in range(3))
    # Twenty times the size may cost twenty times the time, and here even eighty (the machine is shared); a quadratic one needs 400.
    assert cost(HUGE[shape](1_000_000)) < 80 * small + 0.6


@pytest.mark.parametrize(
    "shape", ["one string", "digits", "a fraction", "open brackets", "bad at the end", "lines"]
)
def test_ten_megabytes_are_no_trouble(shape: str) -> None:
    assert cost(HUGE[shape](10_000_000)) < 2


def is_malformed_or_read_as_it_is(body: bytes) -> bool:
    try:
        document = read_document(body)
    except MalformedEvent:
        return True
    return bool(document == json.loads(body))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_document_or_malformed(body: bytes) -> None:
    assert is_malformed_or_read_as_it_is(body)


@given(VALUES, st.data())
def test_a_flipped_byte_is_a_document_or_malformed(value: Any, data: st.DataObject) -> None:
    body = bytearray(json.dumps(value, ensure_ascii=False).encode())
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert is_malformed_or_read_as_it_is(bytes(body))


# -- many at once --


def read_all(body: bytes, max_count: int = 100, max_length: int = 10_000) -> list[Any]:
    return read_documents(body, max_count=max_count, max_length=max_length)


@given(st.lists(VALUES, max_size=5), st.sampled_from([None, 0, 2]), st.booleans())
def test_the_values_of_an_array_are_read_as_each_alone(
    values: list[Any], indent: int | None, escapes: bool
) -> None:
    assert read_all(json.dumps(values, indent=indent, ensure_ascii=escapes).encode()) == values


@given(
    st.lists(
        st.sampled_from(
            [
                b'{"a":1,"a":2}',
                b"NaN",
                b"1e999",
                b"9" * 400,
                b'"\\ud800"',
                nested(65),
                nested(3_000, b'"]"'),
                b'{"a":' * 3_000 + b'"\\\\\\"}"' + b"}" * 3_000,
                b'{"b":[]}',
            ]
        )
    )
)
def test_a_value_that_is_refused_spoils_none_of_the_others(parts: list[bytes]) -> None:
    found = read_all(b"[" + b" ,\n".join(parts) + b"]", max_length=20_000)
    assert [it.detail if isinstance(it, MalformedEvent) else it for it in found] == [alone(part) for part in parts]


def alone(part: bytes) -> Any:
    """What the part is read as when it is not in an array: a value, or the detail of its refusal."""
    try:
        return read_document(part)
    except MalformedEvent as refusal:
        return refusal.detail


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[", b"[1", b"[1,]", b"[,1]", b"[1 2]", b"[1]]", b"[1] x", b'[{"a":}]', b"[[]", b"[\xff]"],
)
def test_what_is_no_array_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(MalformedEvent):
        read_all(body)


@pytest.mark.parametrize("body", [b"[" * 200_000, b"[1," + b'{"a":' * 200_000])
def test_an_array_nested_without_end_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedEvent, match="deeper"):
        read_all(body)


def test_an_array_of_too_many_values_is_refused_before_they_are_all_looked_at() -> None:
    assert read_all(b"[1,2,3]", max_count=3) == [1, 2, 3]
    with pytest.raises(TooLarge, match="3 events"):
        read_all(b"[1,2,3,4,nonsense", max_count=3)


def test_a_value_that_is_too_long_is_refused_in_its_place() -> None:
    small, large = "đ" * 4, "đ" * 4 + "x"
    body = json.dumps([small, large, small], ensure_ascii=False).encode()
    first, second, third = read_all(body, max_length=10)
    assert (first, third) == (small, small)
    assert isinstance(second, TooLarge)


@given(st.binary(max_size=40))
def test_any_bytes_are_an_array_or_malformed(body: bytes) -> None:
    with suppress(MalformedEvent):
        assert isinstance(read_all(b"[" + body), list)


NEVER_ENDING: dict[str, Callable[[int], bytes]] = {
    "escaped quotes": lambda size: b"[" + b"[" * 2000 + b'"' + b'\\"' * (size // 2),
    "backslashes": lambda size: b"[" + b"[" * 2000 + b'"' + b"\\" * size,
    "texts": lambda size: b"[" + b"[" * 2000 + b'"a",' * (size // 4),
    "brackets": lambda size: b"[" * size,
    "an open text": lambda size: b"[" + b"[" * 2000 + b'"' + b"a" * size,
    "deep values": lambda size: b"[" + b",".join([nested(1500)] * (size // 3000)),
}


@pytest.mark.parametrize("shape", NEVER_ENDING)
def test_an_array_that_is_nested_too_deeply_costs_time_in_proportion_to_its_length(shape: str) -> None:
    def spent(size: int) -> float:
        begun = time.process_time()
        with suppress(MalformedEvent, TooLarge):
            read_all(NEVER_ENDING[shape](size), max_count=1000)
        return time.process_time() - begun

    small = min(spent(20_000) for _ in range(3))
    assert spent(400_000) < 80 * small + 0.2
