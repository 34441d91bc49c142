"""Two events are the same one exactly when they say the same; and everyone derives the same names for them."""

import json
import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.event import Event
from gateway.core.identity import Identity, TrackingId, canonical, identify

PINNED_BY_EVENT = TrackingId("b24e39d70c69e8594cfe23f210")
PINNED_BY_KEY = TrackingId("ad7f8ffd38401c0518a44ae595")
ALPHABET = frozenset(string.digits + string.ascii_lowercase)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
INTEGERS = st.integers(-(2**63), 2**64 - 1)
SCALARS = st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)


def event(data: Any = None, **changes: Any) -> Event:
    plain = Event("evt-1", "/checkout", "order.paid", {} if data is None else {"it": data})
    return msgspec.structs.replace(plain, **changes)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: what the contract says of replays, written down a second time."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return (type(one) in (int, float) and type(other) in (int, float) and one == other) or (
        type(one) is type(other) and one == other
    )


@given(TEXT, TEXT, TEXT, st.none() | TEXT)
def test_a_tracking_id_is_26_of_the_36_plain_characters(
    caller: str, source: str, event_id: str, key: str | None
) -> None:
    for mode in ("live", "development"):
        identity = identify(mode=mode, caller=caller, event=event(source=source, id=event_id), key=key)
        assert all(len(name) == 26 and set(name) <= ALPHABET for name in identity.names)
        assert identity.tracking_id in identity.names


def test_a_tracking_id_never_changes_from_one_release_to_the_next() -> None:
    identity = identify(mode="live", caller="checkout", event=event(), key="k-1")
    assert identity == Identity(PINNED_BY_EVENT, PINNED_BY_KEY)
    assert identity.tracking_id == PINNED_BY_KEY


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=2, max_size=2, unique=True))
def test_where_one_part_ends_and_the_next_begins_counts(parts: list[tuple[str, str, str]]) -> None:
    first, second = (
        identify(mode="live", caller=caller, event=event(source=source, id=event_id))
        for caller, source, event_id in parts
    )
    assert first.by_event != second.by_event


def test_neighbouring_parts_are_not_run_together() -> None:
    names = {
        identify(mode="live", caller=caller, event=event(source=source, id=event_id)).by_event
        for caller, source, event_id in [
            ("a", "b", "c"),
            ("ab", "", "c"),
            ("", "ab", "c"),
            ("a", "bc", ""),
            ('a","b', "", "c"),
        ]
    }
    assert len(names) == 5


def test_modes_callers_and_keys_are_apart() -> None:
    names = {
        name
        for mode in ("live", "development")
        for caller in ("a", "b")
        for key in ("/checkout", "evt-1")
        for name in identify(mode=mode, caller=caller, event=event(), key=key).names
    }
    assert len(names) == 2 * 2 * (1 + 2)


def test_type_and_data_are_no_part_of_the_name() -> None:
    assert identify(mode="live", caller="a", event=event(type="x", data={"y": 1})) == identify(
        mode="live", caller="a", event=event()
    )


@given(VALUES, VALUES)
def test_two_events_say_the_same_exactly_when_they_are_equal_as_json(one: Any, other: Any) -> None:
    assert (canonical(event(one)) == canonical(event(other))) == same(one, other)


@given(VALUES)
def test_an_event_says_the_same_however_it_was_written_down(value: Any) -> None:
    again = json.loads(json.dumps(value, ensure_ascii=True, indent=1))
    assert canonical(event(again)) == canonical(event(value))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (1, 1.0),
        (0, -0.0),
        (100, 1e2),
        (2**63, 2.0**63),
        (-(2**63), -(2.0**63)),
        ([{"a": 10}], [{"a": 1e1}]),
    ],
)
def test_these_are_the_same(one: Any, other: Any) -> None:
    assert canonical(event(one)) == canonical(event(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (True, 1),
        (False, 0),
        (None, 0),
        (None, ""),
        ("1", 1),
        (1, 1.5),
        (2**53 + 1, 2.0**53),
        (2**64 - 1, 2.0**64),
        ([1, 2], [2, 1]),
        ("é", "e\u0301"),
        ("a", "A"),
        ("a", "a "),
        ({}, []),
        ({"a": None}, {}),
        ([[]], [{}]),
    ],
)
def test_these_are_not_the_same(one: Any, other: Any) -> None:
    assert canonical(event(one)) != canonical(event(other))


def test_another_type_is_another_event_and_other_attributes_are_not() -> None:
    assert canonical(event(type="order.sent")) != canonical(event())
    assert canonical(event(time="2026-11-23T00:00:00Z", subject="s", extensions={"x": 1})) == canonical(event())
