"""`Prefer` (RFC 7240): what is understood is honoured and said, what is not is ignored."""

import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.preferences import LONGEST, Patience, patience

DEFAULT = timedelta(seconds=10)


@pytest.mark.parametrize(
    ("prefer", "seconds", "applied"),
    [
        (None, 10, None),
        ("", 10, None),
        ("wait=3", 3, "wait=3"),
        ("WAIT = 3", 3, "wait=3"),
        ('wait="3"', 3, "wait=3"),
        ("wait=3; x=y", 3, "wait=3"),
        ("wait=0", 0, "wait=0"),
        ("wait=60", 60, "wait=60"),
        ("wait=61", 60, "wait=60"),
        ("wait=999999999", 60, "wait=60"),
        ("respond-async", 0, "respond-async"),
        ("Respond-Async", 0, "respond-async"),
        ("respond-async, wait=3", 3, "wait=3"),
        ("wait=3, respond-async", 3, "wait=3"),
        ("wait=3, wait=5", 3, "wait=3"),
        ("return=minimal, wait=3", 3, "wait=3"),
        ("wait=00", 0, "wait=0"),
        ("wait=" + "9" * 900, 60, "wait=60"),
        ('x="a, wait=0", wait=5', 5, "wait=5"),
        ('x="a\\", wait=0, b"', 10, None),
        ("wait=", 10, None),
        ("wait=x", 10, None),
        ("wait=-1", 10, None),
        ("wait=1.5", 10, None),
        ("wait=3x", 10, None),
        ("wait=x, respond-async", 0, "respond-async"),
        ("handling=strict", 10, None),
    ],
)
def test_each_wish_is_honoured_as_far_as_it_is_understood(
    prefer: str | None, seconds: int, applied: str | None
) -> None:
    assert patience(prefer, DEFAULT) == Patience(timedelta(seconds=seconds), applied)


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_no_header_makes_anybody_wait_longer_than_a_minute(prefer: str) -> None:
    assert timedelta(0) <= patience(prefer, DEFAULT).wait <= timedelta(seconds=LONGEST)


def test_a_hostile_header_costs_next_to_nothing() -> None:
    begun = time.process_time()
    patience('"\\' * 16_000, DEFAULT)
    assert time.process_time() - begun < 0.5
